//! Secrets that are known by their name: `password=…`, `"token": "…"`, `--api-key …`, `DB_PASSWORD: …`.
//!
//! A pattern finds the name and what assigns; the value is read by hand, for quoting and escaping nest. Prose about
//! secrets (`token: expired`) is left alone.

use regex::Regex;

use super::{Kind, Span, plain};

/// Ends of names of secrets.
const NAMES: &str = r"(?P<password>pass(?:word|wd|phrase|code)|pwd|(?:[^a-z]|^)pass|credentials?)|(?P<key>api[_.-]?key|(?:access|secret|private|signing|encryption|account|auth|master|shared)[_.-]?key)|(?P<token>token|secret|authorization|session[_-]?id|sessid|connect\.sid|[^a-z]auth)";

/// Longest value that may turn out to be none, bytes: bounds what is read twice.
const DOUBTED: usize = 256;

/// Finds them.
#[derive(Clone, Debug)]
pub(super) struct Assignments {
    name: Regex,
}

/// What a name, whole, says of its value. `None`: that it is no secret.
pub(super) fn secret_name(name: &str) -> Option<Kind> {
    let bare: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let ends = |words: &[&str]| words.iter().any(|word| bare.ends_with(word));
    if ends(&[
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "credential",
        "credentials",
    ]) || matches!(&*bare, "pass" | "pwd" | "dbpass" | "userpwd")
        || name.to_ascii_lowercase().ends_with("_pass")
    {
        Some(Kind::Password)
    } else if ends(&[
        "apikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "signingkey",
        "encryptionkey",
        "accountkey",
        "authkey",
        "masterkey",
        "sharedkey",
    ]) {
        Some(Kind::Key)
    } else if ends(&["token", "secret", "authorization", "sessionid", "setcookie"])
        || bare == "cookie"
    {
        Some(Kind::Token)
    } else {
        None
    }
}

impl Assignments {
    pub(super) fn new() -> Self {
        let pattern = format!(
            r#"(?i)(?P<before>(?:unexpected|invalid|illegal|unknown|bad|next)\s+)?(?:{NAMES})(?:(?P<pair>\\*["']\s*,\s*\\*["']?value)?\\*["']?\]?\s*(?P<sep>=>|:=|=|:)[ \t]*|(?P<list>\\*["']\s*,\s*)\\*["']|(?P<xml>>)|(?P<gap>[ \t]+))"#
        );
        Self {
            name: regex::RegexBuilder::new(&pattern)
                .dfa_size_limit(super::rules::CACHE)
                .build()
                .expect("a constant pattern"),
        }
    }

    pub(super) fn find(&self, text: &str, found: &mut Vec<Span>) {
        let mut from = 0;
        while let Some(at) = self.name.captures_at(text, from) {
            let Some(whole) = at.get(0) else { break };
            from = whole.end();
            let kind = match (at.name("password"), at.name("key")) {
                (Some(_), _) => Kind::Password,
                (_, Some(_)) => Kind::Key,
                _ => Kind::Token,
            };
            // `--password …`: the flag's name begins with two dashes.
            let flag = || {
                let word = text[..whole.start()]
                    .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                text[word.len()..].starts_with("--")
            };
            let mut start = whole.end();
            if (at.name("gap").is_some() || at.name("list").is_some()) && !flag() {
                continue;
            }
            if let Some(list) = at.name("list") {
                start = list.end();
            }
            if at.name("xml").is_some()
                && !text[..whole.start()].ends_with('<')
                && before(text, whole.start())
                    .iter()
                    .rev()
                    .find(|byte| b"<> ".contains(byte))
                    .is_none_or(|byte| *byte != b'<')
            {
                continue;
            }
            let prose = at.name("sep").is_some_and(|sep| sep.as_str() == ":")
                && whole.as_str().ends_with([' ', '\t']);
            let value = Value::at(text, start);
            let shown = &text[value.start..value.end];
            let doubtful = shown.len() <= DOUBTED
                && (at.name("before").is_some() && kind == Kind::Token
                    || value.is_harmless(shown, kind)
                    || at.name("gap").is_some() && shown.starts_with('-')
                    || prose && !value.quoted && !told(text, whole.start(), &value, shown)
                    || &text[whole.range()] == "PWD=");
            if value.start < value.end && !doubtful {
                found.push(Span {
                    range: value.start..value.end,
                    kind,
                });
                from = value.end;
            }
        }
    }
}

/// The bytes before a place, as far as they are looked at: a long line of many names must not be read again for each.
fn before(text: &str, at: usize) -> &[u8] {
    &text.as_bytes()[at.saturating_sub(DOUBTED)..at]
}

/// Whether `name: value` is a setting and no sentence: it looks like a secret, or fills its line.
fn told(text: &str, name: usize, value: &Value, shown: &str) -> bool {
    let near = before(text, name);
    let line = near.rsplit(|byte| *byte == b'\n').next().unwrap_or(near);
    let alone = line.len() < DOUBTED
        && line
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b" \t_.-".contains(b));
    let word = line.trim_ascii().strip_prefix(b"- ").unwrap_or(line);
    let alone = alone && !word.trim_ascii().contains(&b' ');
    let rest = &text.as_bytes()[value.end..];
    let rest = &rest[..rest.len().min(DOUBTED)];
    let rest = rest.split(|byte| *byte == b'\n').next().unwrap_or(rest);
    let last = rest.len() < DOUBTED && rest.trim_ascii().is_empty();
    plain::coded(shown) || (alone && last)
}

/// A value's place.
struct Value {
    start: usize,
    end: usize,
    quoted: bool,
}

impl Value {
    /// Reads it, from behind what assigns.
    fn at(text: &str, start: usize) -> Self {
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

    fn is_harmless(&self, shown: &str, kind: Kind) -> bool {
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
