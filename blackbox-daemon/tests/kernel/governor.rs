//! What the recorder does when the node's calls cost it more than it may: it lets go of calls that fail, says so, and comes back.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::stage::Cgroup;

use crate::lab::{self, Lab, Life, VICTIM};

/// How long it bears what is too much, and how long calls that fail are not told then (`sources/ebpf/governor`).
const PATIENCE: Duration = Duration::from_secs(60);
const REST: Duration = Duration::from_secs(300);

/// How the kernel source fares, as a report shows it.
fn source(report: &Value) -> Result<&Value> {
    let sources = report["completeness"]["sources"].as_array();
    let found = sources.and_then(|all| all.iter().find(|row| row["source"] == "ebpf"));
    found.context("no kernel source")
}

/// The report of a life in `cgroup` whose call fails before it ends with a code.
fn fails(lab: &mut Lab, cgroup: &Cgroup) -> Result<Value> {
    let script = "cat /etc/no-such.yaml; exit 3";
    let (pid, status, _) = lab::run_as(cgroup, "sh", &["-c", script])?;
    assert_eq!(status.code(), Some(3));
    lab.report(pid)
}

fn told(report: &Value, cgroup: &Cgroup) -> usize {
    lab::entries(report, cgroup, "syscall_failed").len()
}

/// One processor that does nothing but call: a million times a second, which costs more than one percent of one.
fn too_much() -> Result<(Lab, Cgroup)> {
    let mut lab = Lab::start(&[("BLACKBOX_CPU_BUDGET_PERCENT", "1")])?;
    let (before, busy) = (lab::cgroup("before")?, lab::cgroup("busy")?);
    let report = fails(&mut lab, &before)?;
    ensure!(told(&report, &before) > 0, "{:#}", report["calls"]);
    let flood = Life::start(&busy, "taskset", &["-c", "0", VICTIM, "calls", "600"])?;
    thread::sleep(PATIENCE + Duration::from_secs(8));
    flood.kill()?;
    Ok((lab, busy))
}

#[test]
fn calls_that_fail_go_when_they_cost_too_much_and_deaths_stay() -> Result<()> {
    let (mut lab, _busy) = too_much()?;
    let after = lab::cgroup("after")?;
    let report = fails(&mut lab, &after)?;
    assert_eq!(told(&report, &after), 0, "{:#}", report["calls"]);
    let state = source(&report)?;
    assert_eq!(state["state"], "degraded", "{state:#}");
    let why = state["why"].as_str().context("no reason")?;
    assert!(
        why.contains("failing calls and last words are not recorded for 5 minutes")
            && why.contains("1 % are allowed"),
        "{why}"
    );
    // Who killed it is proven all the same.
    let report = lab.report_on(&after)?;
    assert_eq!(
        report["verdict"]["grade"], "proven",
        "{:#}",
        report["verdict"]
    );
    Ok(())
}

#[test]
#[ignore = "takes six minutes"]
fn calls_that_fail_come_back() -> Result<()> {
    let (mut lab, _busy) = too_much()?;
    thread::sleep(REST);
    let again = lab::cgroup("again")?;
    let report = fails(&mut lab, &again)?;
    assert!(told(&report, &again) > 0, "{:#}", report["calls"]);
    assert_eq!(source(&report)?["state"], "ok");
    Ok(())
}
