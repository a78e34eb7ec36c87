//! How many tokens a text has for a language model, at most. An upper bound without a vocabulary.
//!
//! Counts where tokens of OpenAI's `cl100k_base` and `o200k_base` can start. A token has at least one byte, so bytes bound
//! tokens. Three classes of characters have fewer; each rests on something that the tests prove with the vocabularies:
//! - the few commonest words of our sentences are one token each, alone or after a space;
//! - digits are cut into threes, and each number of up to three digits is one token;
//! - any two of the letters in [`PAIRED`] are one token, in either case, and a space with a letter is. A tokenizer ends when no two
//!   neighbours can be merged, so of these letters no two neighbours are tokens alone: three letters make two tokens.

/// Letters of which every two are a token in both vocabularies, in lower case and in upper case.
const PAIRED: (&[u8], &[u8]) = (b"abcdefghilmnoprstuw", b"ABCDEFGILMNOPRST");

/// Words that are one token, sorted.
#[rustfmt::skip]
const WORDS: [&str; 128] = [
    "about", "access", "address", "after", "again", "allocator", "and", "another", "argument",
    "arguments", "because", "been", "before", "bytes", "call", "calls", "cannot", "cluster",
    "code", "comm", "command", "configuration", "connection", "container", "containers", "core",
    "could", "count", "deadline", "deleted", "disabled", "does", "ended", "errno", "error", "exit",
    "failed", "fault", "file", "files", "first", "for", "found", "from", "full", "function",
    "group", "have", "heap", "image", "instruction", "its", "kernel", "kill", "killer", "last",
    "left", "limit", "lost", "make", "memory", "message", "missing", "more", "name", "namespace",
    "needs", "node", "not", "null", "number", "only", "parent", "path", "peer", "pid", "place",
    "pod", "pointer", "pressure", "probe", "process", "program", "raise", "read", "reason",
    "record", "records", "report", "reported", "request", "restart", "running", "runtime", "said",
    "same", "seconds", "sender", "sent", "server", "short", "signal", "source", "stack", "start",
    "started", "status", "system", "than", "that", "the", "there", "this", "thread", "time",
    "times", "unknown", "usage", "used", "was", "were", "what", "when", "which", "window", "with",
    "without", "words",
];

/// Most bytes that one token of the bound has: a word of the list, and the space before it.
pub(super) const LONGEST: usize = 16;

/// Most tokens that `text` has where a line starts with it.
pub(super) fn at_most(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut count) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        let after = at + 1;
        if byte.is_ascii_alphabetic()
            || byte == b' ' && bytes.get(after).is_some_and(u8::is_ascii_alphabetic)
        {
            let end = end_of(bytes, after, u8::is_ascii_alphabetic);
            count += word(text, at, end);
            at = end;
        } else if byte.is_ascii_digit() {
            let end = end_of(bytes, after, u8::is_ascii_digit);
            let plain = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii);
            let before = at.checked_sub(1).and_then(|before| bytes.get(before));
            count += match plain(before) && plain(bytes.get(end)) {
                true => (end - at).div_ceil(3),
                false => end - at,
            };
            at = end;
        } else {
            count += 1;
            at = after;
        }
    }
    count
}

fn end_of(bytes: &[u8], from: usize, is: fn(&u8) -> bool) -> usize {
    let rest = bytes.iter().skip(from);
    from + rest.take_while(|byte| is(byte)).count()
}

/// Letters, and a space before them or not.
fn word(text: &str, start: usize, end: usize) -> usize {
    let bytes = text.as_bytes();
    let letters = &text[start..end];
    let spaced = letters.starts_with(' ');
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    let begins = spaced || before.is_none_or(|byte| *byte == b'\n');
    let ends = bytes
        .get(end)
        .is_none_or(|byte| byte.is_ascii() && *byte != b'\'');
    if begins && ends && WORDS.binary_search(&letters.trim_start()).is_ok() {
        return 1;
    }
    // After an apostrophe, `s`, `ll` and the like are cut off.
    let cut = usize::from(before == Some(&b'\''));
    let (mut count, mut run, mut last) = (cut, 0, 0);
    for byte in letters.bytes() {
        let class = match byte {
            b' ' => 0,
            byte if PAIRED.0.contains(&byte) => 1,
            byte if PAIRED.1.contains(&byte) => 2,
            _ => 3,
        };
        // A space goes with whatever letters follow.
        if class == 3 || last != 0 && class != last {
            count += run_of(run);
            run = 0;
        }
        last = class;
        run += 1;
        if class == 3 {
            count += 1;
            run = 0;
        }
    }
    count + run_of(run)
}

/// Tokens that start in a run in which no two neighbours are tokens alone.
fn run_of(letters: usize) -> usize {
    2 * (letters / 3) + letters % 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::super::tests::{noise, tokens};
    use super::{LONGEST, PAIRED, WORDS, at_most};
    use crate::report::format::tests::hostile;

    #[test]
    fn the_vocabularies_are_as_the_bound_needs_them() {
        assert!(WORDS.is_sorted());
        for word in WORDS {
            assert!(word.len() < LONGEST);
            let counts = (tokens(word), tokens(&format!(" {word}")));
            assert_eq!(counts, (1, 1), "{word}");
        }
        for letters in [PAIRED.0, PAIRED.1] {
            let pairs = letters
                .iter()
                .flat_map(|a| letters.iter().map(|b| [*a, *b]));
            for pair in pairs {
                assert_eq!(tokens(std::str::from_utf8(&pair).unwrap()), 1);
            }
            for letter in letters {
                assert_eq!(tokens(&format!(" {}", char::from(*letter))), 1);
            }
        }
        for number in 0..1000 {
            assert_eq!(tokens(&number.to_string()), 1);
            assert_eq!(tokens(&format!("{number:03}")), 1);
        }
    }

    #[test]
    fn our_own_sentences_are_not_counted_much_too_high() {
        let text = "The memory cgroup of the container reached its limit, and the OOM killer chose this process.";
        let (most, real) = (at_most(text), tokens(text));
        assert!(real <= most && most <= real * 5 / 2, "{real} {most}");
    }

    #[test]
    fn no_hostile_text_has_more() {
        for text in hostile() {
            let (most, real) = (at_most(&text), tokens(&text));
            assert!(real <= most, "{real} > {most}: {text:.200}");
        }
    }

    proptest! {
        #[test]
        fn no_text_has_more(text in noise()) {
            assert!(tokens(&text) <= at_most(&text), "{} > {}", tokens(&text), at_most(&text));
        }
    }
}
