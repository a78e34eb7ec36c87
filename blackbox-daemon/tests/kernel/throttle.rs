//! Twenty deaths of one kind: few reports, and every death is told of in one.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::timing::{Stopwatch, wait_for};

use crate::lab::{self, LIMIT, Lab, Life, VICTIM};

const DEATHS: u64 = 20;
const INTERVAL: Duration = Duration::from_secs(6);

#[test]
fn twenty_deaths_of_one_kind_are_told_in_few_reports() -> Result<()> {
    let mut lab = Lab::start(&[
        ("BLACKBOX_SETTLE_TIME", "1s"),
        ("BLACKBOX_THROTTLE_INTERVAL", "6s"),
    ])?;
    let cgroup = lab::cgroup("throttle")?;
    let watch = Stopwatch::start();
    for _ in 0..DEATHS {
        Life::start(&cgroup, VICTIM, &["sleep"])?.kill()?;
        thread::sleep(Duration::from_millis(130));
    }
    assert!(
        watch.elapsed() < INTERVAL,
        "staged too slowly: {:?}",
        watch.elapsed()
    );
    thread::sleep(INTERVAL.saturating_sub(watch.elapsed()));
    let early = ours(&lab, &cgroup.path())?;
    assert!(
        (1..=2).contains(&early.len()),
        "{} reports in the first interval",
        early.len()
    );

    let all = wait_for(LIMIT, || {
        let reports = ours(&lab, &cgroup.path())?;
        anyhow::Ok((told(&reports) >= DEATHS).then_some(reports))
    })?;
    let all = all.context("some deaths were never told of")?;
    assert_eq!(told(&all), DEATHS);
    assert!(all.len() <= 3, "{} reports", all.len());
    // Nothing is told twice, not even at the end.
    lab.daemon.stop()?;
    assert_eq!(told(&ours(&lab, &cgroup.path())?), DEATHS);
    Ok(())
}

/// The reports about deaths in this cgroup.
fn ours(lab: &Lab, cgroup: &str) -> Result<Vec<Value>> {
    let mut reports = lab.daemon.reports()?;
    reports.retain(|report| report["verdict"]["facts"]["cgroup"] == cgroup);
    Ok(reports)
}

/// How many deaths they speak for.
fn told(reports: &[Value]) -> u64 {
    let repeats = |report: &Value| report["incident"]["repeats"].as_u64().unwrap_or(0);
    reports.iter().map(|report| 1 + repeats(report)).sum()
}
