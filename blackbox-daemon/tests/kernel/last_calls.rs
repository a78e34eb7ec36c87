//! Where threads were when their process ended, and the calls that led there.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::lab::{self, Lab, Life, VICTIM};

fn rows(report: &Value) -> Result<&Vec<Value>> {
    report["last_calls"].as_array().context("no last calls")
}

#[test]
fn a_killed_sleeper_was_asleep() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let report = lab.report_on(&lab::cgroup("asleep")?)?;
    let rows = rows(&report)?;
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["call"], "clock_nanosleep", "{rows:#?}");
    assert_eq!(rows[0]["returned"], Value::Null, "it waited: {rows:#?}");
    Ok(())
}

#[test]
fn threads_that_wait_for_each_other_are_told_when_they_are_killed() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("stuck")?;
    let mut life = Life::start(&cgroup, VICTIM, &["stuck"])?;
    life.wait_for_word("ready")?;
    let pid = life.kill()?;
    let report = lab.report(pid)?;
    let waiting = |row: &&Value| row["call"] == "futex" && row["returned"].is_null();
    let threads: u64 = rows(&report)?
        .iter()
        .filter(waiting)
        .filter_map(|row| row["threads"].as_u64())
        .sum();
    assert_eq!(threads, 3, "{:#?}", report["last_calls"]);
    Ok(())
}

/// What ends by itself with a code waited for nothing; that it called `exit_group` is told by its end.
#[test]
fn an_exit_has_no_last_call() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("exits")?;
    let (pid, ..) = lab::run(&cgroup, &["exit", "7"])?;
    let report = lab.report(pid)?;
    assert_eq!(report["last_calls"], Value::Null);
    Ok(())
}
