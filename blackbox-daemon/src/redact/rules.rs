//! All rules together: what in a text is to be hidden.
//!
//! Reads a text once for the marks of every rule (one automaton for all), then tries those rules only whose mark is
//! there: most texts have few, and a rule that is never tried costs no memory. Makes spans, in order and apart; what is
//! hidden already is in none of them.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use regex::bytes::{self, RegexBuilder};

use super::assignment::Assignments;
use super::card::Cards;
use super::forms::{EDGE, FORMS, Form};
use super::prefix::{self, VENDORS};
use super::{Kind, Span, names, spans};

/// Bytes a pattern may keep on each thread to search faster: each of the API's threads may have all of them.
const CACHE: usize = 64 << 10;

/// What a mark stands for.
#[derive(Clone, Copy, Debug)]
enum Mark {
    /// Of [`VENDORS`].
    Vendor(usize),
    /// Of [`FORMS`].
    Form(usize),
    Assignment,
}

/// Every rule, ready to search.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    marks: Vec<Mark>,
    any: AhoCorasick,
    forms: Vec<bytes::Regex>,
    assignments: Assignments,
    cards: Cards,
    /// The operator's.
    pub(super) own: Vec<Regex>,
}

impl Rules {
    /// The patterns are constants, and a test builds them.
    pub(super) fn built_in() -> Self {
        const { assert!(FORMS.len() <= u64::BITS as usize) };
        let vendors = VENDORS.iter().enumerate();
        let vendors =
            vendors.flat_map(|(n, it)| it.begins.iter().map(move |m| (*m, Mark::Vendor(n))));
        let forms = FORMS.iter().enumerate();
        let forms = forms.flat_map(|(n, it)| it.marks.iter().map(move |m| (*m, Mark::Form(n))));
        let named = names::MARKS.iter().map(|mark| (*mark, Mark::Assignment));
        let (texts, marks): (Vec<&str>, Vec<Mark>) = vendors.chain(forms).chain(named).unzip();
        let any = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(texts);
        let forms = FORMS.iter().map(|form| constant(form.pattern));
        Self {
            marks,
            any: any.expect("few marks, and short"),
            forms: forms.collect(),
            assignments: Assignments::new(),
            cards: Cards::new(),
            own: Vec::new(),
        }
    }

    /// What to hide, in order and apart.
    pub(super) fn spans(&self, text: &str) -> Vec<Span> {
        let mut found = Vec::new();
        let (mut forms, mut assignment) = (0_u64, false);
        for at in self.any.find_overlapping_iter(text) {
            match self.marks[at.pattern().as_usize()] {
                Mark::Vendor(n) => {
                    let length = at.end() - at.start();
                    found.extend(prefix::token(text, &VENDORS[n], at.start(), length));
                }
                Mark::Form(n) => forms |= 1 << n,
                Mark::Assignment => assignment = true,
            }
        }
        for (n, (form, regex)) in FORMS.iter().zip(&self.forms).enumerate() {
            if forms & (1 << n) != 0 {
                matches(regex, text, form, &mut found);
            }
        }
        if assignment {
            self.assignments.find(text, &mut found);
        }
        self.cards.find(text, &mut found);
        for regex in &self.own {
            found.extend(regex.captures_iter(text).map(|captures| {
                let group = captures.iter().skip(1).flatten().next();
                let group = group.or_else(|| captures.get(0));
                let range = group.map_or(0..0, |group| group.range());
                let kind = Kind::Token;
                Span { range, kind }
            }));
        }
        spans::apart(found, text)
    }
}

/// What a form's pattern hides: its first group that matched, or its whole match.
fn matches(regex: &bytes::Regex, text: &str, form: &Form, found: &mut Vec<Span>) {
    for captures in regex.captures_iter(text.as_bytes()) {
        let group = captures.iter().skip(1).flatten().next();
        let group = group.or_else(|| captures.get(0));
        let range = group.map_or(0..0, |group| whole(text, group.range()));
        if (form.likely)(&text[range.clone()]) {
            let kind = form.kind;
            found.push(Span { range, kind });
        }
    }
}

/// The range without parts of characters at its ends: a pattern of bytes may begin or end within one.
pub(super) fn whole(text: &str, mut range: Range<usize>) -> Range<usize> {
    while !text.is_char_boundary(range.start) {
        range.start -= 1;
    }
    while !text.is_char_boundary(range.end) {
        range.end += 1;
    }
    range
}

/// A pattern of ours: of bytes, with what it keeps bounded.
pub(super) fn constant(pattern: &str) -> bytes::Regex {
    let pattern = pattern.replace("EDGE", EDGE);
    RegexBuilder::new(&pattern)
        .unicode(false)
        .dfa_size_limit(CACHE)
        .build()
        .expect("a built-in pattern is a regular expression")
}

/// A pattern of the operator's, with what it keeps bounded.
pub(super) fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(pattern)
        .dfa_size_limit(CACHE)
        .build()
}
