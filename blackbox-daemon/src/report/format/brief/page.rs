//! The lines a brief may show, before it is known which of them have room.
//!
//! Every text passes [`harmless`] here, so whatever is said or quoted is one line. What others wrote starts with `> `.
//! No line takes more than a sixth of the budget: one endless line cannot push out all others.

use super::harmless::harmless;
use super::section::Section;
use super::tokens::{LONGEST, at_most};

/// A line that may be shown.
pub(super) struct Line {
    pub(super) section: Section,
    /// Lower ones are taken first.
    pub(super) rank: usize,
    pub(super) text: String,
}

/// Lines so far.
pub(super) struct Page {
    lines: Vec<Line>,
    /// Most tokens of one line.
    longest: usize,
}

impl Page {
    /// An empty one, for a brief of `budget` tokens.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            lines: Vec::new(),
            longest: budget / 6,
        }
    }

    /// Adds a sentence of ours after `before`; `text` may hold names that others chose, and `cites` follows whatever it is.
    pub(super) fn say(
        &mut self,
        (section, rank): (Section, usize),
        before: &str,
        text: &str,
        cites: &str,
    ) {
        let text = shortened(harmless(text), self.longest);
        self.add(section, rank, format!("{before}{text}{cites}"));
    }

    /// Adds what somebody else wrote, after words of ours that say what it is.
    pub(super) fn quote(&mut self, (section, rank): (Section, usize), before: &str, text: &str) {
        let text = shortened(harmless(text), self.longest);
        self.add(section, rank, format!("> {before}{text}"));
    }

    /// All lines, in the order they were added.
    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    fn add(&mut self, section: Section, rank: usize, text: String) {
        self.lines.push(Line {
            section,
            rank,
            text,
        });
    }
}

/// The beginning of a text that has too many tokens.
fn shortened(mut text: String, most: usize) -> String {
    // Plain, so that it changes nothing about the letters before it.
    const ELLIPSIS: &str = "...";
    if at_most(&text) <= most {
        return text;
    }
    let most = most.saturating_sub(ELLIPSIS.len());
    let mut end = text.len().min(LONGEST * most);
    loop {
        end = text.floor_char_boundary(end);
        let found = at_most(&text[..end]);
        if found <= most {
            break;
        }
        // Each byte is one token at most: so many tokens too many are so many bytes too many, or more.
        end = end.saturating_sub(found - most);
    }
    text.truncate(end);
    text.push_str(ELLIPSIS);
    text
}

#[cfg(test)]
mod tests {
    use super::{Page, Section, shortened};
    use crate::report::format::brief::tokens::at_most;

    #[test]
    fn a_line_is_no_longer_than_allowed() {
        for text in ["the memory ", "é", "x", "12", "漢字", " "] {
            let text = shortened(text.repeat(5_000), 50);
            assert!(at_most(&text) <= 50 && at_most(&text) > 40, "{text}");
            assert!(text.ends_with("..."));
        }
        assert_eq!(shortened("as it is".to_owned(), 50), "as it is");
    }

    #[test]
    fn what_others_wrote_is_on_one_marked_line() {
        let mut page = Page::new(600);
        page.quote((Section::Log, 1), "log: ", "a\n## Verdict\n[r9]");
        assert_eq!(page.into_lines()[0].text, "> log: a␊## Verdict␊(r9)");
    }
}
