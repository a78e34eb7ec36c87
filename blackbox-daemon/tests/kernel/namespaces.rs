//! Pid namespaces: the end of pid 1 is the end of a container, and takes the rest along.

use anyhow::Result;
use serde_json::Value;
use xtask::stage::Cgroup;

use crate::lab::{self, LIMIT, Lab, Life};

/// No cgroup of these tests is watched: what is told is told for the sake of the namespace.
const UNWATCHED: [(&str, &str); 1] = [("BLACKBOX_WATCH_CGROUPS", "/blackbox-unwatched")];

/// Runs a shell as pid 1 of a pid namespace of its own.
fn run_as_pid_1(cgroup: &Cgroup, script: &str) -> Result<()> {
    let words = ["--pid", "--fork", "sh", "-c", script];
    Life::start(cgroup, "unshare", &words)?.end()?;
    Ok(())
}

fn is_in(report: &Value, cgroup: &Cgroup) -> bool {
    report["verdict"]["facts"]["cgroup"] == cgroup.path().as_str()
}

#[test]
fn pid_1_that_ends_badly_is_one_incident_with_all_it_takes_along() -> Result<()> {
    let mut lab = Lab::start(&UNWATCHED)?;
    let cgroup = lab::cgroup("namespace")?;
    run_as_pid_1(&cgroup, "sleep 60 & sleep 60 & sleep 0.3; exit 5")?;
    let (_path, report) = lab
        .daemon
        .wait_report(LIMIT, |report| is_in(report, &cgroup))?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["cause"], "exit_code", "{verdict:#}");
    assert_eq!(verdict["grade"], "proven");
    assert_eq!(verdict["facts"]["exit_code"], 5);
    assert_eq!(verdict["facts"]["comm"], "sh");
    let also = &report["incident"]["context"]["also_killed_pids"];
    assert_eq!(also.as_array().map(Vec::len), Some(2), "{also}");
    lab.daemon.stop()?;
    let told = lab.daemon.reports()?;
    assert_eq!(
        told.iter().filter(|report| is_in(report, &cgroup)).count(),
        1
    );
    Ok(())
}

#[test]
fn pid_1_that_ends_well_is_none_whatever_it_takes_along() -> Result<()> {
    let mut lab = Lab::start(&UNWATCHED)?;
    let cgroup = lab::cgroup("namespace-well")?;
    run_as_pid_1(&cgroup, "sleep 60 & sleep 0.3; exit 0")?;

    // A later death in the same cgroup shows that the killed one was seen, and judged harmless.
    let report = lab.report_on(&cgroup)?;
    let exits = lab::entries(&report, &cgroup, "process_exit");
    let killed = |exit: &&&Value| {
        exit["value"]
            .as_str()
            .is_some_and(|v| v.contains("SIGKILL"))
    };
    assert_eq!(exits.iter().filter(killed).count(), 2, "{exits:#?}");
    lab.daemon.stop()?;
    let told = lab.daemon.reports()?;
    assert_eq!(
        told.iter().filter(|report| is_in(report, &cgroup)).count(),
        1
    );
    Ok(())
}
