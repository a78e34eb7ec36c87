//! One cgroup of the unified hierarchy: its `cpu`, `memory`, `io`, `pids` and pressure files.
//!
//! The files and their units are those of Documentation/admin-guide/cgroup-v2.rst. A controller that is not
//! enabled for the cgroup has no files, so its part of the sample is `None`.

use super::directory::Directory;
use super::files::Files;
use crate::record::{CgroupSample, CpuTimes, IoCounters, MemoryUse, Pids, Pressure, Throttling};

/// Whether a process lives in the cgroup (or below it).
pub(super) fn is_populated(files: &mut Files, directory: &Directory) -> bool {
    // Not `cgroup.procs`, which a threaded cgroup refuses to show.
    let [populated] = files.keyed(directory, "cgroup.events", ["populated"]);
    populated.is_some_and(|populated| populated != 0)
}

/// Reads everything there is about the cgroup in `directory`.
pub(super) fn read(files: &mut Files, directory: &Directory) -> CgroupSample {
    let [usage, periods, throttled_periods, throttled] = files.keyed(
        directory,
        "cpu.stat",
        ["usage_usec", "nr_periods", "nr_throttled", "throttled_usec"],
    );
    let throttling = || {
        Some(Throttling {
            periods: periods?,
            throttled_periods: throttled_periods?,
            throttled: throttled?.saturating_mul(1000),
        })
    };
    CgroupSample {
        cpu: usage.map(|usage| CpuTimes {
            usage: usage.saturating_mul(1000),
            percent: None,
        }),
        throttling: throttling(),
        memory: memory(files, directory),
        io: files.text(directory, "io.stat").map(io),
        pids: files.number(directory, "pids.current").map(|current| Pids {
            current,
            max: files.number(directory, "pids.max"),
        }),
        pressure: pressures(files, directory),
        inner: false,
    }
}

/// Its memory.
pub(super) fn memory(files: &mut Files, directory: &Directory) -> Option<MemoryUse> {
    let current = files.number(directory, "memory.current")?;
    let [
        anon,
        file,
        shmem,
        inactive_file,
        mapped,
        dirty,
        kernel,
        slab,
        sock,
    ] = files.keyed(
        directory,
        "memory.stat",
        [
            "anon",
            "file",
            "shmem",
            "inactive_file",
            "file_mapped",
            "file_dirty",
            "kernel",
            "slab",
            "sock",
        ],
    );
    // `.local`: what happened in this cgroup itself, not below it. Since Linux 5.2.
    let [oom_kills, limit_hits] =
        files.keyed(directory, "memory.events.local", ["oom_kill", "max"]);
    Some(MemoryUse {
        current,
        max: files.number(directory, "memory.max"),
        anon,
        file,
        shmem,
        inactive_file,
        mapped,
        dirty,
        kernel,
        slab,
        sock,
        oom_kills,
        limit_hits,
    })
}

/// The sum over all lines of `major:minor rbytes=… wbytes=… rios=… wios=… …`. No line: no IO so far.
fn io(text: &str) -> IoCounters {
    let sum = |key: &str| {
        text.split_whitespace()
            .filter_map(|field| {
                field
                    .strip_prefix(key)?
                    .strip_prefix('=')?
                    .parse::<u64>()
                    .ok()
            })
            .fold(0, u64::saturating_add)
    };
    IoCounters {
        read_bytes: sum("rbytes"),
        write_bytes: sum("wbytes"),
        read_ios: sum("rios"),
        write_ios: sum("wios"),
    }
}

fn pressures(files: &mut Files, directory: &Directory) -> Option<Pressure> {
    let pressure = Pressure {
        cpu: files.stall(directory, "cpu.pressure"),
        memory: files.stall(directory, "memory.pressure"),
        io: files.stall(directory, "io.pressure"),
    };
    (pressure != Pressure::default()).then_some(pressure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cgroup: &tempfile::TempDir) -> Directory {
        Directory::at(cgroup.path().to_owned())
    }

    fn cgroup(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn a_container_with_everything() {
        let stall =
            "some avg10=1.50 avg60=0 avg300=0 total=9\nfull avg10=0.5 avg60=0 avg300=0 total=3\n";
        let cgroup = cgroup(&[
            (
                "cpu.stat",
                "usage_usec 7\nuser_usec 4\nnr_periods 20\nnr_throttled 5\nthrottled_usec 3\n",
            ),
            ("memory.current", "1000\n"),
            ("memory.max", "2000\n"),
            (
                "memory.stat",
                "anon 600\nfile 300\nkernel 100\nkernel_stack 9\nsock 7\nshmem 50\nfile_mapped 60\nfile_dirty 8\n\
                 inactive_anon 1\ninactive_file 40\nslab_reclaimable 11\nslab 20\n",
            ),
            (
                "memory.events.local",
                "low 0\nhigh 0\nmax 11\noom 2\noom_kill 1\noom_group_kill 0\n",
            ),
            (
                "io.stat",
                "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n253:0 rbytes=5 wbytes=0 rios=1 wios=0\n",
            ),
            ("pids.current", "3\n"),
            ("pids.max", "max\n"),
            ("memory.pressure", stall),
        ]);
        let sample = read(&mut Files::default(), &at(&cgroup));
        assert_eq!(
            sample.cpu,
            Some(CpuTimes {
                usage: 7000,
                percent: None
            })
        );
        let throttling = Throttling {
            periods: 20,
            throttled_periods: 5,
            throttled: 3000,
        };
        assert_eq!(sample.throttling, Some(throttling));
        let memory = MemoryUse {
            current: 1000,
            max: Some(2000),
            anon: Some(600),
            file: Some(300),
            shmem: Some(50),
            inactive_file: Some(40),
            mapped: Some(60),
            dirty: Some(8),
            kernel: Some(100),
            slab: Some(20),
            sock: Some(7),
            oom_kills: Some(1),
            limit_hits: Some(11),
        };
        assert_eq!(sample.memory, Some(memory));
        let io = IoCounters {
            read_bytes: 15,
            write_bytes: 20,
            read_ios: 2,
            write_ios: 2,
        };
        assert_eq!(sample.io, Some(io));
        assert_eq!(
            sample.pids,
            Some(Pids {
                current: 3,
                max: None
            })
        );
        let pressure = sample.pressure.unwrap();
        assert_eq!(pressure.memory.map(|stall| stall.full_total), Some(Some(3)));
        assert_eq!(pressure.cpu, None);
    }

    #[test]
    fn what_is_not_enabled_is_absent() {
        // Without the cpu controller `cpu.stat` has the usage only; without the others there are no files.
        let cgroup = cgroup(&[
            ("cpu.stat", "usage_usec 7\n"),
            ("cgroup.events", "populated 1\n"),
        ]);
        let mut files = Files::default();
        assert!(is_populated(&mut files, &at(&cgroup)));
        let sample = read(&mut files, &at(&cgroup));
        let expected = CgroupSample {
            cpu: Some(CpuTimes {
                usage: 7000,
                percent: None,
            }),
            ..CgroupSample::default()
        };
        assert_eq!(sample, expected);
        assert_eq!(files.take_failure(), None);
    }

    #[test]
    fn no_limit_and_no_io_are_said_as_such() {
        let cgroup = cgroup(&[
            ("memory.current", "0\n"),
            ("memory.max", "max\n"),
            ("io.stat", ""),
        ]);
        let sample = read(&mut Files::default(), &at(&cgroup));
        assert_eq!(
            sample.memory.map(|memory| (memory.current, memory.max)),
            Some((0, None))
        );
        let none = IoCounters {
            read_bytes: 0,
            write_bytes: 0,
            read_ios: 0,
            write_ios: 0,
        };
        assert_eq!(sample.io, Some(none));
    }
}
