//! One cgroup of the v1 memory hierarchy, and what the other v1 controllers say about the same path.
//!
//! The files and their units are those of Documentation/admin-guide/cgroup-v1/. Each controller has a tree of
//! its own: where the path is not in one, that part of the sample is `None`. v1 has no pressure files.

use super::directory::{Cgroup, Directory};
use super::files::Files;
use super::hierarchy::{Controller, Hierarchies};
use crate::record::{CgroupSample, CpuTimes, IoCounters, MemoryUse, Pids, Throttling};

/// From here on a memory limit means "none": `LONG_MAX` rounded down to whole pages, of at most 64 KiB
/// (include/linux/page_counter.h, `PAGE_COUNTER_MAX`).
const NO_LIMIT: u64 = i64::MAX as u64 & !0xffff;

/// Whether a process lives in the cgroup of this directory itself. Its anonymous memory is mapped by somebody, which spares
/// the list of processes: the kernel makes and sorts one for each reader (kernel/cgroup/cgroup-v1.c, `pidlist_array_load`).
fn is_populated(files: &mut Files, directory: &Directory, memory: Option<MemoryUse>) -> bool {
    memory.is_some_and(|memory| memory.anon > Some(0))
        || files
            .text(directory, "cgroup.procs")
            .is_some_and(|text| !text.is_empty())
}

/// Reads everything there is about the cgroup. `None`: nobody lives there.
pub(super) fn read(
    files: &mut Files,
    host: &Hierarchies,
    cgroup: &mut Cgroup,
) -> Option<CgroupSample> {
    let memory = memory_use(files, cgroup.watched());
    if !is_populated(files, cgroup.watched(), memory) {
        return None;
    }
    let usage = cgroup.of(Controller::Cpuacct, host);
    let usage = usage.and_then(|cpuacct| files.number(cpuacct, "cpuacct.usage"));
    let cpu = cgroup.of(Controller::Cpu, host);
    let throttling = cpu.and_then(|cpu| throttling(files, cpu));
    let blkio = cgroup.of(Controller::Blkio, host);
    let io = blkio.and_then(|blkio| io(files, blkio));
    let pids = cgroup.of(Controller::Pids, host);
    Some(CgroupSample {
        cpu: usage.map(|usage| CpuTimes {
            usage,
            percent: None,
        }),
        throttling,
        memory,
        io,
        pids: pids.and_then(|pids| {
            Some(Pids {
                current: files.number(pids, "pids.current")?,
                max: files.number(pids, "pids.max"),
            })
        }),
        pressure: None,
        inner: false,
    })
}

fn throttling(files: &mut Files, cpu: &Directory) -> Option<Throttling> {
    let keys = ["nr_periods", "nr_throttled", "throttled_time"];
    let [periods, throttled_periods, throttled] = files.keyed(cpu, "cpu.stat", keys);
    Some(Throttling {
        periods: periods?,
        throttled_periods: throttled_periods?,
        throttled: throttled?,
    })
}

/// The memory of the cgroup in this directory of the memory hierarchy.
pub(super) fn memory_use(files: &mut Files, memory: &Directory) -> Option<MemoryUse> {
    let current = files.number(memory, "memory.usage_in_bytes")?;
    let [anon, file, shmem, inactive_file, mapped, dirty] = files.keyed(
        memory,
        "memory.stat",
        [
            "total_rss",
            "total_cache",
            "total_shmem",
            "total_inactive_file",
            "total_mapped_file",
            "total_dirty",
        ],
    );
    let [oom_kills] = files.keyed(memory, "memory.oom_control", ["oom_kill"]);
    Some(MemoryUse {
        current,
        max: limit(files, memory),
        anon,
        file,
        shmem,
        inactive_file,
        mapped,
        dirty,
        slab: None,
        sock: files.number(memory, "memory.kmem.tcp.usage_in_bytes"),
        kernel: files.number(memory, "memory.kmem.usage_in_bytes"),
        oom_kills,
        limit_hits: files.number(memory, "memory.failcnt"),
    })
}

/// Its memory limit. `None`: it has none.
pub(super) fn limit(files: &mut Files, memory: &Directory) -> Option<u64> {
    let limit = files.number(memory, "memory.limit_in_bytes");
    limit.filter(|&limit| limit < NO_LIMIT)
}

fn io(files: &mut Files, blkio: &Directory) -> Option<IoCounters> {
    let mut sums = |name| {
        let text = files.text(blkio, name)?;
        Some([sum(text, "Read"), sum(text, "Write")])
    };
    let [read_bytes, write_bytes] = sums("blkio.throttle.io_service_bytes")?;
    let [read_ios, write_ios] = sums("blkio.throttle.io_serviced")?;
    Some(IoCounters {
        read_bytes,
        write_bytes,
        read_ios,
        write_ios,
    })
}

/// The sum over all lines of `major:minor Operation number`. No line: no IO so far.
fn sum(text: &str, operation: &str) -> u64 {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            (words.next()? == operation).then_some(words.next()?)
        })
        .filter_map(|number| number.parse().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::hierarchy::tests::proc_with;
    use super::*;

    /// A host with each of these v1 controllers mounted below `root`.
    fn host(root: &Path, mounts: &[&str]) -> Hierarchies {
        let line = |mount: &&str| {
            let at = root.display();
            format!("33 31 0:30 / {at}/{mount} rw - cgroup cgroup rw,{mount}\n")
        };
        let mountinfo: String = mounts.iter().map(line).collect();
        let proc = proc_with(&mountinfo, "4:memory:/\n");
        Hierarchies::discover(proc.path()).unwrap()
    }

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn a_container_in_every_hierarchy() {
        let root = tempfile::tempdir().unwrap();
        write(
            root.path(),
            &[
                ("cpu,cpuacct/a/c/cpuacct.usage", "5000\n"),
                (
                    "cpu,cpuacct/a/c/cpu.stat",
                    "nr_periods 20\nnr_throttled 5\nthrottled_time 3000\n",
                ),
                ("memory/a/c/memory.usage_in_bytes", "1000\n"),
                ("memory/a/c/memory.limit_in_bytes", "2000\n"),
                (
                    "memory/a/c/memory.stat",
                    "cache 1\nrss 2\nshmem 3\ntotal_cache 300\ntotal_rss 600\ntotal_shmem 50\ntotal_mapped_file 60\n\
                     total_dirty 8\ntotal_inactive_anon 1\ntotal_inactive_file 40\n",
                ),
                (
                    "memory/a/c/memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
                ),
                ("memory/a/c/memory.failcnt", "11\n"),
                ("memory/a/c/memory.kmem.usage_in_bytes", "100\n"),
                ("memory/a/c/memory.kmem.tcp.usage_in_bytes", "7\n"),
                ("pids/a/c/pids.current", "3\n"),
                ("pids/a/c/pids.max", "100\n"),
                (
                    "blkio/a/c/blkio.throttle.io_service_bytes",
                    "8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:16 Read 5\nTotal 35\n",
                ),
                (
                    "blkio/a/c/blkio.throttle.io_serviced",
                    "8:0 Read 1\n8:0 Write 2\n8:16 Read 1\nTotal 4\n",
                ),
            ],
        );
        let host = host(root.path(), &["cpu,cpuacct", "memory", "pids", "blkio"]);
        let mut cgroup = Cgroup::at(host.watched_root(), "/a/c");
        let sample = read(&mut Files::default(), &host, &mut cgroup).unwrap();
        let expected = CgroupSample {
            cpu: Some(CpuTimes {
                usage: 5000,
                percent: None,
            }),
            throttling: Some(Throttling {
                periods: 20,
                throttled_periods: 5,
                throttled: 3000,
            }),
            memory: Some(MemoryUse {
                current: 1000,
                max: Some(2000),
                anon: Some(600),
                file: Some(300),
                shmem: Some(50),
                inactive_file: Some(40),
                mapped: Some(60),
                dirty: Some(8),
                kernel: Some(100),
                slab: None,
                sock: Some(7),
                oom_kills: Some(1),
                limit_hits: Some(11),
            }),
            io: Some(IoCounters {
                read_bytes: 15,
                write_bytes: 20,
                read_ios: 2,
                write_ios: 2,
            }),
            pids: Some(Pids {
                current: 3,
                max: Some(100),
            }),
            pressure: None,
            inner: false,
        };
        assert_eq!(sample, expected);
    }

    #[test]
    fn a_cgroup_of_the_memory_hierarchy_alone_has_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        // The other controllers are mounted, and about their root they do have something to say.
        write(
            root.path(),
            &[
                ("memory/a/memory.usage_in_bytes", "1000\n"),
                ("memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
                ("cpuacct/cpuacct.usage", "5000\n"),
                ("pids/pids.current", "3\n"),
            ],
        );
        let host = host(root.path(), &["memory", "cpuacct", "pids"]);
        let mut files = Files::default();
        let mut cgroup = Cgroup::at(host.watched_root(), "/a");
        assert_eq!(read(&mut files, &host, &mut cgroup), None);
        write(root.path(), &[("memory/a/cgroup.procs", "7\n")]);
        let sample = read(&mut files, &host, &mut cgroup).unwrap();
        let memory = MemoryUse {
            current: 1000,
            ..MemoryUse::default()
        };
        let expected = CgroupSample {
            memory: Some(memory),
            ..CgroupSample::default()
        };
        assert_eq!(sample, expected);
        assert_eq!(files.take_failure(), None);
    }

    #[test]
    fn no_limit_whatever_the_page_size() {
        for (text, limit) in [
            ("9223372036854771712", None),
            ("9223372036854710272", None),
            ("1099511627776", Some(1 << 40)),
        ] {
            let root = tempfile::tempdir().unwrap();
            write(
                root.path(),
                &[
                    ("memory.usage_in_bytes", "1"),
                    ("memory.limit_in_bytes", text),
                ],
            );
            let read = memory_use(
                &mut Files::default(),
                &Directory::at(root.path().to_owned()),
            )
            .unwrap();
            assert_eq!(read.max, limit, "{text}");
        }
    }
}
