//! `cargo xtask vm`: a node with cgroup v2 in a virtual machine, on which many containers run out of memory, while the
//! recorder records with the API server down.
//!
//! The host plays the kubelet; in the machine, `guest` plays the container runtime. Deaths are real; each must have
//! exactly one report, of the right pod, proven, and opened within a second. Needs qemu, no root and no KVM.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

mod check;
mod clerks;
mod clock;
mod cuts;
mod disk;
mod guest;
mod http;
mod initramfs;
mod kernel;
mod kubelet;
mod load;
mod machine;
mod matrix;
mod metrics;
mod node;
mod packed;
mod play;
mod pod;
mod protocol;
mod report;
mod scenario;
mod small;
mod status;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use self::check::{Findings, Spread};
use self::machine::Machine;
use self::node::Build;
use self::play::{Plan, Played};
use crate::output;

/// What Debian's stable release has.
const KERNEL: &str = "6.12";
/// Containers that run into their limits at once.
const AT_ONCE: usize = 4;
/// As many as are played in a minute where the machine is emulated, and the recorder not optimised.
const SMOKE_DEATHS: usize = 40;
const SMOKE_AT_ONCE: usize = 2;
const SMOKE_KERNELS: [&str; 2] = ["6.1", "6.12"];
/// Kernels, and how often the power of each is cut.
const SMOKE_CUTS: [(&str, usize); 2] = [("6.1", 5), ("6.12", 5)];

/// `cargo xtask vm`.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Which series of Debian's cloud kernels to boot; the newest of it is taken.
    #[arg(long, default_value = KERNEL, value_parser = ["6.12", "6.1"])]
    kernel: String,
    /// How many containers die.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=2000))]
    deaths: u16,
    /// Have a real API server on the host that is told what kubelets tell; and after the deaths, a roll-out.
    #[arg(long)]
    api_server: bool,
    /// How many pods are rolled out.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    replicas: u16,
    /// Write what was found to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Inside the machine: do what the host says.
    #[arg(long, hide = true)]
    guest: bool,
}

/// What else can be done to a machine.
#[derive(clap::Subcommand, Debug)]
enum Other {
    /// Cut the power under load, boot again, and compare what is told with what was recorded.
    PowerCuts(cuts::Options),
    /// Set the wall clock by an hour and to 1970 while the daemon records, and kill it at each.
    Clock(clock::Options),
    /// Examine the daemon on several kernels, with all privileges, with two, and with none.
    Matrix(matrix::Options),
    /// Record everything at once in 80 MiB and a tenth of a processor.
    Small(small::Options),
}

#[derive(Serialize)]
struct Outcome<'a> {
    kernel: &'a str,
    deaths: usize,
    #[serde(flatten)]
    findings: &'a Findings,
    ok: bool,
}

/// Runs the command. A check that fails is an exit code, told after the table.
///
/// # Errors
/// The machine cannot be had or fails, or a death cannot be staged.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.guest {
        return guest::run();
    }
    match &options.other {
        Some(Other::PowerCuts(options)) => return cuts::run(options),
        Some(Other::Clock(options)) => return clock::run(options),
        Some(Other::Matrix(options)) => return matrix::run(options),
        Some(Other::Small(options)) => return small::run(options),
        None => {}
    }
    let played = play::play(Plan {
        kernel: &options.kernel,
        build: Build::Shipped,
        deaths: options.deaths.into(),
        at_once: AT_ONCE,
        replicas: options.api_server.then(|| options.replicas.into()),
    })?;
    let Played {
        kernel, findings, ..
    } = &played;
    let ok = findings.hold();
    output::write(
        options.json.as_deref(),
        &Outcome {
            kernel,
            deaths: played.deaths,
            findings,
            ok,
        },
    )?;
    print(findings);
    println!(
        "\nreports: {}\nthe daemon used {:.1} s of a processor",
        played.directory.display(),
        played.daemon.as_secs_f32()
    );
    print_end(&played);
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What tests need: qemu, and a kernel. Fetches what is missing.
///
/// # Errors
/// It cannot be had.
pub(crate) fn ensure() -> Result<()> {
    Machine::ensure_tools()?;
    for (kernel, _) in SMOKE_CUTS {
        kernel::newest(kernel)?;
    }
    kernel::newest(KERNEL).map(drop)
}

/// A few of everything, as a test: how many checks hold, and how many do not. The daemon that was built last for tests records.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn smoke() -> Result<(u64, u64)> {
    let (mut passed, mut failed) = smoke_of_deaths()?;
    for (kernel, count) in SMOKE_CUTS {
        let (holding, others) = cuts::smoke(kernel, count)?;
        passed += holding;
        failed += others;
    }
    for (holding, others) in [
        matrix::smoke(&SMOKE_KERNELS.map(str::to_owned))?,
        clock::play(KERNEL, Build::Tested)?.counts(),
    ] {
        passed += holding;
        failed += others;
    }
    Ok((passed, failed))
}

fn smoke_of_deaths() -> Result<(u64, u64)> {
    let played = play::play(Plan {
        kernel: KERNEL,
        build: Build::Tested,
        deaths: SMOKE_DEATHS,
        at_once: SMOKE_AT_ONCE,
        replicas: None,
    })?;
    print(&played.findings);
    print_end(&played);
    let rows = &played.findings.rows;
    let passed = rows.iter().filter(|row| row.holds()).count() as u64;
    let failed = rows.len() as u64 - passed;
    if played.findings.hold() {
        played.forget()?;
        return Ok((passed, 0));
    }
    println!("reports: {}", played.directory.display());
    Ok((passed, failed.max(1)))
}

fn print_end(played: &Played) {
    println!(
        "{}: {} deaths in {:.0} s on Linux {}, {} reports",
        if played.findings.hold() {
            "ok"
        } else {
            "NOT OK"
        },
        played.deaths,
        played.took.as_secs_f32(),
        played.kernel,
        played.reports,
    );
}

fn print(findings: &Findings) {
    println!("\n{:<34} {:>8} {:>6}", "check", "expected", "found");
    for row in &findings.rows {
        let mark = if row.holds() { "" } else { "  NOT OK" };
        println!(
            "{:<34} {:>8} {:>6}{mark}",
            row.what, row.expected, row.found
        );
    }
    println!(
        "\n{:<34} {:>8} {:>6} {:>6}",
        "ms after the death", "median", "p99", "max"
    );
    let line = |what: &str, spread: &Spread| {
        println!(
            "{what:<34} {:>8} {:>6} {:>6}",
            spread.median, spread.p99, spread.max
        );
    };
    line("incident opened", &findings.opened_ms);
    line("report written", &findings.written_ms);
    println!("\n{} reports are complete", findings.complete);
    for complaint in &findings.complaints {
        println!("NOT OK: {complaint}");
    }
}
