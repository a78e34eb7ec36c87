//! The memory promise: 64 MiB at 10,000 processes in 250 pods, with what a node has by default and the window full.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, Lab, Life, VICTIM};
use crate::memory::{Resident, charged, is_debug, mappings};
use crate::metrics::{page, value};
use crate::node::Node;

const PODS: usize = 250;
const PROCESSES: usize = 10_000;
/// Pods in which calls fail and children end until the window is full.
const NOISY: usize = 60;
/// The promise, bytes.
const MOST: u64 = 64 << 20;
/// A build for debugging has so much more program in memory, bytes.
const DEBUG_PROGRAM: u64 = 40 << 20;
const METRICS: u16 = 18_971;

/// Whether the window is full: sealed segments are never all of it, and of the decisive part a quarter is for crowds alone.
fn is_full(page: &str) -> bool {
    let lane = |lane: &str| {
        let of = |name: &str| value(page, &format!("{name}{{lane=\"{lane}\"}}"));
        of("blackbox_window_bytes") / of("blackbox_window_capacity_bytes")
    };
    lane("bulk") > 0.95 && lane("decisive") > 0.8
}

#[test]
fn sixty_four_mebibytes_hold_a_full_window_of_ten_thousand_processes_in_250_pods() -> Result<()> {
    let mut node = Node::of(PODS)?;
    let own = lab::cgroup("daemon")?;
    let enter = format!(
        "echo $$ > {}/cgroup.procs; exec \"$@\"",
        own.folder().display()
    );
    let state = tempfile::tempdir()?;
    let port = METRICS.to_string();
    // A build for debugging would shed what is to fill the window.
    let soft = if is_debug() { "1GiB" } else { "96MiB" };
    let mut lab = Lab::start_below(
        &["sh", "-c", &enter, "sh"],
        &[
            ("BLACKBOX_KUBERNETES", "on"),
            ("NODE_NAME", "n"),
            ("KUBECONFIG", &node.kubeconfig),
            ("BLACKBOX_API_KEY", "key"),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_API_PORT", "18970"),
            ("BLACKBOX_METRICS_ENABLED", "true"),
            ("BLACKBOX_METRICS_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_METRICS_PORT", &port),
            ("BLACKBOX_STATE_DIR", &state.path().to_string_lossy()),
            ("BLACKBOX_THROTTLE_INTERVAL", "1m"),
            ("BLACKBOX_MEMORY_SOFT_LIMIT", soft),
        ],
    )?;
    let pid = lab.daemon.pid();
    let tell = |when: &str| -> Result<Resident> {
        let resident = Resident::of(pid)?;
        let charged = charged(&own)? >> 20;
        println!(
            "{when}: {}; its cgroup is charged {charged} MiB",
            resident.words()
        );
        Ok(resident)
    };
    thread::sleep(Duration::from_secs(2));
    tell("at rest")?;
    Resident::forget_peak(pid)?;
    node.populate(PROCESSES / PODS)?;
    assert!(node.processes()? >= PROCESSES, "{}", node.processes()?);
    thread::sleep(Duration::from_secs(3));
    tell("with 10,000 processes in 250 pods")?;

    let noisy = node.containers.iter().take(NOISY);
    let floods: Vec<Life> = noisy
        .map(|container| Life::start(container, VICTIM, &["flood", "60"]))
        .chain([Life::start(
            &node.containers[NOISY],
            VICTIM,
            &["forks", "60"],
        )])
        .collect::<Result<_>>()?;
    wait_for(LIMIT * 3, || {
        anyhow::Ok(is_full(&page(METRICS)?).then_some(()))
    })?
    .with_context(|| format!("the window does not fill: {}", window()))?;
    let flooded = tell("when the window is full")?;
    for flood in floods {
        drop(flood);
    }
    // Reports of the floods' ends are made meanwhile, each of which takes up to 16 MiB for a moment.
    thread::sleep(Duration::from_secs(8));
    assert!(is_full(&page(METRICS)?), "{}", window());
    let full = tell("when the flood is over")?;
    for (name, mib) in mappings(pid)? {
        println!("  {mib:6.1} MiB {name}");
    }
    // A cgroup that is no pod's: the deaths of the floods are stories of pods, of which one is told in a minute.
    let subject = lab::cgroup("subject")?;
    let report = Life::start(&subject, VICTIM, &["sleep"])?.kill()?;
    lab.report(report)?;
    thread::sleep(Duration::from_secs(2));
    let last = tell("after a report of a full window")?;

    let most = if is_debug() {
        MOST + DEBUG_PROGRAM
    } else {
        MOST
    };
    let sizes = [flooded, full, last];
    assert!(sizes.iter().all(|size| size.now <= most), "{sizes:?}");
    drop(lab);
    Ok(())
}

fn window() -> String {
    let page = page(METRICS).unwrap_or_default();
    let lines = page
        .lines()
        .filter(|line| line.starts_with("blackbox_window_"));
    lines.collect::<Vec<_>>().join("\n")
}
