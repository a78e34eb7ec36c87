//! `cargo xtask zoo`: small programs die for real under the built daemon, and each diagnosis is compared with the truth.
//!
//! Builds what it needs, installing compilers that are missing. Needs root and BPF; leaves nothing behind but
//! `target/zoo`, and with `--keep` the reports and the daemon's log.
#![expect(clippy::print_stderr, reason = "a long command says where it is")]

mod build;
mod cases;
mod container;
mod from;
mod play;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cargo::{cargo, target_directory};
use crate::exec::{self, step};
use crate::stage::{self, Daemon, DaemonOptions};
use crate::{build_ebpf, deaths, output};
use build::Programs;
use cases::{ALL, Case};
use table::{Counts, Outcome};

/// The cgroups the daemon watches.
const WATCH_CGROUPS: &str = "/blackbox-zoo-*";

const READY_LIMIT: Duration = Duration::from_secs(20);
/// What a report shows beside the death itself is what was recorded before it.
const HISTORY: Duration = Duration::from_secs(2);

/// `cargo xtask zoo`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Which cases to run; all without one.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run the cases in DIR, not those of the repository: DIR/NAME/main.* and DIR/NAME/case.json.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Write what was expected and what was said to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the reports and the daemon's log.
    #[arg(long)]
    keep: bool,
}

/// Runs the command. A diagnosis that is confident and wrong, or two that are not right, are an exit code.
///
/// # Errors
/// Root or BPF is missing, a case or a name is not understood, something does not build, or the daemon does not start.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (all, sources) = match &options.from {
        Some(folder) => (from::read(folder)?, fs::canonicalize(folder)?),
        None => (ALL.to_vec(), build::own_sources()),
    };
    let cases = chosen(&all, &options.names)?;
    stage::require_kernel().context("the zoo needs root and BPF (sudo)")?;
    let programs = step("zoo: building the programs", || {
        Programs::build(&cases, sources)
    })?;
    build_ebpf::build(&build_ebpf::Options::default())?;
    step("zoo: building the daemon", || {
        exec::run(cargo().args(["build", "--quiet", "--package", "blackbox-daemon", "--bins"]))
    })?;
    let built = target_directory()?.join("debug");
    let victim = built.join("blackbox-victim");
    deaths::require_victim(&victim)?;

    let mut directory = tempfile::Builder::new().prefix("blackbox-zoo-").tempdir()?;
    directory.disable_cleanup(options.keep);
    let formatters = ("BLACKBOX_OUTPUT_FORMATTERS".into(), "json,default".into());
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: built.join("blackbox-daemon"),
        directory: directory.path().into(),
        env: vec![
            ("BLACKBOX_WATCH_CGROUPS".into(), WATCH_CGROUPS.into()),
            formatters,
        ],
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(READY_LIMIT)?;
    thread::sleep(HISTORY);

    let mut outcomes = Vec::new();
    for case in &cases {
        eprintln!("── zoo: {}", case.name);
        ensure!(daemon.ended()?.is_none(), "the daemon ended");
        let outcome = play::play(case, &programs, &victim, &mut daemon);
        outcomes.push(outcome.unwrap_or_else(|why| Outcome::failed(case, format!("{why:#}"))));
    }
    let status = daemon.stop()?;
    for outcome in &mut outcomes {
        outcome.replayed = match &outcome.report_path {
            Some(report) => replays(&built.join("blackbox-daemon"), report)?,
            None => false,
        };
    }
    table::print(&outcomes);
    if options.keep {
        eprintln!("reports: {}", daemon.reports_directory().display());
    }
    output::write(options.json.as_deref(), &outcomes)?;
    if !status.success() {
        eprintln!("zoo: the daemon ended with {status}");
    }
    let good = status.success() && Counts::of(&outcomes).are_good();
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether the bundle beside a report is whole and gives the same report again.
fn replays(daemon: &Path, report: &Path) -> Result<bool> {
    let bundle = report.with_extension("tar.zst");
    for command in ["verify", "replay"] {
        let output = Command::new(daemon).arg(command).arg(&bundle).output()?;
        if !output.status.success() {
            let told = [output.stdout, output.stderr].concat();
            eprintln!(
                "{command} {}: {}",
                bundle.display(),
                String::from_utf8_lossy(&told)
            );
            return Ok(false);
        }
    }
    Ok(true)
}

/// The cases that were named, in the order of the list.
fn chosen(all: &[Case], names: &[String]) -> Result<Vec<Case>> {
    let known = |name: &str| all.iter().any(|case| case.name == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = all.iter().map(|case| case.name).collect();
        bail!("no case {unknown}: one of {}", all.join(", "));
    }
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(all.iter().filter(wanted).copied().collect())
}
