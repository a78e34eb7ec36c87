//! A program that ends well, and the same one that takes another way and fails: the report knows where they part.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::lab::{self, Lab, Life};

/// Longer than what happened last may wait before a run counts as healthy.
const SETTLED: Duration = Duration::from_secs(4);

#[test]
fn the_first_difference_to_the_last_healthy_run() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let run = |script: &str| -> Result<u32> {
        // Made anew for each run, under one name: as a unit's cgroup is.
        let cgroup = lab::cgroup("way")?;
        let life = Life::start(&cgroup, "sh", &["-c", script])?;
        let pid = life.pid();
        life.end()?;
        Ok(pid)
    };
    let begin = "sleep 0.5; : < /blackbox-a";
    run(&format!(
        "({begin}) 2> /dev/null; (: < /blackbox-b) 2> /dev/null; exit 0"
    ))?;
    thread::sleep(SETTLED);
    let pid = run(&format!(
        "({begin}) 2> /dev/null; (: < /blackbox-c) 2> /dev/null; exit 3"
    ))?;

    let report = lab.report(pid)?;
    let told = &report["divergence"];
    assert_eq!(told["after"], "openat /blackbox-a → ENOENT", "{told:#}");
    assert_eq!(told["here"], "openat /blackbox-c → ENOENT", "{told:#}");
    assert_eq!(told["healthy"], "openat /blackbox-b → ENOENT", "{told:#}");
    Ok(())
}
