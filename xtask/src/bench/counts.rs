//! How many instructions the hot paths take, by callgrind: the same on a busy machine, so that a change of 2 % shows.
//!
//! Each is done a few times and many times, and what the difference took is what it takes: preparing cancels out. Budgets are in
//! docs/performance.md; more than one of them is a failure.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::peers;
use crate::cargo::cargo;
use crate::exec;

/// Where the budgets are kept, between these lines.
const BEGIN: &str = "<!-- budgets: `cargo xtask bench --counts` -->";
const END: &str = "<!-- end of budgets -->";
/// What a count may be above its budget: hash maps are seeded anew each time.
const SLACK: f64 = 1.02;

/// What is counted, how often it is done at least, and how often more than that.
const WORK: [(&str, u32, u32); 8] = [
    ("decode", 10, 1000),
    ("append", 10, 1000),
    ("slice", 1, 20),
    ("default", 1, 2),
    ("json", 1, 2),
    ("csv", 1, 2),
    ("markdown", 1, 2),
    ("brief", 1, 2),
];

/// Instructions of one piece of work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Count {
    name: &'static str,
    instructions: f64,
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:<10} {:>14.0} instructions",
            self.name, self.instructions
        )
    }
}

/// Counts all.
///
/// # Errors
/// callgrind is missing, or what is counted does not run.
pub(super) fn count() -> Result<Vec<Count>> {
    peers::ensure(&[("valgrind", "valgrind")])?;
    let valgrind = peers::find("valgrind")?;
    let program = build()?;
    let run = |name: &str, times: u32| -> Result<f64> {
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("callgrind.out");
        let mut command = Command::new(&valgrind);
        command.args([
            "--tool=callgrind",
            &format!("--callgrind-out-file={}", out.display()),
        ]);
        command
            .arg(&program)
            .args(["--times", &times.to_string(), name]);
        let output = command.output().with_context(|| exec::line(&command))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {said}", exec::line(&command));
        totals(&fs::read_to_string(&out)?).with_context(|| format!("no totals: {said}"))
    };
    WORK.into_iter()
        .map(|(name, few, more)| {
            let instructions = (run(name, few + more)? - run(name, few)?) / f64::from(more);
            ensure!(
                instructions > 1.0,
                "{name} takes {instructions} instructions"
            );
            Ok(Count { name, instructions })
        })
        .collect()
}

/// The line `totals: N` of a callgrind profile.
fn totals(profile: &str) -> Option<f64> {
    let line = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}

/// Builds the benchmark; where it is.
fn build() -> Result<PathBuf> {
    let mut command = cargo();
    command.args([
        "bench",
        "--package",
        "blackbox-daemon",
        "--bench",
        "hot",
        "--no-run",
        "--message-format",
        "json",
    ]);
    let said = exec::read(&mut command)?;
    let mut executable = said.lines().rev().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let own = message["target"]["name"] == "hot";
        own.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    executable.next().context("cargo names no executable")
}

/// Holds counts against the budgets in `document`.
///
/// # Errors
/// One is above its budget, or has none.
pub(super) fn check(document: &Path, counts: &[Count]) -> Result<()> {
    let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let over: Vec<String> = counts
        .iter()
        .filter_map(|count| {
            let budget = budget(&text, count.name);
            let within = budget.is_some_and(|budget| count.instructions <= budget * SLACK);
            (!within).then(|| {
                format!(
                    "{}: {:.0} instructions of {budget:?}",
                    count.name, count.instructions
                )
            })
        })
        .collect();
    if !over.is_empty() {
        bail!("above their budgets: {}", over.join("; "));
    }
    Ok(())
}

fn budget(text: &str, name: &str) -> Option<f64> {
    let (_, rest) = text.split_once(BEGIN)?;
    let (table, _) = rest.split_once(END)?;
    let row = format!("| {name} |");
    let line = table.lines().find_map(|line| line.strip_prefix(&*row))?;
    line.split('|').next()?.trim().parse().ok()
}

/// Makes the counts the budgets in `document`.
///
/// # Errors
/// It cannot be read or written, or has no place for them.
pub(super) fn renew(document: &Path, counts: &[Count]) -> Result<()> {
    let text = fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).context("no place for budgets")?;
    let (_, after) = rest.split_once(END).context("no end of budgets")?;
    let mut table = "| work | instructions |\n| --- | --- |\n".to_owned();
    for count in counts {
        table.push_str(&format!("| {} | {:.0} |\n", count.name, count.instructions));
    }
    fs::write(
        document,
        format!("{before}{BEGIN}\n\n{table}\n{END}{after}"),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_its_budget_or_has_none_fails() {
        let folder = tempfile::tempdir().unwrap();
        let document = folder.path().join("performance.md");
        fs::write(&document, format!("a\n{BEGIN}\n{END}\nb\n")).unwrap();
        let count = |instructions| {
            [Count {
                name: "decode",
                instructions,
            }]
        };
        assert!(check(&document, &count(100.0)).is_err(), "it has none");
        renew(&document, &count(100.0)).unwrap();
        check(&document, &count(101.0)).unwrap();
        let error = check(&document, &count(103.0)).unwrap_err().to_string();
        assert!(
            error.contains("decode: 103 instructions of Some(100.0)"),
            "{error}"
        );
        assert!(
            fs::read_to_string(&document)
                .unwrap()
                .ends_with(&format!("{END}\nb\n"))
        );
    }

    #[test]
    fn totals_are_found() {
        assert_eq!(
            totals("events: Ir\nsummary: 7\n\ntotals: 1234\n"),
            Some(1234.0)
        );
        assert_eq!(totals(""), None);
    }
}
