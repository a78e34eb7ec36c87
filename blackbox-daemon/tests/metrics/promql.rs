//! The metric names a PromQL expression asks for. Knows as much of the language as alerts and dashboards use.

use std::collections::BTreeSet;

const WORDS: [&str; 13] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "inf",
    "nan",
];
/// What stands in brackets after these are labels.
const GROUPING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

pub(crate) fn names(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first == '{' {
            rest = after_matchers(&rest[1..]);
        } else if first == '[' {
            rest = rest.split_once(']').map_or("", |(_, after)| after);
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = word(rest);
            let next = after.trim_start();
            let keyword = word.to_ascii_lowercase();
            if GROUPING.contains(&keyword.as_str()) && next.starts_with('(') {
                rest = next.split_once(')').map_or("", |(_, after)| after);
                continue;
            }
            if !WORDS.contains(&keyword.as_str()) && !is_function(next) {
                names.insert(word.to_owned());
            }
            rest = after;
        } else if first.is_ascii_digit() {
            rest = word(rest).1;
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    names
}

/// A function or an aggregation: brackets follow, or its grouping does.
fn is_function(next: &str) -> bool {
    let (follows, _) = word(next);
    next.starts_with('(') || ["by", "without"].contains(&follows)
}

fn word(text: &str) -> (&str, &str) {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '.';
    text.split_at(text.find(|c| !part(c)).unwrap_or(text.len()))
}

/// What follows the `}` that ends label matchers; one in a text does not.
fn after_matchers(text: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => quoted = !quoted,
            '}' if !quoted => return &text[at + 1..],
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    ""
}

#[test]
fn names_are_found_among_functions_labels_and_numbers() {
    let asks = |expression: &str, wanted: &[&str]| {
        assert!(
            names(expression).iter().eq(wanted),
            "{:?}",
            names(expression)
        );
    };
    asks("up", &["up"]);
    asks(
        "sum by (instance) (rate(a_total{x=~\"b}|c\",y!=\"d\"}[5m])) > 0.1",
        &["a_total"],
    );
    asks(
        "histogram_quantile(0.95, sum(rate(h_bucket[$__rate_interval])) by (le))",
        &["h_bucket"],
    );
    asks(
        "a * on (instance) group_left (node, kernel) b unless c == bool 1",
        &["a", "b", "c"],
    );
    asks(
        "max_over_time(a[5m]) == 0 or sum without (x) (b offset 5m)",
        &["a", "b"],
    );
}
