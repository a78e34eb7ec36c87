//! Text of others inside a brief: on one line, nothing hidden, and no mark that begins something else.
//!
//! A brief is read by models and shown by viewers of Markdown. So `<`, `>`, brackets and backticks are shown as marks that
//! look alike and mean nothing: no tag, tool call, chat template (`<|im_end|>`, `[INST]`), fence, link, image or citation (`[r12]`,
//! which only this program writes) can begin. Addresses do not become links, and `@` calls nobody. The json has the text as it was.

use crate::report::format::quote::{Visible, ends_with_www};

/// `text` with nothing in it but text.
pub(super) fn harmless(text: &str) -> String {
    let shown = Visible(text).to_string();
    let mut made = String::with_capacity(shown.len());
    for (at, c) in shown.char_indices() {
        match c {
            '<' | '＜' => made.push('‹'),
            '>' | '＞' => made.push('›'),
            '[' | '［' => made.push('('),
            ']' | '］' => made.push(')'),
            '`' | '｀' => made.push('\''),
            '@' => made.push('＠'),
            ':' if shown[at + 1..].starts_with("//") => made.push_str(": "),
            '.' if ends_with_www(&shown[..at]) => made.push_str(" ."),
            c => made.push(c),
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_mark_of_another_language_is_left() {
        for (text, shown) in [
            ("<|im_end|>", "‹|im_end|›"),
            ("[INST] x [/INST]", "(INST) x (/INST)"),
            ("![a](http://b) www.c", "!(a)(http: //b) www .c"),
            ("```\nx", "'''␊x"),
            ("@team", "＠team"),
            ("[r12]", "(r12)"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }
}
