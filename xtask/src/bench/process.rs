//! What a process, or some of its threads, have taken so far: processor time and memory, by /proc.

use std::fs;

use anyhow::{Context as _, Result, ensure};

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

/// Processor time of those of its threads that have one of these names, s (/proc/PID/task/TID/schedstat, first field: ns).
pub(super) fn cpu_of_threads(pid: u32, names: &[&str]) -> Result<f64> {
    let mut nanos = 0_u64;
    let mut found = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        if !names.contains(&fs::read_to_string(task.join("comm"))?.trim()) {
            continue;
        }
        let schedstat = fs::read_to_string(task.join("schedstat"))?;
        let taken = schedstat.split(' ').next().context("no time")?;
        nanos += taken.parse::<u64>()?;
        found += 1;
    }
    ensure!(found == names.len(), "{found} threads of {names:?}");
    Ok(nanos as f64 / 1e9)
}

/// Resident memory, MiB.
pub(super) fn resident(pid: u32) -> Result<f64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: f64 = statm.split(' ').nth(1).context("no size")?.parse()?;
    Ok(pages * rustix::param::page_size() as f64 / f64::from(1 << 20))
}
