//! What the kernel programs cost, as the kernel counts it while `kernel.bpf_stats_enabled` is 1.
//!
//! Read from `/proc/self/fdinfo`: bpf(2) may be refused to a process without capabilities (before Linux 5.19 it is,
//! when unprivileged BPF is off), one's own fdinfo never is. While the kernel does not count, nothing is shown.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use super::families::{Families, number};

/// What one program cost since it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    runs: u64,
    nanos: u64,
}

pub(super) fn collect(
    families: &mut Families,
    proc_root: &Path,
    programs: &[(&'static str, OwnedFd)],
) {
    let counting = std::fs::read_to_string(proc_root.join("sys/kernel/bpf_stats_enabled"));
    if !counting.is_ok_and(|text| text.trim() == "1") {
        return;
    }
    let costs: Vec<(&str, Cost)> = programs
        .iter()
        .filter_map(|(name, descriptor)| {
            let path = proc_root.join(format!("self/fdinfo/{}", descriptor.as_raw_fd()));
            Some((*name, parse(&std::fs::read_to_string(path).ok()?)?))
        })
        .collect();
    let mut family = families.counter(
        "blackbox_bpf_program_run_total",
        "Times the kernel ran a program while it counted.",
    );
    for (name, cost) in &costs {
        family.add(&[("program", name)], number(cost.runs));
    }
    let mut family = families.counter(
        "blackbox_bpf_program_seconds_total",
        "Time the kernel spent in a program while it counted.",
    );
    for (name, cost) in &costs {
        family.add(&[("program", name)], number(cost.nanos) / 1e9);
    }
}

/// `run_time_ns:` and `run_cnt:` of a program's fdinfo (kernel/bpf/syscall.c, `bpf_prog_show_fdinfo`).
fn parse(fdinfo: &str) -> Option<Cost> {
    let value = |key: &str| {
        let mut lines = fdinfo.lines();
        lines.find_map(|line| {
            line.strip_prefix(key)?
                .strip_prefix(':')?
                .trim()
                .parse()
                .ok()
        })
    };
    Some(Cost {
        runs: value("run_cnt")?,
        nanos: value("run_time_ns")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_and_another_descriptor_is_none() {
        let program = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_jited:\t1\nmemlock:\t4096\n\
            prog_id:\t37\nrun_time_ns:\t81503\nrun_cnt:\t212\nrecursion_misses:\t0\n";
        let cost = Cost {
            runs: 212,
            nanos: 81_503,
        };
        assert_eq!(parse(program), Some(cost));
        assert_eq!(parse("pos:\t0\nflags:\t02\nmnt_id:\t9\n"), None);
    }
}
