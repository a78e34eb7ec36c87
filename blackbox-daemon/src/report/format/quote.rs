//! Quoting: text that processes, images and clients chose, made unable to leave the place where it is shown.
//!
//! The one door that such text passes on its way into Markdown and briefs. What no reader sees becomes visible:
//! control characters as the pictures Unicode has for them (`␛`), and direction overrides, zero-width characters,
//! variation selectors and tags as their code point (`⟨U+202E⟩`). Line breaks never pass.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

/// Bytes of one text that a line of Markdown shows.
const LONGEST: usize = 2000;

/// Text on one line, nothing hidden. For places where no other character means anything.
pub(super) struct Visible<'a>(pub(super) &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| visible(f, c))
    }
}

/// Text inside a line of Markdown (CommonMark 0.31, GitHub's tables, links and mentions): it is shown, and is nothing else.
pub(super) struct Inline<'a>(pub(super) &'a str);

impl fmt::Display for Inline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, more) = cut(self.0.trim());
        if text.is_empty() {
            return f.write_str("–");
        }
        // `- `, `+ `, `= `, `1. ` and `1) ` mean something where a line starts.
        let number = text.bytes().take_while(u8::is_ascii_digit).count();
        for (at, c) in text.char_indices() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                // Neither a backslash nor an entity stops GitHub from telling the one who is mentioned.
                '@' => f.write_char('＠')?,
                '\\' | '`' | '*' | '_' | '[' | ']' | '{' | '|' | '~' | '#' | '$' | '!' => {
                    write!(f, "\\{c}")?;
                }
                // No address becomes a link by itself.
                ':' if text[at..].starts_with("://") => f.write_str("&#58;")?,
                '.' if ends_with_www(&text[..at]) => f.write_str("\\.")?,
                '-' | '+' | '=' if at == 0 => write!(f, "\\{c}")?,
                '.' | ')' if at == number && at > 0 && starts_with_space(&text[at + 1..]) => {
                    write!(f, "\\{c}")?;
                }
                c => visible(f, c)?,
            }
        }
        More(more).fmt(f)
    }
}

fn starts_with_space(text: &str) -> bool {
    text.is_empty() || text.starts_with(char::is_whitespace)
}

/// Whether a dot after `text` would make an address of it, for GitHub.
pub(super) fn ends_with_www(text: &str) -> bool {
    let start = text.len().saturating_sub(3);
    text.get(start..)
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

/// A fenced block of Markdown with these lines. The fence is longer than any run of backticks inside.
pub(super) fn fence<'a>(
    out: &mut impl Write,
    lines: impl Iterator<Item = (Option<String>, &'a str)> + Clone,
) -> io::Result<()> {
    let longest = lines.clone().map(|(_, text)| longest_run(text)).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    writeln!(out, "{fence}text")?;
    for (before, text) in lines {
        let before = before.unwrap_or_default();
        let (text, more) = cut(text);
        writeln!(out, "{}{}{}", Visible(&before), Visible(text), More(more))?;
    }
    writeln!(out, "{fence}")
}

/// The beginning of a line, and how many bytes that leaves out.
fn cut(text: &str) -> (&str, usize) {
    let (shown, rest) = text.split_at(text.floor_char_boundary(LONGEST));
    (shown, rest.len())
}

/// Says that a line goes on.
struct More(usize);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            bytes => write!(f, "… ({bytes} more bytes in the report's json)"),
        }
    }
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

fn visible(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        // Unicode's block "Control Pictures": U+2400 and what follows show U+0000 to U+001F.
        '\0'..='\u{1f}' => {
            f.write_char(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'))
        }
        '\u{7f}' => f.write_char('\u{2421}'),
        c if is_hidden(c) => write!(f, "⟨U+{:04X}⟩", u32::from(c)),
        c => f.write_char(c),
    }
}

/// Whether a reader would not see `c`: controls, and what Unicode's `Default_Ignorable_Code_Point` and `Bidi_Control` list,
/// the separators of lines and paragraphs, the annotation characters, and private use, which shows differently everywhere.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::{Inline, Visible, fence};

    #[test]
    fn nothing_stays_hidden() {
        let text = "a\u{1b}[2J\r\nb\u{202e}c\u{200b}d\u{e0041}\u{7f}";
        assert_eq!(
            Visible(text).to_string(),
            "a␛[2J␍␊b⟨U+202E⟩c⟨U+200B⟩d⟨U+E0041⟩␡"
        );
    }

    #[test]
    fn inline_text_is_no_markdown() {
        for (text, shown) in [
            ("", "–"),
            ("# x", "\\# x"),
            ("- x", "\\- x"),
            ("12. x", "12\\. x"),
            ("3.5", "3.5"),
            ("3.", "3\\."),
            ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
            ("[a](b)|`c`", "\\[a\\](b)\\|\\`c\\`"),
            ("http://x www.y @z", "http&#58;//x www\\.y ＠z"),
            ("  \n x\ny", "x␊y"),
        ] {
            assert_eq!(Inline(text).to_string(), shown);
        }
    }

    #[test]
    fn a_fence_outlasts_what_is_in_it() {
        let lines = ["```", "x ````` y", "```text"];
        let mut out = Vec::new();
        fence(&mut out, lines.iter().map(|line| (None, *line))).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("``````text\n```\n") && out.ends_with("\n``````\n"));
    }
}
