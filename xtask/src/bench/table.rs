//! The table: one row for each piece of work, the recorder beside a peer, and whether the target is met.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Serialize, Serializer};

/// Where the table is kept, between these lines.
const BEGIN: &str = "<!-- written by `cargo xtask bench` -->";
const END: &str = "<!-- end -->";

/// What the ratio of ours to the peer's should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn met(self, ratio: f64) -> bool {
        match self {
            // NaN meets nothing.
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {}", figure(most)),
            Self::AtLeast(least) => format!("≥ {least:.3}"),
        }
    }
}

/// A ratio in two digits after the point, or in as many as it takes to say that it is not nothing.
fn figure(ratio: f64) -> String {
    match ratio.abs() {
        0.01.. => format!("{ratio:.2}"),
        0.001.. => format!("{ratio:.3}"),
        _ => format!("{ratio:.6}"),
    }
}

/// One comparison of one run.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) work: String,
    pub(super) ours: String,
    pub(super) peer: String,
    /// Of what ours took to what the peer took.
    pub(super) ratio: f64,
    pub(super) target: Target,
}

impl Row {
    pub(super) fn met(&self) -> bool {
        self.target.met(self.ratio)
    }

    fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} |",
            self.work,
            self.ours,
            self.peer,
            figure(self.ratio),
            self.target.words(),
            if self.met() { "yes" } else { "**no**" }
        )
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut row = serializer.serialize_struct("Row", 6)?;
        row.serialize_field("work", &self.work)?;
        row.serialize_field("ours", &self.ours)?;
        row.serialize_field("peer", &self.peer)?;
        row.serialize_field("ratio", &self.ratio)?;
        row.serialize_field("target", &self.target.words())?;
        row.serialize_field("met", &self.met())?;
        row.end()
    }
}

/// The table as Markdown, with `head` above it.
pub(super) fn markdown(head: &str, rows: &[Row]) -> String {
    format!(
        "{head}\n\n| work | ours | peer | ratio | target | met |\n| --- | --- | --- | --- | --- | --- |\n{}",
        lines(rows)
    )
}

/// Rows of the table, a line each.
pub(super) fn lines(rows: &[Row]) -> String {
    rows.iter().map(|row| row.line() + "\n").collect()
}

/// Puts `table` into the document at `path`, in place of the one before.
///
/// # Errors
/// It cannot be read or written, or has no place for a table.
pub(super) fn write(path: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let replaced = replace(&text, table)
        .with_context(|| format!("{} has no place for a table", path.display()))?;
    fs::write(path, replaced).with_context(|| path.display().to_string())
}

fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let row = Row {
            work: "w".to_owned(),
            ours: "o".to_owned(),
            peer: "p".to_owned(),
            ratio: 0.5,
            target: Target::AtMost(0.4),
        };
        assert!(!row.met());
        let table = markdown("head", &[row]);
        assert!(table.ends_with("| w | o | p | 0.50 | ≤ 0.40 | **no** |\n"));
        let document = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let once = replace(&document, &table).unwrap();
        assert_eq!(replace(&once, &table).unwrap(), once);
        assert!(once.starts_with("a\n") && once.ends_with("\nb\n") && !once.contains("old"));
        assert_eq!(replace("nothing", &table), None);
    }

    #[test]
    fn a_small_ratio_is_not_nothing() {
        let said = [1.2345, 0.016, 0.001, 0.000_016].map(figure);
        assert_eq!(said, ["1.23", "0.02", "0.001", "0.000016"]);
    }

    #[test]
    fn no_figure_meets_no_target() {
        assert!(!Target::AtMost(1.0).met(f64::NAN));
        assert!(Target::AtMost(1.0).met(1.0));
        assert!(Target::AtLeast(1.0).met(1.0) && !Target::AtLeast(1.0).met(0.9));
    }
}
