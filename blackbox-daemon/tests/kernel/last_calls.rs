//! Where threads were when their process ended, and the calls that led there.

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::timing::wait_for;

use crate::lab::{self, Lab, Life, VICTIM};

fn rows(report: &Value) -> Result<&Vec<Value>> {
    report["last_calls"].as_array().context("no last calls")
}

/// Waits until it has so many threads and all of them wait.
fn until_asleep(life: &Life, threads: usize) -> Result<()> {
    let asleep = wait_for(lab::LIMIT, || {
        let states = lab::of_each_thread(life.pid(), "State:")?;
        let all = states.iter().all(|state| state.starts_with('S'));
        anyhow::Ok((all && states.len() == threads).then_some(()))
    })?;
    asleep.context("they do not wait")?;
    // What waits for its disk is asleep for less than this.
    std::thread::sleep(std::time::Duration::from_millis(300));
    Ok(())
}

#[test]
fn a_killed_sleeper_was_asleep() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("asleep")?;
    let life = Life::start(&cgroup, VICTIM, &["sleep"])?;
    until_asleep(&life, 1)?;
    let report = lab.report(life.kill()?)?;
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
    until_asleep(&life, 3)?;
    let pid = life.kill()?;
    let report = lab.report(pid)?;
    let threads = |waiting: bool| -> Result<u64> {
        let futex = |row: &&Value| row["call"] == "futex";
        let rows = rows(&report)?.iter().filter(futex);
        let rows = rows.filter(|row| !waiting || row["returned"].is_null());
        Ok(rows.filter_map(|row| row["threads"].as_u64()).sum())
    };
    assert_eq!(threads(false)?, 3, "{:#}", report["last_calls"]);
    // The end of a thread wakes the one that waits for it, if that has not ended before.
    assert!(threads(true)? >= 2, "{:#}", report["last_calls"]);
    Ok(())
}

/// The first life of a container ends badly, so every call of its second one is kept: also those that succeeded.
#[test]
fn every_call_of_the_next_life_is_kept() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let script = "sleep 0.3; head -c 5 /etc/hostname >/dev/null; cat /etc/no-such.yaml; exit 3";
    let args = ["--pid", "--fork", "--kill-child", "sh", "-c", script];
    let first = lab::cgroup("lives")?;
    let life = Life::start(&first, "unshare", &args)?;
    assert_eq!(life.end()?.0.code(), Some(3));
    let report = lab.report_on(&first)?;
    assert_eq!(report["tail"], Value::Null, "nobody had armed it");
    // The same place again, as a restarted unit or container has it.
    drop(first);
    let second = lab::cgroup("lives")?;
    let (pid, status, _) = lab::run_as(&second, "unshare", &args)?;
    assert_eq!(status.code(), Some(3));
    let report = lab.report_on(&second)?;
    let rows = report["tail"]["rows"].as_array().context("no tail")?;
    let made = |what: &str, returned: &str| {
        rows.iter().any(|row| {
            row["what"].as_str().is_some_and(|said| said.contains(what))
                && row["returned"]
                    .as_str()
                    .is_some_and(|said| said == returned)
        })
    };
    assert!(made("openat /etc/no-such.yaml", "ENOENT"), "{rows:#?}");
    assert!(
        rows.iter().any(|row| row["what"] == "openat /etc/hostname"),
        "what succeeded is there too: {rows:#?}"
    );
    assert!(
        rows.iter().any(|row| row["longest"].is_string()),
        "how long calls took: {rows:#?}"
    );
    let armed = lab::entries(&report, &second, "arming");
    assert!(!armed.is_empty(), "that it was armed is a record");
    assert!(pid > 0);
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
