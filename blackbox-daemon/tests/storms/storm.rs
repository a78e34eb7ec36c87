//! Storm control: a flood of failing calls, a fork storm and a recorder that stands still for 2 s, at default settings. Nothing
//! decisive is lost, every count is exact, and of a quiet container everything is there.
#![expect(clippy::print_stdout, reason = "figures are half of the result")]

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use xtask::stage::Cgroup;
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, Lab, Life, VICTIM, entries};

/// Reports asked for until one finds that every record has arrived.
const LOOKS: usize = 12;
/// How long the storm lasts, and for how long of that the daemon stands still, seconds.
const STORM: u64 = 8;
const STALL: Duration = Duration::from_secs(2);
/// Rounds of the quiet container: more than the storm lasts.
const ROUNDS: &str = "220";
const DECISIVE: [&str; 6] = [
    "exec",
    "exit",
    "signal",
    "oom",
    "cgroup_lifecycle",
    "last_call",
];

fn number(output: &str, key: &str) -> Result<u64> {
    let value: Value = serde_json::from_str(output)?;
    value[key]
        .as_u64()
        .with_context(|| format!("no {key} in {output}"))
}

fn stand_still(lab: &mut Lab) -> Result<()> {
    lab.daemon.signal(Signal::STOP)?;
    let stopped = wait_for(LIMIT, || {
        let states = lab::of_each_thread(lab.daemon.pid(), "State:")?;
        anyhow::Ok(
            states
                .iter()
                .all(|state| state.starts_with('T'))
                .then_some(()),
        )
    })?;
    stopped.context("the daemon does not stand still")?;
    thread::sleep(STALL);
    lab.daemon.signal(Signal::CONT)
}

fn rows(report: &Value) -> Vec<&Value> {
    report["completeness"]["classes"]
        .as_array()
        .into_iter()
        .flatten()
        .collect()
}

/// Asserts that a row's equation holds with nothing left over.
fn assert_conserved(row: &Value) {
    let lost = row["lost"].as_object().into_iter().flatten();
    let lost: u64 = lost.filter_map(|(_cause, count)| count.as_u64()).sum();
    let recorded = row["recorded"].as_u64().unwrap_or(0);
    assert_eq!(row["attempted"].as_u64(), Some(recorded + lost), "{row:#}");
    if DECISIVE.iter().any(|class| row["class"] == *class) {
        let causes: Vec<&String> = row["lost"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
            .collect();
        // Further threads of a process are left out on purpose.
        assert!(causes.iter().all(|cause| *cause == "throttled"), "{row:#}");
    }
}

/// A report about one of the quiet container's sleepers for which everything has arrived.
fn settled(lab: &mut Lab, sleepers: Vec<Life>) -> Result<Value> {
    let mut left = Vec::new();
    for sleeper in sleepers {
        let report = lab.report(sleeper.kill()?)?;
        let in_flight: Vec<Value> = rows(&report)
            .into_iter()
            .filter(|row| row["in_flight"] != 0)
            .cloned()
            .collect();
        if in_flight.is_empty() {
            return Ok(report);
        }
        left = in_flight;
    }
    bail!("records stay in flight: {left:#?}")
}

fn sum<'a>(entries: impl IntoIterator<Item = &'a Value>) -> u64 {
    entries
        .into_iter()
        .filter_map(|entry| entry["value"].as_u64())
        .sum()
}

/// Everything the quiet container did is in the report, and its death is proven.
fn assert_whole(report: &Value, cgroup: &Cgroup, output: &str) -> Result<()> {
    let (calls, children) = (number(output, "failed_calls")?, number(output, "children")?);
    let of = |name: &str| entries(report, cgroup, name);
    let short = |exit: &&Value| {
        exit["value"]
            .as_str()
            .is_some_and(|text| text.contains("with code 3"))
    };
    assert_eq!(
        of("process_exit").into_iter().filter(short).count() as u64,
        children
    );
    // Of each child, of the container's first program and of those that sleep.
    let execs = of("process_exec").len() as u64;
    assert_eq!(execs, children + 1 + LOOKS as u64, "programs started");
    let bad = |entry: &&Value| entry["tags"]["errno"] == "EBADF";
    assert_eq!(sum(of("syscall_errors").into_iter().filter(bad)), calls);
    let recorded = of("syscall_failed").into_iter();
    let recorded = recorded
        .filter(|call| call.to_string().contains("EBADF"))
        .count() as u64;
    assert_eq!(recorded, calls, "failed calls recorded");
    assert_eq!(
        report["verdict"]["grade"], "proven",
        "{:#}",
        report["verdict"]
    );
    Ok(())
}

/// What a storm is played with.
struct Storm {
    env: &'static [(&'static str, &'static str)],
    /// The daemon stands still for a while.
    stall: bool,
    /// Beside calls that fail and children that end, processes that crash one after the other.
    crashes: bool,
}

/// Plays a storm beside a quiet container, and gives a report about that for which everything has arrived. What holds for every
/// storm is asserted.
fn play(storm: &Storm) -> Result<Value> {
    let mut lab = Lab::start(storm.env)?;
    let [quiet, calls, forks, crashes] = ["quiet", "calls", "forks", "crashes"].map(lab::cgroup);
    let (quiet, calls, forks, crashes) = (quiet?, calls?, forks?, crashes?);
    let sleepers = (0..LOOKS)
        .map(|_| Life::start(&quiet, VICTIM, &["sleep"]))
        .collect::<Result<_>>()?;
    let steady = Life::start(&quiet, VICTIM, &["quiet", ROUNDS])?;
    let seconds = STORM.to_string();
    let storms = [
        Life::start(&calls, VICTIM, &["calls", &seconds])?,
        Life::start(&forks, VICTIM, &["forks", &seconds])?,
    ];
    let crashed = match storm.crashes {
        true => crash(&crashes)?,
        false => 0,
    };
    if storm.stall {
        thread::sleep(Duration::from_secs(2));
        stand_still(&mut lab)?;
    }
    let [called, forked] = storms.map(Life::end);
    let (called, forked) = (
        number(&called?.1, "failed_calls")? / STORM,
        number(&forked?.1, "children")? / STORM,
    );
    println!("{called} failing calls/s, {forked} children/s, {crashed} crashes");
    assert!(called > 50_000 && forked > 100, "this is no storm");
    let (status, output) = steady.end()?;
    assert!(status.success(), "{status}");
    // The kernel's counts are read once a second.
    thread::sleep(Duration::from_millis(1500));
    let report = settled(&mut lab, sleepers)?;
    for row in rows(&report) {
        println!("{row}");
        assert_conserved(row);
    }
    assert_whole(&report, &quiet, &output)?;
    Ok(report)
}

/// A crash loop at full speed for half of the storm: how often it crashed.
fn crash(cgroup: &Cgroup) -> Result<usize> {
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let mut crashes = 0;
    while jiff::Timestamp::now() < until {
        let mut command = cgroup.command(VICTIM)?;
        assert!(!command.arg("segv-null").status()?.success());
        crashes += 1;
    }
    Ok(crashes)
}

#[test]
fn a_storm_and_a_stall_of_two_seconds_cost_a_quiet_container_nothing() -> Result<()> {
    play(&Storm {
        env: &[],
        stall: true,
        crashes: false,
    })?;
    Ok(())
}

/// More than the window can hold of it.
#[test]
fn a_fork_storm_and_a_crash_loop_evict_nothing_of_a_quiet_container() -> Result<()> {
    let report = play(&Storm {
        env: &[
            ("BLACKBOX_WINDOW_DECISIVE_BYTES", "2MiB"),
            ("BLACKBOX_WINDOW_BULK_BYTES", "2MiB"),
            ("BLACKBOX_THROTTLE_INTERVAL", "10s"),
        ],
        stall: false,
        crashes: true,
    })?;
    let exits = rows(&report).into_iter().find(|row| row["class"] == "exit");
    let evicted = exits.and_then(|row| row["evicted"].as_u64());
    assert!(evicted > Some(1_000), "the storm fits: {evicted:?}");
    assert_eq!(
        report["completeness"]["complete"], true,
        "{:#}",
        report["completeness"]
    );
    Ok(())
}
