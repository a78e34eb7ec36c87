//! All rules together: what in a text is to be hidden.
//!
//! Reads a text once for the marks of every rule (one automaton for all), then tries those rules only whose mark is
//! there: most texts have few, and a rule that is never tried costs no memory. Makes spans, in order and apart; what is
//! hidden already is in none of them.

use aho_corasick::{AhoCorasick, MatchKind};
use regex::{Regex, RegexBuilder};

use super::assignment::Assignments;
use super::card::Cards;
use super::forms::{EDGE, FORMS};
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
    forms: Vec<Regex>,
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
                matches(regex, text, form.kind, form.likely, &mut found);
            }
        }
        if assignment {
            self.assignments.find(text, &mut found);
        }
        self.cards.find(text, &mut found);
        for regex in &self.own {
            matches(regex, text, Kind::Token, |_| true, &mut found);
        }
        spans::apart(found, text)
    }
}

/// What a pattern hides: its first group that matched, or its whole match.
fn matches(regex: &Regex, text: &str, kind: Kind, likely: fn(&str) -> bool, found: &mut Vec<Span>) {
    for captures in regex.captures_iter(text) {
        let group = captures.iter().skip(1).flatten().next();
        let range = group
            .or_else(|| captures.get(0))
            .map_or(0..0, |group| group.range());
        if likely(&text[range.clone()]) {
            found.push(Span { range, kind });
        }
    }
}

/// A pattern of ours.
pub(super) fn constant(pattern: &str) -> Regex {
    bounded(&pattern.replace("EDGE", EDGE)).expect("a built-in pattern is a regular expression")
}

/// Any pattern, with what it keeps bounded.
pub(super) fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).dfa_size_limit(CACHE).build()
}
