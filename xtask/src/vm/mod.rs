//! `cargo xtask vm`: a node with cgroup v2 in a virtual machine, on which many containers run out of memory, while the
//! recorder records with the API server down.
//!
//! The host plays the kubelet; in the machine, `guest` plays the container runtime. Deaths are real; each must have
//! exactly one report, of the right pod, proven, and opened within a second. Needs qemu, no root and no KVM.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

mod check;
mod clerks;
mod guest;
mod initramfs;
mod kernel;
mod kubelet;
mod machine;
mod node;
mod pod;
mod protocol;
mod report;
mod scenario;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use self::check::{Findings, Spread};
use self::clerks::Clerks;
use self::kubelet::{Death, Kubelet};
use self::node::{Access, Node};
use crate::exec::step;
use crate::output;
use crate::timing::Stopwatch;

/// `cargo xtask vm`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Which series of Debian's cloud kernels to boot; the newest of it is taken.
    #[arg(long, default_value = "6.12", value_parser = ["6.12", "6.1"])]
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
    let clerks = match options.api_server {
        true => Some(step("vm: starting an API server", Clerks::start)?),
        false => None,
    };
    let access = clerks.as_ref().map_or_else(Access::down, Access::up)?;
    let mut node = Node::start(&options.kernel, &access)?;
    node.record()?;
    let watch = Stopwatch::start();
    let (played, clerks) = play(&mut node, clerks, options)?;
    let took = watch.elapsed();
    let kernel = node.kernel.clone();
    let Played { deaths, calm } = played;
    let written = step("vm: reports", || node.finish(deaths.len()))?;
    drop(clerks);
    let findings = check::compare(&deaths, &calm, &written.reports);
    let ok = findings.hold();
    print(&findings);
    output::write(
        options.json.as_deref(),
        &Outcome {
            kernel: &kernel,
            deaths: deaths.len(),
            findings: &findings,
            ok,
        },
    )?;
    println!(
        "\nreports: {}\nthe daemon used {:.1} s of a processor\n{}: {} deaths in {:.0} s on Linux {kernel}, {} reports",
        written.directory.display(),
        Duration::from_millis(written.cpu_ms).as_secs_f32(),
        if ok { "ok" } else { "NOT OK" },
        deaths.len(),
        took.as_secs_f32(),
        written.reports.len(),
    );
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What happened.
struct Played {
    deaths: Vec<Death>,
    /// The uids of pods that were rolled out.
    calm: Vec<String>,
}

fn play(
    node: &mut Node,
    clerks: Option<Clerks>,
    options: &Options,
) -> Result<(Played, Option<Clerks>)> {
    let is_up = clerks.is_some();
    let mut kubelet = Kubelet::new(&mut node.machine, clerks);
    let mut calm = Vec::new();
    if is_up {
        let count = usize::from(options.replicas);
        calm = step("vm: replicas", || {
            scenario::replicas(&mut kubelet, "web-1", count)
        })?;
    }
    step("vm: deaths", || {
        scenario::deaths(&mut kubelet, options.deaths.into(), is_up)
    })?;
    if is_up {
        let new = step("vm: a roll-out", || {
            scenario::roll_out(&mut kubelet, &calm, "web-2")
        })?;
        calm.extend(new);
    }
    let (deaths, clerks) = kubelet.close();
    Ok((Played { deaths, calm }, clerks))
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
    println!(
        "\n{} reports are complete, {} name the pod",
        findings.complete, findings.named
    );
    for complaint in &findings.complaints {
        println!("NOT OK: {complaint}");
    }
}
