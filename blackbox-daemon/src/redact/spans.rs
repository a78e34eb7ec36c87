//! Spans: from what the rules found, overlapping and in any order, to what is hidden, in order and apart.

use std::ops::Range;

use super::{Kind, Span};

/// How every marker begins.
const OPEN: &str = "[hidden: ";

/// How many markers stand in these bytes.
#[must_use]
pub fn marks(bytes: &[u8]) -> u64 {
    let open = OPEN.as_bytes();
    let kind = |rest: &[u8], kind: Kind| {
        let rest = rest.strip_prefix(kind.name().as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&b']'))
    };
    let is = |(at, window): (usize, &[u8])| {
        let rest = &bytes[at + open.len()..];
        window == open && Kind::ALL.into_iter().any(|one| kind(rest, one))
    };
    bytes
        .windows(open.len())
        .enumerate()
        .filter(|found| is(*found))
        .count() as u64
}

/// Joins spans that overlap, and leaves out what is hidden already. An address gives way to what it overlaps: the
/// host behind a password is no secret.
pub(super) fn apart(mut found: Vec<Span>, text: &str) -> Vec<Span> {
    if found.is_empty() {
        return found;
    }
    let hidden = markers(text);
    found.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
    let (emails, found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|span| span.kind == Kind::Email);
    let mut joined = joined(found);
    let mut free = emails;
    free.retain(|span| {
        let next = joined.partition_point(|other| other.range.end <= span.range.start);
        joined
            .get(next)
            .is_none_or(|other| other.range.start >= span.range.end)
    });
    joined.extend(free);
    joined.sort_by_key(|span| span.range.start);
    joined
        .into_iter()
        .flat_map(|span| without(&span, &hidden, text))
        .collect()
}

fn joined(found: Vec<Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for span in found {
        match joined.last_mut() {
            Some(last) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
            }
            _ => joined.push(span),
        }
    }
    joined
}

/// The parts of a span between markers, those that say something.
fn without(span: &Span, hidden: &[Range<usize>], text: &str) -> Vec<Span> {
    let mut from = span.range.start;
    let first = hidden.partition_point(|marker| marker.end <= from);
    let within = hidden[first..]
        .iter()
        .take_while(|marker| marker.start < span.range.end);
    let mut parts = Vec::new();
    for marker in within {
        parts.push(from..marker.start.max(from));
        from = marker.end;
    }
    parts.push(from..span.range.end.max(from));
    let says = |part: &Range<usize>| {
        text[part.clone()]
            .bytes()
            .any(|byte| !byte.is_ascii_whitespace())
    };
    let part = |range| Span {
        range,
        kind: span.kind,
    };
    parts.into_iter().filter(says).map(part).collect()
}

/// Where something is hidden already.
pub(super) fn markers(text: &str) -> Vec<Range<usize>> {
    let marker = |(start, open): (usize, &str)| {
        let rest = &text[start + open.len()..];
        let named = |kind: &&Kind| {
            rest.strip_prefix(kind.name())
                .is_some_and(|rest| rest.starts_with(']'))
        };
        let kind = Kind::ALL.iter().find(named)?;
        Some(start..start + open.len() + kind.name().len() + 1)
    };
    text.match_indices(OPEN).filter_map(marker).collect()
}
