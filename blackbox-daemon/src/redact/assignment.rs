//! Secrets that are known by their name: `password=…`, `"token": "…"`, `--api-key …`, `DB_PASSWORD: …`.
//!
//! A pattern finds the name and what assigns; the value is read by hand, for quoting and escaping nest. Prose about
//! secrets (`token: expired`) is left alone.

use regex::Regex;

use super::names::{NAMES, TAIL};
use super::value::Value;
use super::{Kind, Span, plain, rules};

/// Longest value that may turn out to be none, bytes: bounds what is read twice.
const DOUBTED: usize = 256;

/// Finds them.
#[derive(Clone, Debug)]
pub(super) struct Assignments {
    name: Regex,
}

impl Assignments {
    pub(super) fn new() -> Self {
        let pattern = format!(
            r#"(?i)(?P<before>(?:unexpected|invalid|illegal|unknown|bad|next)\s+)?(?:{NAMES}){TAIL}(?:(?P<pair>\\*["']\s*,\s*\\*["']?value)?\\*["']?\]?\s*(?P<sep>=>|:=|=|:)[ \t]*(?P<below>\{{\s*\\*["'](?:value|data|raw|plain)\\*["']\s*:\s*)?|(?P<list>\\*["']\s*,\s*)\\*["']|(?P<xml>>)|(?P<gap>[ \t]+))"#
        );
        Self {
            name: rules::constant(&pattern),
        }
    }

    pub(super) fn find(&self, text: &str, found: &mut Vec<Span>) {
        let mut from = 0;
        while let Some(at) = self.name.captures_at(text, from) {
            let Some(whole) = at.get(0) else { break };
            from = whole.end();
            let weak = at.name("weak");
            let kind = match (at.name("password"), at.name("key")) {
                (Some(_), _) => Kind::Password,
                (_, Some(_)) => Kind::Key,
                _ if weak.is_some_and(|name| name.as_str().ends_with(['y', 'Y'])) => Kind::Key,
                _ => Kind::Token,
            };
            // `--password …`: the flag's name begins with two dashes.
            let flag = || {
                let word = text[..whole.start()]
                    .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                text[word.len()..].starts_with("--")
            };
            // `["X-Api-Key", "…"]`.
            let listed = || {
                let rest = text[..whole.start()].trim_end_matches(|c: char| {
                    c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '\\'
                });
                rest.ends_with(['"', '\'']) && rest[..rest.len() - 1].ends_with(['[', '(', '\\'])
            };
            let mut start = whole.end();
            if at.name("gap").is_some() && !flag()
                || at.name("list").is_some() && !flag() && !listed()
            {
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
                    || weak.is_some() && !plain::coded_word(shown)
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
