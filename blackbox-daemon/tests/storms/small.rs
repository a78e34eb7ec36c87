//! A node that gives little: the daemon in a cgroup of 80 MiB with a tenth of a processor, and everything at once. It lives, loses
//! nothing decisive, and tells every death.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xtask::stage::{Cgroup, CpuLimit};

use crate::lab::{self, Lab, Life, VICTIM, is_about};
use crate::memory::{Resident, charged, is_debug};
use crate::soft;

/// What the daemon's cgroup may have, bytes.
const MEMORY: u64 = 80 << 20;
/// Of 100 ms of one processor.
const QUOTA: Duration = Duration::from_millis(10);
/// A build for debugging has so much more program and needs so many times the processor.
const DEBUG: (u64, u32) = (40 << 20, 10);
const PERIOD: Duration = Duration::from_millis(100);
/// How long everything happens at once, s.
const SECONDS: &str = "30";
/// Containers in which calls fail as fast as they can: enough to fill the window.
const FLOODS: usize = 40;
/// For a report: with a tenth of a processor each takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const DECISIVE: [&str; 5] = ["exec", "exit", "signal", "oom", "cgroup_lifecycle"];

/// How often the kernel killed in this cgroup for lack of memory.
fn oom_kills(cgroup: &Cgroup) -> Result<u64> {
    let folder = cgroup.folder();
    let v2 = fs::read_to_string(folder.join("memory.events"));
    let text = v2.or_else(|_| fs::read_to_string(folder.join("memory.oom_control")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(line.context("no count of kills")?.parse()?)
}

/// Submits fifty times a second until it is `over`; how often that was taken, and how often it was asked to wait.
fn sidecar(over: Arc<AtomicBool>) -> JoinHandle<Result<(u32, u32)>> {
    thread::spawn(move || {
        let (mut taken, mut refused) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            match soft::telemetry()? {
                (200, _) => taken += 1,
                (429, _) => refused += 1,
                (status, answer) => bail!("{status}: {answer}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok((taken, refused))
    })
}

#[test]
#[ignore = "long: what it shows is of the release profile, which a tenth of a processor is enough for"]
fn eighty_mebibytes_and_a_tenth_of_a_processor_are_enough_with_everything_at_once() -> Result<()> {
    let (more, times) = if is_debug() { DEBUG } else { (0, 1) };
    let own = lab::cgroup("small")?;
    own.set_memory_limit(MEMORY + more)?;
    let enter = format!(
        "echo $$ > {}/cgroup.procs; exec \"$@\"",
        own.folder().display()
    );
    let state = tempfile::tempdir()?;
    let mut lab = Lab::start_below(
        &["sh", "-c", &enter, "sh"],
        &[
            ("BLACKBOX_STATE_DIR", &state.path().to_string_lossy()),
            ("BLACKBOX_API_KEY", "key"),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_API_PORT", &soft::PORT.to_string()),
        ],
    )?;
    let pid = lab.daemon.pid();
    let limit = CpuLimit::set(&own, (QUOTA * times, PERIOD), &[pid])?;

    let over = Arc::new(AtomicBool::new(false));
    let sidecar = sidecar(Arc::clone(&over));
    let mut loads = Vec::new();
    for number in 0..FLOODS {
        let cgroup = lab::cgroup(&format!("flood-{number}"))?;
        loads.push((Life::start(&cgroup, VICTIM, &["flood", SECONDS])?, cgroup));
    }
    let forks = lab::cgroup("forks")?;
    loads.push((Life::start(&forks, VICTIM, &["forks", SECONDS])?, forks));
    let mut dead = Vec::new();
    // Each in another way and place: with so little processor, deaths that are alike would be one incident.
    for mode in [
        "oom",
        "segv-null",
        "abort",
        "segv-noncanonical",
        "segv-wild",
        "exit",
    ] {
        thread::sleep(Duration::from_secs(3));
        let cgroup = lab::cgroup(mode)?;
        cgroup.set_memory_limit(24 << 20)?;
        let arguments: &[&str] = if mode == "exit" {
            &["exit", "7"]
        } else {
            &[mode]
        };
        let (pid, status, _) = lab::run(&cgroup, arguments)?;
        assert!(!status.success(), "{mode}: {status}");
        dead.push(pid);
        println!(
            "{mode}: {}; charged {} MiB",
            Resident::of(lab.daemon.pid())?.words(),
            charged(&own)? >> 20
        );
    }
    for (load, _cgroup) in loads {
        let (status, output) = load.end()?;
        assert!(status.success(), "{status}");
        println!("{}", output.trim());
    }
    over.store(true, Ordering::Relaxed);
    let (taken, refused) = sidecar.join().ok().context("the sidecar panicked")??;
    println!("a sidecar submitted {taken} times, and was asked to wait {refused} times");
    assert!(taken > 0, "it was never heard");
    for pid in dead {
        lab.daemon
            .wait_report(PATIENCE, |report| is_about(report, pid))?;
    }
    // What of it is in the rings until then is told by a report of one that dies now.
    let subject = lab::cgroup("subject")?;
    let last = Life::start(&subject, VICTIM, &["sleep"])?.kill()?;
    let (_, report) = lab
        .daemon
        .wait_report(PATIENCE, |report| is_about(report, last))?;
    println!(
        "at the end: {}; charged {} MiB",
        Resident::of(pid)?.words(),
        charged(&own)? >> 20
    );
    for row in report["completeness"]["classes"]
        .as_array()
        .into_iter()
        .flatten()
    {
        println!("{row}");
        let lost = row["lost"].as_object().into_iter().flatten();
        let lost: Vec<(&String, &Value)> =
            lost.filter(|(cause, _)| *cause != "throttled").collect();
        assert!(
            lost.is_empty() || !DECISIVE.iter().any(|class| row["class"] == *class),
            "{row:#}"
        );
    }
    assert_eq!(oom_kills(&own)?, 0);
    let ended = lab.daemon.ended()?;
    assert!(ended.is_none(), "{ended:?}");
    // Its folder can go when nobody is in it.
    drop((lab, limit));
    Ok(())
}
