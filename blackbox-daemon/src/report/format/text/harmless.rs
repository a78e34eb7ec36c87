//! Text that processes chose, as it may stand on a page: it ends no line and no column, and does nothing to a terminal.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::TIME;
use crate::record::{Health, RecordId};
use crate::words;

/// Text that can't end its line or disturb a terminal.
pub(super) struct Line<'a>(pub(super) &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_replaced(
            f,
            self.0,
            |c| harmless(c) != c,
            |f, c| f.write_char(harmless(c)),
        )
    }
}

/// Text that can't end its line or its column.
pub(super) struct Cell<'a>(pub(super) &'a str);

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |c| c == '|' || harmless(c) != c;
        with_replaced(f, self.0, ends, |f, c| match c {
            '|' => f.write_str("\\|"),
            other => f.write_char(harmless(other)),
        })
    }
}

/// Writes `text` with the characters that `is_special` replaced, and whatever is between them in one piece. A report has
/// tens of thousands of lines, of which hardly one has any: plain ASCII is known by its bytes alone.
fn with_replaced(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    is_special: impl Fn(char) -> bool,
    replace: impl Fn(&mut fmt::Formatter<'_>, char) -> fmt::Result,
) -> fmt::Result {
    if words::is_plain(text) && !text.contains('|') {
        return f.write_str(text);
    }
    let mut rest = text;
    while let Some(at) = rest.find(&is_special) {
        let (plain, from) = rest.split_at(at);
        f.write_str(plain)?;
        let mut chars = from.chars();
        if let Some(special) = chars.next() {
            replace(f, special)?;
        }
        rest = chars.as_str();
    }
    f.write_str(rest)
}

/// U+2028 and U+2029 break lines for some readers; the direction overrides (Unicode TR9, section 2) make a
/// line look like another one.
pub(super) fn harmless(c: char) -> char {
    match c {
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// ` [r12, r14]`, or nothing.
pub(super) struct Cites<'a>(pub(super) &'a [RecordId]);

impl fmt::Display for Cites<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.iter().enumerate() {
            write!(f, "{}{id}", if index == 0 { " [" } else { ", " })?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "]" })
    }
}

/// Since when a lane has records; a lane may have none.
pub(super) struct Start(pub(super) Option<Timestamp>);

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => write!(f, "{}", at.strftime(TIME)),
            None => f.write_str("none"),
        }
    }
}

/// `state`, or `state (why)`.
pub(super) struct State<'a>(pub(super) &'a Health);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Health::Ok => f.write_str("ok"),
            Health::Degraded(why) => write!(f, "degraded ({})", Line(why)),
            Health::Disabled(why) => write!(f, "disabled ({})", Line(why)),
            Health::Failed(why) => write!(f, "failed ({})", Line(why)),
        }
    }
}
