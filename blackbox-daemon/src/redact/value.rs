//! A value's place in a text: from behind what assigns to its end, quoted, escaped or bare.
//!
//! Read by hand, for quoting and escaping nest. A bare value ends at a space, a quote, or where the next setting begins.

use super::{Kind, plain};

/// A value's place.
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) quoted: bool,
}

impl Value {
    /// Reads it, from behind what assigns.
    pub(super) fn at(text: &str, start: usize) -> Self {
        let some = text[start..].strip_prefix("Some(").map_or(0, |_| 5);
        let start = start + some;
        let rest = &text[start..];
        let slashes = rest.bytes().take_while(|b| *b == b'\\').count();
        let quote = rest.as_bytes().get(slashes).copied();
        if let Some(quote @ (b'"' | b'\'' | b'`')) = quote {
            let start = start + slashes + 1;
            let bytes = &text.as_bytes()[start..];
            let mut run = 0;
            for (at, byte) in bytes.iter().enumerate() {
                match byte {
                    b'\\' => run += 1,
                    b if *b == quote && (run == slashes || (slashes == 0 && run % 2 == 0)) => {
                        let end = start + at - run.min(slashes);
                        return Self {
                            start,
                            end,
                            quoted: true,
                        };
                    }
                    _ => run = 0,
                }
            }
            return Self {
                start,
                end: text.len(),
                quoted: true,
            };
        }
        let end = start + bare(rest);
        Self {
            start,
            end,
            quoted: false,
        }
    }

    pub(super) fn is_harmless(&self, shown: &str, kind: Kind) -> bool {
        let number = shown.len() <= 6 && shown.bytes().all(|b| b.is_ascii_digit());
        let call = shown.find('(').is_some_and(|open| {
            shown[..open]
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.')
        });
        let code = [
            "self.",
            "this.",
            "os.",
            "config.",
            "settings.",
            "req.",
            "process.",
        ];
        shown.starts_with('=')
            || plain::stands_for(shown)
            || plain::path(shown)
            || kind != Kind::Password && number
            || kind != Kind::Password && self.quoted && shown.matches(' ').count() > 1
            || !self.quoted && (call || code.iter().any(|code| shown.starts_with(code)))
    }
}

/// How long a value without quotes is.
fn bare(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    // A name and `=` behind a comma begin the next setting.
    let next = |at: usize| {
        let name = bytes[at..].iter().take(64);
        let name = name.take_while(|b| b.is_ascii_alphanumeric() || b"_.-% []".contains(b));
        let end = at + name.count();
        end > at && matches!(bytes.get(end), Some(b'=' | b':'))
    };
    let mut end = bytes.len();
    for (at, byte) in bytes.iter().enumerate() {
        let space = bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace);
        let stops = match byte {
            b'"' | b'\'' | b'`' | b'<' => true,
            b'\\' => matches!(
                bytes.get(at + 1),
                Some(b'"' | b'\'' | b'n' | b'r' | b't' | b'\\')
            ),
            b',' | b';' | b'&' => space || next(at + 1),
            other => other.is_ascii_whitespace() || other.is_ascii_control(),
        };
        if stops {
            end = at;
            break;
        }
    }
    let mut value = &rest[..end];
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        while value.ends_with(close) && !value.contains(open) {
            value = &value[..value.len() - 1];
        }
    }
    value.len()
}
