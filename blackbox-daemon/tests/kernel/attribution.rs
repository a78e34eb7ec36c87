//! Whose death was it? A leader that leaves first, a life of 5 ms, a thousand lives at once: all in their cgroup.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::lab::{self, Lab, VICTIM_COMM, entries};

/// Asserts that nothing decisive was lost or evicted since the daemon started.
pub(crate) fn assert_no_decisive_loss(report: &Value) {
    let classes = report["completeness"]["classes"].as_array();
    for row in classes.into_iter().flatten() {
        let class = row["class"].as_str().unwrap_or_default();
        if ["exec", "exit", "signal", "oom", "cgroup_lifecycle"].contains(&class) {
            assert_eq!(row["lost"], json!({}), "{row:#}");
            assert_eq!(row["evicted"], 0, "{row:#}");
        }
    }
    let completeness = &report["completeness"];
    assert_eq!(completeness["complete"], true, "{completeness:#}");
}

fn pids(entries: &[&Value]) -> BTreeSet<String> {
    let pid = |entry: &&Value| entry["tags"]["pid"].as_str().map(str::to_owned);
    entries.iter().filter_map(pid).collect()
}

#[test]
fn a_leader_that_leaves_first_dies_once_and_at_the_end() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("leader")?;
    let (pid, status, _) = lab::run(&cgroup, &["leader-exits"])?;
    assert_eq!(status.code(), Some(7));

    let report = lab.report(pid)?;
    let facts = &report["verdict"]["facts"];
    assert_eq!(report["verdict"]["cause"], "exit_code", "{facts:#}");
    assert_eq!(facts["exit_code"], 7, "{facts:#}");
    assert_eq!(facts["comm"], VICTIM_COMM);
    assert_eq!(facts["cgroup"], cgroup.path().as_str());
    let lived = facts["run_time_seconds"].as_f64().unwrap_or(0.0);
    assert!(
        lived >= 0.3,
        "the leader's end was taken for the death: {facts:#}"
    );
    let deaths = entries(&report, &cgroup, "process_exit");
    assert_eq!(deaths.len(), 1, "{deaths:#?}");
    assert_eq!(deaths[0]["tags"]["pid"], pid.to_string());
    Ok(())
}

#[test]
fn a_process_of_some_milliseconds_is_attributed() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("short")?;
    let (pid, status, _) = lab::run(&cgroup, &["short"])?;
    assert_eq!(status.code(), Some(3));

    let report = lab.report(pid)?;
    let facts = &report["verdict"]["facts"];
    assert_eq!(report["verdict"]["grade"], "proven", "{facts:#}");
    assert_eq!(facts["exit_code"], 3);
    assert_eq!(facts["comm"], VICTIM_COMM);
    assert_eq!(facts["cgroup"], cgroup.path().as_str());
    assert_eq!(facts["exe"], lab::VICTIM);
    assert_eq!(facts["parent_pid"], std::process::id());
    for name in ["process_exec", "process_exit"] {
        let found = entries(&report, &cgroup, name);
        assert_eq!(
            pids(&found),
            BTreeSet::from([pid.to_string()]),
            "{name}: {found:#?}"
        );
    }
    assert_no_decisive_loss(&report);
    Ok(())
}

#[test]
fn a_thousand_short_lives_are_all_attributed() -> Result<()> {
    const LIVES: usize = 1000;
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("burst")?;
    let (parent, status, output) = lab::run(&cgroup, &["burst", &LIVES.to_string()])?;
    assert!(status.success());
    let count: Value = serde_json::from_str(&output)?;
    assert_eq!(count, json!({"spawned": LIVES, "reaped": LIVES}));

    // The kernel's counts are read once a second: these include the burst.
    thread::sleep(Duration::from_millis(1200));
    let report = lab.report_on(&cgroup)?;
    let exits = entries(&report, &cgroup, "process_exit");
    let of_burst: Vec<&Value> = exits
        .into_iter()
        .filter(|exit| {
            exit["value"]
                .as_str()
                .is_some_and(|text| text.contains("exited with code 3"))
        })
        .collect();
    assert_eq!(of_burst.len(), LIVES);
    let died = pids(&of_burst);
    assert_eq!(died.len(), LIVES, "each died once");
    assert!(
        of_burst
            .iter()
            .all(|exit| exit["tags"]["comm"] == VICTIM_COMM)
    );

    let execs = entries(&report, &cgroup, "process_exec");
    let by_parent = format!("parent {VICTIM_COMM} (pid {parent})");
    let of_burst: Vec<&Value> = execs
        .into_iter()
        .filter(|exec| {
            exec["value"]
                .as_str()
                .is_some_and(|text| text.contains(&by_parent))
        })
        .collect();
    assert_eq!(pids(&of_burst), died, "who started is who died");
    assert_no_decisive_loss(&report);
    Ok(())
}
