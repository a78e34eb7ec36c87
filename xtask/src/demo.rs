//! `cargo xtask demo`: starts the built daemon, lets processes die in known ways, prints each report, and says whether
//! it is true.
//!
//! Builds what it needs. Needs root and BPF; leaves the reports and the daemon's log behind and nothing else.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the demo is its output"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde::Serialize;
use serde_json::Value;

use crate::cargo::{cargo, target_directory};
use crate::deaths::{self, Death};
use crate::exec::{self, step};
use crate::stage::{self, Daemon, DaemonOptions};
use crate::timing::wait_for;
use crate::{build_ebpf, output};

const READY_LIMIT: Duration = Duration::from_secs(20);
const REPORT_LIMIT: Duration = Duration::from_secs(20);
/// The other formatters' files come in any order.
const TEXT_LIMIT: Duration = Duration::from_secs(3);
/// What a report shows beside the death itself is what was recorded before it.
const HISTORY: Duration = Duration::from_secs(3);

/// `cargo xtask demo`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Which death to stage.
    #[arg(long, default_value = "oom", value_parser = parse_death)]
    death: Chosen,
    /// Write what was staged and what was said of it to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Chosen(Vec<Death>);

fn parse_death(name: &str) -> Result<Chosen, String> {
    if name == "all" {
        return Ok(Chosen(Death::ALL.to_vec()));
    }
    let known = || Death::ALL.map(Death::name).join(", ");
    let one =
        Death::from_str(name, false).map_err(|_unknown| format!("one of {}, all", known()))?;
    Ok(Chosen(vec![one]))
}

/// One death and what the recorder said of it.
#[derive(Serialize)]
struct Outcome {
    death: Death,
    /// The verdict's headline; absent without a report.
    verdict: Option<String>,
    grade: Option<String>,
    #[serde(rename = "true")]
    is_true: bool,
    cause: Option<String>,
    facts: Value,
    /// What is not true, or why there is no report.
    complaints: Vec<String>,
}

/// Runs the command. A report that is missing or untrue is an exit code, told after the summary.
///
/// # Errors
/// Root or BPF is missing, something does not build, or the daemon does not start.
pub fn run(options: &Options) -> Result<ExitCode> {
    stage::require_kernel().context("the demo needs root and BPF (sudo)")?;
    build_ebpf::build(&build_ebpf::Options::default())?;
    step("demo: building the daemon", || {
        exec::run(cargo().args(["build", "--quiet", "--package", "blackbox-daemon", "--bins"]))
    })?;
    let programs = target_directory()?.join("debug");
    let victim = programs.join("blackbox-victim");
    deaths::require_victim(&victim)?;

    let directory = tempfile::Builder::new()
        .prefix("blackbox-demo-")
        .tempdir()?
        .keep();
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: programs.join("blackbox-daemon"),
        directory: directory.clone(),
        env: vec![(
            "BLACKBOX_WATCH_CGROUPS".into(),
            deaths::WATCH_CGROUPS.into(),
        )],
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(READY_LIMIT)?;
    eprintln!("── demo: the daemon is recording");
    thread::sleep(HISTORY);

    let mut outcomes = Vec::new();
    for death in &options.death.0 {
        let outcome = play(*death, &victim, &mut daemon)?;
        outcomes.push(outcome);
    }
    let status = daemon.stop()?;
    summarize(&outcomes, &directory);
    output::write(options.json.as_deref(), &outcomes)?;
    if !status.success() {
        eprintln!("demo: the daemon ended with {status}");
    }
    let good = status.success() && outcomes.iter().all(|outcome| outcome.is_true);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Stages one death, waits for its report, prints it and compares it with the truth.
///
/// # Errors
/// The death cannot be staged: that is no fault of the recorder's.
fn play(death: Death, victim: &Path, daemon: &mut Daemon) -> Result<Outcome> {
    println!(
        "\n━━ {} {}",
        death.name(),
        "━".repeat(96 - death.name().len())
    );
    let staged = death.stage(victim)?;
    let truth = &staged.truth;
    let found = daemon.wait_report(REPORT_LIMIT, |report| deaths::concerns(report, truth));
    let (verdict, complaints) = match found {
        Ok((path, report)) => {
            match text_of(&path)? {
                Some(text) => println!("{}", text.trim_end()),
                None => println!("(no text beside {})", path.display()),
            }
            (report["verdict"].clone(), deaths::check(&report, truth))
        }
        Err(error) => (
            Value::Null,
            vec![format!("no report of pid {}: {error:#}", truth.pid)],
        ),
    };
    for complaint in &complaints {
        println!("NOT TRUE: {complaint}");
    }
    let text = |key: &str| verdict[key].as_str().map(str::to_owned);
    Ok(Outcome {
        death,
        verdict: text("headline"),
        grade: text("grade"),
        is_true: complaints.is_empty(),
        cause: text("cause"),
        facts: verdict["facts"].clone(),
        complaints,
    })
}

/// The text of the `default` formatter: the file that bears the JSON report's name and another ending.
fn text_of(json: &Path) -> Result<Option<String>> {
    let folder = json.parent().context("a report has a folder")?;
    let stem = json.file_stem().context("a report has a name")?;
    wait_for(TEXT_LIMIT, || {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let ending = path.extension().unwrap_or_default();
            if path.file_stem() == Some(stem) && ending != "json" && ending != "csv" {
                return fs::read_to_string(&path).map(Some);
            }
        }
        Ok(None)
    })
    .with_context(|| format!("reading beside {}", json.display()))
}

fn summarize(outcomes: &[Outcome], directory: &Path) {
    println!("\n{:<10} {:<8} {:<5} verdict", "death", "grade", "true");
    for outcome in outcomes {
        println!(
            "{:<10} {:<8} {:<5} {}",
            outcome.death.name(),
            outcome.grade.as_deref().unwrap_or("—"),
            if outcome.is_true { "yes" } else { "NO" },
            outcome.verdict.as_deref().unwrap_or("no report"),
        );
    }
    println!("\nreports: {}", directory.join("reports").display());
    println!("log:     {}", directory.join("daemon.log").display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_death_or_all_can_be_chosen() {
        assert_eq!(parse_death("all").unwrap().0.len(), 6);
        assert_eq!(parse_death("child-oom").unwrap().0, [Death::ChildOom]);
        assert!(
            parse_death("flu")
                .unwrap_err()
                .contains("sigkill, exit, all")
        );
    }

    #[test]
    fn the_text_is_found_beside_the_json() {
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("1.2-oom.json");
        for (name, text) in [
            ("1.2-oom.json", "{}"),
            ("1.2-oom.csv", ","),
            ("1.2-oom.txt", "it"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(text_of(&json).unwrap().as_deref(), Some("it"));
    }
}
