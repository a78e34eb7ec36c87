//! Conservation: a daemon that is stopped under a flood knows afterwards exactly what it does not have.
//!
//! The generator's own count is the truth: failing calls by error, children by death.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;
use xtask::stage::Cgroup;
use xtask::timing::wait_for;

use crate::attribution::assert_no_decisive_loss;
use crate::lab::{self, LIMIT, Lab, Life, VICTIM, entries};

/// Reports asked for until one finds that every record has arrived: other processes of the machine make records too.
const LOOKS: usize = 12;
/// The kernel's counts are read once a second.
const COUNTED: Duration = Duration::from_millis(1500);

/// What the generator says it did.
#[derive(Debug, Deserialize)]
struct Flood {
    failed_calls: u64,
    errno: i32,
    children: usize,
}

/// What a report must show of the flood.
struct Account {
    /// Their deaths are what reports are made for. Started before the flood: afterwards nothing fails in the cgroup.
    sleepers: Vec<Life>,
    lab: Lab,
    cgroup: Cgroup,
    flood: Flood,
    pid: u32,
}

/// Nothing keeps the flood from the ring.
const UNTHROTTLED: [(&str, &str); 3] = [
    ("BLACKBOX_SYSCALL_RATE", "1000000"),
    ("BLACKBOX_SYSCALL_BURST", "10000000"),
    ("BLACKBOX_RING_BULK_BYTES", "1MiB"),
];

/// What the daemon does meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Daemon {
    Runs,
    StandsStill,
}

/// Floods a cgroup for 2 s.
fn flood(name: &str, daemon: Daemon, env: &[(&str, &str)]) -> Result<Account> {
    let large = [
        ("BLACKBOX_WINDOW_DECISIVE_BYTES", "256MiB"),
        ("BLACKBOX_WINDOW_BULK_BYTES", "512MiB"),
    ];
    let mut lab = Lab::start(&[&large, env].concat())?;
    let cgroup = lab::cgroup(name)?;
    let sleepers = (0..LOOKS)
        .map(|_| Life::start(&cgroup, VICTIM, &["sleep"]))
        .collect::<Result<_>>()?;
    if daemon == Daemon::StandsStill {
        stop(&mut lab)?;
    }
    let (pid, status, output) = lab::run(&cgroup, &["flood", "2"])?;
    lab.daemon.signal(Signal::CONT)?;
    assert!(status.success(), "{status}");
    let flood: Flood = serde_json::from_str(&output)?;
    assert_eq!(flood.errno, libc::EBADF);
    assert!(flood.children > 50, "this is no flood: {flood:?}");
    thread::sleep(COUNTED);
    Ok(Account {
        sleepers,
        lab,
        cgroup,
        flood,
        pid,
    })
}

fn stop(lab: &mut Lab) -> Result<()> {
    lab.daemon.signal(Signal::STOP)?;
    let stopped = wait_for(LIMIT, || {
        let states = lab::of_each_thread(lab.daemon.pid(), "State:")?;
        let all = states.iter().all(|state| state.starts_with('T'));
        anyhow::Ok(all.then_some(()))
    })?;
    stopped.context("the daemon does not stand still")
}

impl Account {
    /// A report for which everything has arrived, with what holds for every flood asserted.
    fn settle(&mut self) -> Result<Value> {
        let mut in_flight = Vec::new();
        while let Some(sleeper) = self.sleepers.pop() {
            let report = self.lab.report(sleeper.kill()?)?;
            self.assert_exact(&report);
            let rows = rows(&report);
            in_flight.push(rows.iter().filter(|row| row["in_flight"] != 0).count());
            if in_flight.ends_with(&[0]) {
                assert!(rows.iter().all(|row| is_conserved(row)), "{rows:#?}");
                return Ok(report);
            }
        }
        bail!("records stay in flight; classes with some, by report: {in_flight:?}")
    }

    /// Nothing decisive is lost; deaths and failing calls are the generator's, to the last one.
    fn assert_exact(&self, report: &Value) {
        let Self { cgroup, flood, .. } = self;
        assert_no_decisive_loss(report);
        let exits = entries(report, cgroup, "process_exit");
        let killed = |exit: &&&Value| {
            exit["value"]
                .as_str()
                .is_some_and(|text| text.contains("SIGKILL"))
        };
        let by_themselves = exits.iter().filter(|exit| !killed(exit)).count();
        // The generator itself is one more.
        assert_eq!(by_themselves, flood.children + 1, "deaths in the cgroup");
        let own = self.pid.to_string();
        assert!(exits.iter().any(|exit| exit["tags"]["pid"] == own.as_str()));

        let counted = entries(report, cgroup, "syscall_errors");
        let ours = counted
            .iter()
            .filter(|entry| entry["tags"]["errno"] == "EBADF");
        assert_eq!(sum(ours), flood.failed_calls, "failing calls counted");
        if report["completeness"]["notes"]
            .to_string()
            .contains("left out of this report")
        {
            return;
        }
        let attempted = sum(counted.iter());
        let recorded = entries(report, cgroup, "syscall_failed").len() as u64;
        let lost = self.lost(report, "throttled") + self.lost(report, "ring_full");
        assert_eq!(
            attempted,
            recorded + lost,
            "{recorded} recorded, {lost} lost"
        );
    }

    /// Failing calls of the cgroup that have no record, by cause.
    fn lost(&self, report: &Value, cause: &str) -> u64 {
        let name = format!("syscall_errors_{cause}");
        sum(entries(report, &self.cgroup, &name).iter())
    }
}

fn sum<'a>(entries: impl Iterator<Item = &'a &'a Value>) -> u64 {
    entries.filter_map(|entry| entry["value"].as_u64()).sum()
}

fn rows(report: &Value) -> Vec<&Value> {
    let rows = report["completeness"]["classes"].as_array();
    rows.into_iter().flatten().collect()
}

/// Whether `attempted = recorded + lost` in a row.
fn is_conserved(row: &Value) -> bool {
    let lost = row["lost"].as_object().into_iter().flatten();
    let lost: u64 = lost.filter_map(|(_cause, count)| count.as_u64()).sum();
    let recorded = row["recorded"].as_u64().unwrap_or(0);
    row["attempted"].as_u64() == Some(recorded + lost)
}

/// Asserts that the report tells of the cgroup's `count` failed calls lost by `cause`: in its list and its summary.
fn assert_told(report: &Value, cause: &str, count: u64) {
    let completeness = &report["completeness"];
    let gaps: Vec<&Value> = completeness["gaps"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let gap = gaps
        .iter()
        .find(|gap| gap["class"] == "failed_call" && gap["cause"] == cause);
    let told = gap.and_then(|gap| gap["count"].as_u64()).unwrap_or(0);
    assert!(told >= count, "{told} of {count} told: {gaps:#?}");
    let all: u64 = gaps.iter().filter_map(|gap| gap["count"].as_u64()).sum();
    let sentence = format!(
        "{all} records of the node were lost and counted, {count} of them failing calls of this cgroup"
    );
    let summary = completeness["summary"].to_string();
    assert!(
        summary.contains(&sentence),
        "{sentence} is not in {summary}"
    );
}

#[test]
fn a_throttled_flood_is_counted_to_the_last_call() -> Result<()> {
    let mut account = flood("throttled", Daemon::StandsStill, &[])?;
    let report = account.settle()?;
    let throttled = account.lost(&report, "throttled");
    assert!(
        throttled > 10_000,
        "{throttled} throttled: this is no flood"
    );
    assert_told(&report, "throttled", throttled);
    // A thousand a second and four thousand at once are the default.
    let recorded = entries(&report, &account.cgroup, "syscall_failed").len();
    assert!((4_000..9_000).contains(&recorded), "{recorded} recorded");
    Ok(())
}

#[test]
fn a_full_ring_is_counted_to_the_last_call() -> Result<()> {
    let mut account = flood("full", Daemon::StandsStill, &UNTHROTTLED)?;
    let report = account.settle()?;
    let refused = account.lost(&report, "ring_full");
    assert!(refused > 10_000, "{refused} refused: the ring was not full");
    assert_told(&report, "ring_full", refused);
    Ok(())
}

/// Here the queues between ring and window are what is full.
#[test]
fn a_flood_of_a_running_daemon_is_counted_to_the_last_call() -> Result<()> {
    let mut account = flood("running", Daemon::Runs, &UNTHROTTLED)?;
    account.settle()?;
    Ok(())
}
