//! Hides secrets before anything is kept.
//!
//! Reads texts and JSON of applications and of the cluster; makes the same with `[hidden: <kind>]` in place of each
//! secret. Guarantees: it never panics, takes time linear in the text, and what it made it leaves alone: hiding twice
//! is hiding once. A guess by form and by name: a secret that looks like a word and stands in prose is not found.

mod assignment;
mod card;
mod event;
mod forms;
mod json;
mod lines;
mod names;
mod plain;
mod prefix;
mod rules;
mod spans;
mod value;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use regex::Regex;

use self::rules::Rules;
pub use self::spans::marks;

/// Most turns over one text: what one turn writes may, with a pattern of one's own, be what another finds.
const TURNS: usize = 4;

static BUILT_IN: LazyLock<Arc<Rules>> = LazyLock::new(|| Arc::new(Rules::built_in()));

/// What was hidden, by form or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Token,
    Key,
    Password,
    Email,
    Card,
}

impl Kind {
    /// Every kind, in the order of their counts.
    pub const ALL: [Self; 5] = [
        Self::Token,
        Self::Key,
        Self::Password,
        Self::Email,
        Self::Card,
    ];

    /// The word in `[hidden: <kind>]`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Key => "key",
            Self::Password => "password",
            Self::Email => "email",
            Self::Card => "card",
        }
    }

    fn marker(self) -> String {
        format!("[hidden: {}]", self.name())
    }
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the pattern {pattern:?} is no regular expression: {source}")]
    Pattern {
        pattern: String,
        source: Box<regex::Error>,
    },
    #[error("the pattern {0:?} matches the empty text: it would hide nothing, everywhere")]
    Empty(String),
}

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted<'a> {
    pub text: Cow<'a, str>,
    /// How many secrets were hidden.
    pub hidden: u32,
}

/// Part of a text that is to be hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    range: Range<usize>,
    kind: Kind,
}

/// Hides secrets. A clone shares its patterns and its counts.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Arc<Rules>,
    counts: Arc<[AtomicU64; Kind::ALL.len()]>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self {
            rules: Arc::clone(&BUILT_IN),
            counts: Arc::default(),
        }
    }
}

impl Redactor {
    /// The built-in rules, and `extra` regular expressions: what they match, or their first group, is hidden as a token.
    ///
    /// # Errors
    /// One is no regular expression, is too large, or matches the empty text; the error names it.
    pub fn new(extra: &[String]) -> Result<Self, Error> {
        if extra.is_empty() {
            return Ok(Self::default());
        }
        let extra = extra.iter().map(|pattern| own(pattern));
        let mut rules = Rules::clone(&BUILT_IN);
        rules.own = extra.collect::<Result<_, _>>()?;
        Ok(Self {
            rules: Arc::new(rules),
            counts: Arc::default(),
        })
    }

    /// The text without its secrets; borrowed, if it has none.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Redacted<'a> {
        let mut made = Cow::Borrowed(text);
        let mut hidden = 0;
        for _ in 0..TURNS {
            let spans = self.rules.spans(&made);
            if spans.is_empty() {
                break;
            }
            hidden += u32::try_from(spans.len()).unwrap_or(u32::MAX);
            made = Cow::Owned(self.without(&made, &spans));
        }
        Redacted { text: made, hidden }
    }

    /// Hides secrets in place; returns how many.
    pub fn string(&self, text: &mut String) -> u32 {
        let redacted = self.text(text);
        let hidden = redacted.hidden;
        if let Cow::Owned(made) = redacted.text {
            *text = made;
        }
        hidden
    }

    /// How many secrets this redactor and its clones have hidden, by kind.
    #[must_use]
    pub fn counts(&self) -> [(Kind, u64); Kind::ALL.len()] {
        Kind::ALL.map(|kind| (kind, self.counts[kind as usize].load(Ordering::Relaxed)))
    }

    fn count(&self, kind: Kind) {
        self.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// `spans` are in order and apart.
    fn without(&self, text: &str, spans: &[Span]) -> String {
        let mut made = String::with_capacity(text.len());
        let mut from = 0;
        for Span { range, kind } in spans {
            made.push_str(&text[from..range.start]);
            made.push_str(&kind.marker());
            from = range.end;
            self.count(*kind);
        }
        made.push_str(&text[from..]);
        made
    }
}

fn own(pattern: &str) -> Result<Regex, Error> {
    let regex = rules::bounded(pattern).map_err(|source| Error::Pattern {
        pattern: pattern.to_owned(),
        source: Box::new(source),
    })?;
    match regex.is_match("") {
        true => Err(Error::Empty(pattern.to_owned())),
        false => Ok(regex),
    }
}

#[cfg(test)]
mod tests;
