//! The exam, on whatever kernel it runs: everything loads, each program runs and its records arrive, each of the six deaths is
//! told truly; with CAP_BPF and CAP_PERFMON alone it is the same; with none the daemon lives and says what it lacks.
//!
//! Runs as root, in a machine or on the host.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::super::metrics::{self, Counts};
use crate::deaths::{self, Death};
use crate::exec;
use crate::stage::{Cgroup, Daemon, DaemonOptions};
use crate::timing::wait_for;

/// CAP_PERFMON and CAP_BPF by number (linux/capability.h): older setpriv do not know the names.
const ONLY_BPF: [&str; 3] = [
    "setpriv",
    "--bounding-set=-all,+cap_38,+cap_39",
    "--inh-caps=-all",
];
const NOTHING: [&str; 3] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
/// While it is 1, the kernel counts how often each program runs.
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// What programs make records of, beside the calls of armed containers.
const CLASSES: [&str; 10] = [
    "exec",
    "exit",
    "signal",
    "oom",
    "crash_stack",
    "words",
    "cgroup_lifecycle",
    "last_call",
    "failed_call",
    "call_counts",
];
/// Says something, fails a call, and ends badly, as the first process of a pid namespace.
const SCRIPT: &str = "sleep 0.3; cat /etc/no-such.yaml; echo giving up >&2; exit 3";
const READY: Duration = Duration::from_secs(120);
const TOLD: Duration = Duration::from_secs(40);
const COUNTED: Duration = Duration::from_secs(15);

/// Where what it needs is.
#[derive(Clone, Debug)]
pub(in super::super) struct Place {
    pub(in super::super) daemon: PathBuf,
    pub(in super::super) victim: PathBuf,
    /// For logs and reports.
    pub(in super::super) directory: PathBuf,
    /// Free on this machine.
    pub(in super::super) metrics_port: u16,
}

/// One question, and what is wrong; empty if nothing is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Answer {
    pub(in super::super) question: String,
    /// What was found, in short.
    pub(in super::super) found: String,
    pub(in super::super) wrong: Option<String>,
}

/// Asks everything. What cannot be asked at all is an answer too.
pub(in super::super) fn examine(place: &Place) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut ask = |question: &str, answer: Result<String>| {
        let (found, wrong) = match answer {
            Ok(found) => (found, None),
            Err(error) => ("NOT OK".to_owned(), Some(format!("{error:#}"))),
        };
        answers.push(Answer {
            question: question.to_owned(),
            found,
            wrong,
        });
    };
    for (who, found) in [
        ("root", with_everything(place)),
        ("two capabilities", with_two(place)),
    ] {
        match found {
            Ok(found) => found
                .into_iter()
                .for_each(|(question, answer)| ask(&format!("{who}: {question}"), answer)),
            Err(error) => ask(&format!("{who}: the daemon records"), Err(error)),
        }
    }
    ask(
        "none: doctor says what is missing",
        doctor(place, &NOTHING, 1),
    );
    ask("none: degraded by name, alive", with_none(place));
    answers
}

type Found = Vec<(String, Result<String>)>;

fn with_everything(place: &Place) -> Result<Found> {
    let before = fs::read_to_string(STATS).context(STATS)?;
    fs::write(STATS, "1").context(STATS)?;
    let found = counted(place);
    fs::write(STATS, before.trim()).context(STATS)?;
    found
}

fn counted(place: &Place) -> Result<Found> {
    let mut daemon = start(place, "root", &[])?;
    let said = contained();
    let mut found = each_death(place, &mut daemon);
    let ran = said.and_then(|()| programs(place));
    found.push(("each program ran".to_owned(), ran));
    found.push(("records of each kind".to_owned(), kinds(place)));
    ensure!(daemon.stop()?.success(), "the daemon did not end well");
    Ok(found)
}

fn start(place: &Place, name: &str, wrapper: &[&str]) -> Result<Daemon> {
    let env = [
        ("BLACKBOX_WATCH_CGROUPS", deaths::WATCH_CGROUPS.to_owned()),
        ("BLACKBOX_METRICS_ENABLED", "true".to_owned()),
        ("BLACKBOX_METRICS_ADDRESS", "127.0.0.1".to_owned()),
        ("BLACKBOX_METRICS_PORT", place.metrics_port.to_string()),
    ];
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: place.daemon.clone(),
        directory: place.directory.join(name),
        env: env.map(|(key, value)| (key.to_owned(), value)).into(),
        wrapper: wrapper.iter().map(|&word| word.to_owned()).collect(),
    })?;
    daemon.wait_ready(READY)?;
    Ok(daemon)
}

/// Every hook is attached, and each of the deaths is told.
fn each_death(place: &Place, daemon: &mut Daemon) -> Found {
    let mut found = vec![("hooks attached".to_owned(), hooks(daemon))];
    for death in Death::ALL {
        found.push((death.name().to_owned(), play(place, death, daemon)));
    }
    found
}

/// Nothing in the log says that a hook is missing.
fn hooks(daemon: &Daemon) -> Result<String> {
    let log = daemon.log()?;
    let bad = |line: &&str| line.contains("source failed") || line.contains("source degraded");
    match log.lines().find(bad) {
        Some(line) => anyhow::bail!("{line}"),
        None => Ok("ok".to_owned()),
    }
}

/// Stages a death and compares its report with the truth.
fn play(place: &Place, death: Death, daemon: &mut Daemon) -> Result<String> {
    let staged = death.stage(&place.victim)?;
    let concerns = |report: &_| deaths::concerns(report, &staged.truth);
    let (_, report) = daemon.wait_report(TOLD, concerns)?;
    let untrue = deaths::check(&report, &staged.truth);
    ensure!(untrue.is_empty(), "{}", untrue.join("; "));
    Ok("true".to_owned())
}

/// Runs [`SCRIPT`] in a cgroup and a pid namespace of its own.
fn contained() -> Result<()> {
    let cgroup = Cgroup::create(&format!("blackbox-demo-{}/words", std::process::id()))?;
    let mut command = cgroup.command("unshare")?;
    command.args(["--pid", "--fork", "sh", "-c", SCRIPT]);
    let status = command.stderr(Stdio::null()).status()?;
    ensure!(status.code() == Some(3), "the script ended with {status}");
    Ok(())
}

/// Every attached program has run, by the kernel's count.
fn programs(place: &Place) -> Result<String> {
    let counts = metrics::read(place.metrics_port)?;
    let runs = counts.of("blackbox_bpf_program_run_total");
    ensure!(!runs.is_empty(), "the kernel counts no runs");
    // The two of the tail are attached only while a container is armed.
    let idle = |(labels, count): &(&String, &u64)| **count == 0 && !labels.contains("tail");
    let idle: Vec<_> = runs
        .iter()
        .filter(idle)
        .map(|(labels, _)| &**labels)
        .collect();
    ensure!(idle.is_empty(), "never run: {}", idle.join(", "));
    Ok(format!(
        "{} ran",
        runs.values().filter(|count| **count > 0).count()
    ))
}

/// Records of every class have arrived.
fn kinds(place: &Place) -> Result<String> {
    let missing = |counts: &Counts| -> Vec<&str> {
        let recorded = counts.of("blackbox_records_recorded_total");
        let has = |class: &&str| {
            let label = format!("class=\"{class}\"");
            recorded
                .iter()
                .any(|(labels, count)| labels.contains(&label) && *count > 0)
        };
        CLASSES.into_iter().filter(|class| !has(class)).collect()
    };
    let all = wait_for(COUNTED, || {
        let counts = metrics::read(place.metrics_port)?;
        anyhow::Ok(missing(&counts).is_empty().then_some(()))
    })?;
    if all.is_none() {
        let missing = missing(&metrics::read(place.metrics_port)?);
        anyhow::bail!("none of {}", missing.join(", "));
    }
    Ok(format!("{} kinds", CLASSES.len()))
}

/// `doctor` with these privileges ends with `code`, and names what is missing.
fn doctor(place: &Place, wrapper: &[&str], code: i32) -> Result<String> {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(&place.daemon).arg("doctor");
    command.env_clear().env("PATH", std::env::var("PATH")?);
    let output = command
        .env("BLACKBOX_OUTPUT_PATH", place.directory.join("doctor"))
        .output()
        .with_context(|| exec::line(&command))?;
    let table = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.code() == Some(code),
        "{}: {table}",
        output.status
    );
    let hooks = table.lines().filter(|line| line.starts_with("hook "));
    let attached = hooks.filter(|hook| hook.contains("  ok ")).count();
    let lacking = table.lines().find(|line| line.starts_with("capabilities"));
    if code != 0 {
        let lacking = lacking.context("capabilities are not told")?;
        ensure!(lacking.contains("CAP_BPF"), "{lacking}");
        return Ok("CAP_BPF".to_owned());
    }
    ensure!(attached >= 7, "{table}");
    Ok(format!("{attached} hooks"))
}

fn with_two(place: &Place) -> Result<Found> {
    let mut found = vec![("doctor".to_owned(), doctor(place, &ONLY_BPF, 0))];
    let mut daemon = start(place, "two", &ONLY_BPF)?;
    found.extend(each_death(place, &mut daemon));
    ensure!(daemon.stop()?.success(), "the daemon did not end well");
    Ok(found)
}

fn with_none(place: &Place) -> Result<String> {
    let mut daemon = start(place, "none", &NOTHING)?;
    let log = daemon.log()?;
    let named = log.lines().any(|line| {
        line.contains("source failed")
            && line.contains("ebpf")
            && line.contains("lacks CAP_BPF and CAP_PERFMON")
    });
    ensure!(named, "what is missing is not named: {log}");
    // It samples what needs no privilege.
    let sampled = wait_for(COUNTED, || {
        let counts = metrics::read(place.metrics_port)?;
        let recorded = counts.of("blackbox_records_recorded_total");
        let samples =
            |(labels, count): (&String, &u64)| labels.contains("node_sample") && *count > 0;
        anyhow::Ok(recorded.iter().any(samples).then_some(()))
    })?;
    sampled.context("nothing is sampled")?;
    ensure!(daemon.stop()?.success(), "the daemon did not end well");
    Ok("lives".to_owned())
}
