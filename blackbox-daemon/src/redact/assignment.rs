//! Secrets that are known by their name: `password=…`, `"token": "…"`, `--api-key …`, `DB_PASSWORD: …`.
//!
//! A pattern finds the name and what assigns; the value is read by hand, for quoting and escaping nest. Prose about
//! secrets (`token: expired`) is left alone.

use regex::bytes::{Captures, Match, Regex};

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
        while let Some(at) = self.name.captures_at(text.as_bytes(), from) {
            let Some(name) = at.get(0) else { break };
            from = name.end();
            let name = rules::whole(text, name.range());
            let ahead = &text[..name.start];
            let is = |group| at.name(group).is_some();
            if is("gap") && !is_flag(ahead)
                || is("list") && !is_flag(ahead) && !is_listed(ahead)
                || is("xml") && !is_element(ahead)
            {
                continue;
            }
            let start = at.name("list").map_or(name.end, |list| list.end());
            let value = Value::at(text, start);
            let shown = &text[value.start..value.end];
            let kind = kind(&at);
            let prose = at.name("sep").is_some_and(|sep| sep.as_bytes() == b":")
                && text[name.clone()].ends_with([' ', '\t']);
            let doubtful = shown.len() <= DOUBTED
                && (is("before") && kind == Kind::Token
                    || is("weak") && !plain::coded_word(shown)
                    || value.is_harmless(shown, kind)
                    || is("gap") && shown.starts_with('-')
                    || prose && !value.quoted && !told(text, name.start, &value, shown)
                    || &text[name] == "PWD=");
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

fn kind(at: &Captures<'_>) -> Kind {
    let key = |name: Match<'_>| name.as_bytes().to_ascii_lowercase().ends_with(b"key");
    match (at.name("password"), at.name("key"), at.name("weak")) {
        (Some(_), _, _) => Kind::Password,
        (_, Some(_), _) => Kind::Key,
        (_, _, Some(weak)) if key(weak) => Kind::Key,
        _ => Kind::Token,
    }
}

/// `--password …`: the flag's name begins with two dashes.
fn is_flag(ahead: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ahead[ahead.trim_end_matches(name).len()..].starts_with("--")
}

/// `["X-Api-Key", "…"]`: the name is the first of a list.
fn is_listed(ahead: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || "-_\\".contains(c);
    let open = ahead.trim_end_matches(name).strip_suffix(['"', '\'']);
    open.is_some_and(|open| open.ends_with(['[', '(', '\\']))
}

/// `<db.password>…`: the name ends a tag.
fn is_element(ahead: &str) -> bool {
    let near = before(ahead, ahead.len());
    let mut signs = near.iter().rev().filter(|byte| b"<> ".contains(byte));
    signs.next() == Some(&b'<')
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
