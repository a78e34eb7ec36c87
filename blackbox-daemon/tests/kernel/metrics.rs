//! What the kernel programs cost, as the metrics tell it once every capability is gone.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use blackbox_daemon::metrics::Metrics;
use blackbox_daemon::privileges::{self, Vow};
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::sources::cgroup::Hierarchies;
use blackbox_daemon::sources::ebpf::limits::Limits;
use blackbox_daemon::sources::ebpf::load;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
const RUNS: &str = "blackbox_bpf_program_run_total{program=\"";
const SECONDS: &str = "blackbox_bpf_program_seconds_total{program=\"";

/// `kernel.bpf_stats_enabled` as a test wants it, until the test's end.
struct Switch(String);

impl Switch {
    fn set(to: &str) -> Result<Self> {
        let before = fs::read_to_string(SWITCH).context(SWITCH)?;
        fs::write(SWITCH, to).context(SWITCH)?;
        Ok(Self(before))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // It could be written before, so it can be now.
        let _restored = fs::write(SWITCH, self.0.trim());
    }
}

#[test]
fn programs_tell_their_cost_to_a_process_without_capabilities() -> Result<()> {
    let switch = Switch::set("1")?;
    let counted = thread::spawn(page_of_programs).join();
    let (programs, page) = counted.ok().context("the thread ended badly")??;
    let shown = |prefix: &str| -> BTreeSet<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(prefix));
        let names = lines.filter_map(|line| line.split_once('"'));
        names.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(shown(RUNS), programs, "{page}");
    assert_eq!(shown(SECONDS), programs, "{page}");
    let lines = page.lines().filter(|line| line.starts_with(RUNS));
    let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    assert!(values.sum::<f64>() >= 100.0, "{page}");

    fs::write(SWITCH, "0").context(SWITCH)?;
    let silent = thread::spawn(page_of_programs).join();
    let (_, page) = silent.ok().context("the thread ended badly")??;
    assert!(!page.contains("blackbox_bpf_program"), "{page}");
    drop(switch);
    Ok(())
}

/// Loads the programs, gives up this thread's capabilities, lets calls fail, and asks.
fn page_of_programs() -> Result<(BTreeSet<String>, String)> {
    let limits = Limits {
        crit_ring: 1 << 16,
        bulk_ring: 1 << 16,
        calls_per_second: 10,
        calls_burst: 10,
        errno_ignored: Vec::new(),
        words: true,
        tails: 1,
        budget: 2,
        bpffs: None,
    };
    let hierarchies = Hierarchies::discover(Path::new("/proc"))?;
    let mut programs = load::load(&limits, &hierarchies, Vow::capabilities_only())?;
    privileges::drop_all()?;
    let descriptors = programs.take_descriptors();
    ensure!(!descriptors.is_empty(), "no program");
    let names = descriptors.iter().map(|(name, _)| (*name).to_owned());
    let names = names.collect();
    let metrics = Metrics::new(NodeInfo::default(), Path::new("/proc"))?;
    metrics.read_programs(descriptors);
    for _ in 0..200 {
        let missing = fs::metadata("/proc/no-such-file");
        ensure!(missing.is_err(), "it exists");
    }
    Ok((names, metrics.text()?))
}
