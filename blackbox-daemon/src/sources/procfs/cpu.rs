//! Processor time in `/proc/stat` becomes shares of time busy between two ticks.
//!
//! A core is known by its number, not by its place in the file: cores that are offline have no line. What
//! cannot be compared (first tick, a core just back, a counter that went backwards) has no percentage.

use std::collections::BTreeMap;

use ::procfs::{CpuTime, FromReadSI, KernelStats, ProcResult, current_system_info};

use crate::record::{CpuUsage, NodeCpu};

/// Remembers the previous tick.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    total: Option<Ticks>,
    cores: BTreeMap<u32, Ticks>,
}

impl CpuMeter {
    /// Usage since the previous call; `stat` is the text of `/proc/stat`.
    pub(super) fn advance(&mut self, stat: &str) -> ProcResult<NodeCpu> {
        let stats = KernelStats::from_read(stat.as_bytes(), current_system_info())?;
        let total = Ticks::from(&stats.total);
        let cores: BTreeMap<_, _> = core_numbers(stat)
            .zip(stats.cpu_time.iter().map(Ticks::from))
            .filter_map(|(number, ticks)| Some((number?, ticks)))
            .collect();
        let usage = NodeCpu {
            total: self.total.and_then(|before| total.since(before)),
            cores: cores
                .iter()
                .filter_map(|(&number, ticks)| {
                    Some((number, ticks.since(*self.cores.get(&number)?)?))
                })
                .collect(),
        };
        self.total = Some(total);
        self.cores = cores;
        Ok(usage)
    }
}

/// The N of each `cpuN` line, in the order in which the parser lists their times.
fn core_numbers(stat: &str) -> impl Iterator<Item = Option<u32>> {
    stat.lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("cpu"))
        .filter(|number| !number.is_empty())
        .map(|number| number.parse().ok())
}

/// Cumulative time of one core or all, in clock ticks.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    all: u64,
    idle: u64,
}

impl From<&CpuTime> for Ticks {
    /// Idle is `idle` + `iowait`; stolen time counts as busy, the work wanted it. `guest` is left out because
    /// `user` has it already (kernel/sched/cputime.c, `account_guest_time`).
    fn from(time: &CpuTime) -> Self {
        let idle = time.idle.saturating_add(time.iowait.unwrap_or(0));
        let busy = [Some(time.user), Some(time.nice), Some(time.system)]
            .into_iter()
            .chain([time.irq, time.softirq, time.steal])
            .flatten()
            .fold(0, u64::saturating_add);
        Self {
            all: idle.saturating_add(busy),
            idle,
        }
    }
}

impl Ticks {
    fn since(self, before: Self) -> Option<CpuUsage> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)?;
        // `iowait` may go backwards (Documentation/filesystems/proc.rst).
        let idle = self.idle.saturating_sub(before.idle).min(all);
        let percent = 100.0 * (all - idle) as f64 / all as f64;
        Some(CpuUsage {
            percent: percent as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(cpus: &str) -> String {
        format!("{cpus}intr 1 2\nctxt 1\nbtime 1\nprocesses 1\n")
    }

    #[test]
    fn usage_is_the_difference_between_two_ticks() {
        let mut meter = CpuMeter::default();
        let first = meter
            .advance(&stat(
                "cpu 100 0 100 800 0 0 0 0 0 0\ncpu0 100 0 100 800 0 0 0 0 0 0\n",
            ))
            .unwrap();
        assert_eq!((first.total, first.cores), (None, vec![]));
        let second = meter
            .advance(&stat(
                "cpu 110 5 105 860 15 2 1 2 9 0\ncpu0 125 0 100 875 0 0 0 0 0 0\n",
            ))
            .unwrap();
        // 100 ticks passed: 10 user, 5 nice, 5 system, 2 irq, 1 softirq, 2 steal; 60 idle, 15 waiting for IO.
        assert_eq!(second.total, Some(CpuUsage { percent: 25.0 }));
        assert_eq!(second.cores, [(0, CpuUsage { percent: 25.0 })]);
    }

    #[test]
    fn a_core_keeps_its_number_when_another_is_offline() {
        let mut meter = CpuMeter::default();
        let cpus = "cpu 0 0 0 100\ncpu0 0 0 0 50\ncpu2 0 0 0 50\n";
        meter.advance(&stat(cpus)).unwrap();
        let cpus = "cpu 30 0 0 130\ncpu1 10 0 0 0\ncpu2 20 0 0 70\n";
        let usage = meter.advance(&stat(cpus)).unwrap();
        assert_eq!(usage.cores, [(2, CpuUsage { percent: 50.0 })]);
    }

    #[test]
    fn counters_that_go_backwards_have_no_percentage() {
        let mut meter = CpuMeter::default();
        meter.advance(&stat("cpu 100 0 0 100\n")).unwrap();
        assert_eq!(meter.advance(&stat("cpu 10 0 0 10\n")).unwrap().total, None);
        assert!(meter.advance("garbage").is_err());
    }
}
