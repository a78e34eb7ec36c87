//! Checks with numbers: what was expected, and what was found.
#![expect(clippy::print_stdout, reason = "the table is the command's result")]

use serde::Serialize;

/// All checks of a command.
#[derive(Debug, Default, Serialize)]
pub(super) struct Rows(Vec<Row>);

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    expected: u64,
    found: u64,
}

impl Rows {
    pub(super) fn add(&mut self, what: impl Into<String>, expected: u64, found: u64) {
        self.0.push(Row {
            what: what.into(),
            expected,
            found,
        });
    }

    /// Whether everything is as it should be.
    pub(super) fn hold(&self) -> bool {
        matches!(self.counts(), (1.., 0))
    }

    /// How many checks hold, and how many do not.
    pub(super) fn counts(&self) -> (u64, u64) {
        let holding = self.0.iter().filter(|row| row.expected == row.found);
        let holding = holding.count() as u64;
        (holding, self.0.len() as u64 - holding)
    }

    pub(super) fn print(&self) {
        println!("\n{:<52} {:>8} {:>8}", "check", "expected", "found");
        for row in &self.0 {
            let mark = if row.expected == row.found {
                ""
            } else {
                "  NOT OK"
            };
            println!(
                "{:<52} {:>8} {:>8}{mark}",
                row.what, row.expected, row.found
            );
        }
    }
}
