//! What a process has taken so far: processor time and memory, by /proc.

use std::fs;

use anyhow::{Context as _, Result};

/// Processor time of a process and of its children that have ended, s (proc_pid_stat(5), fields 14 to 17).
pub(super) fn cpu(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let ticks: u64 = rest
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(str::parse::<u64>)
        .sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory, MiB.
pub(super) fn resident(pid: u32) -> Result<f64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: f64 = statm.split(' ').nth(1).context("no size")?.parse()?;
    Ok(pages * rustix::param::page_size() as f64 / f64::from(1 << 20))
}
