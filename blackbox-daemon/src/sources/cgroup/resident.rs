//! The processes in a cgroup, by resident memory: `cgroup.procs` of it and of all below, and `/proc/PID/stat` of each.
//!
//! Bounded: one look reads [`MOST_READ`] processes, and what it leaves out is counted. A process that is gone or has no
//! memory (any more) is left out.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use procfs::FromRead;
use procfs::process::Stat;

use super::directory::Directory;
use super::files::Files;
use super::walk::{Found, Survey, directory};
use crate::record::{BootTime, Comm, ProcessMemory, Resident};

/// Processes that one look reads, whatever the number of cgroups: at 10 µs each, 5 ms.
const MOST_READ: usize = 512;
/// Processes of a cgroup that are told.
const MOST_TOLD: usize = 32;

/// One look at processes: each is read once, also where the cgroups asked for lie within each other.
pub(super) struct Look<'a> {
    survey: &'a Survey,
    /// Where the watched hierarchy is mounted.
    root: &'a Path,
    proc_root: &'a Path,
    read: HashMap<u32, Option<Resident>>,
}

impl<'a> Look<'a> {
    /// Reads nothing yet.
    pub(super) fn new(survey: &'a Survey, root: &'a Path, proc_root: &'a Path) -> Self {
        Self {
            survey,
            root,
            proc_root,
            read: HashMap::new(),
        }
    }

    /// The processes in `cgroup` and below it. `None`: there are none.
    pub(super) fn within(&mut self, cgroup: &Found, files: &mut Files) -> Option<ProcessMemory> {
        let below = |path: &str| {
            let rest = path.strip_prefix(cgroup.path.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (mut found, mut unread) = (Vec::new(), 0);
        for one in self.survey.found.iter().filter(|one| below(&one.path)) {
            let procs = files.text(
                &Directory::at(directory(self.root, &one.path)),
                "cgroup.procs",
            );
            // 0: a process that this one's pid namespace has no number for.
            let pids = procs.iter().flat_map(|text| text.lines());
            for pid in pids
                .filter_map(|pid| pid.parse().ok())
                .filter(|pid| *pid > 0)
            {
                match self.process(pid) {
                    Some(process) => found.extend(process),
                    None => unread += 1,
                }
            }
        }
        found.sort_by_key(|one: &Resident| (std::cmp::Reverse(one.rss), one.tgid));
        let others = found.split_off(found.len().min(MOST_TOLD));
        (!found.is_empty() || unread > 0).then(|| ProcessMemory {
            largest: found,
            others: u32::try_from(others.len()).unwrap_or(u32::MAX),
            others_rss: others.iter().map(|one| one.rss).sum(),
            unread,
        })
    }

    /// What there is of a process. `None`: it is not read, for there were too many before it.
    fn process(&mut self, pid: u32) -> Option<Option<Resident>> {
        if !self.read.contains_key(&pid) && self.read.len() >= MOST_READ {
            return None;
        }
        let path = self.proc_root.join(format!("{pid}/stat"));
        let read = || resident(&fs::read(path).ok()?);
        Some(*self.read.entry(pid).or_insert_with(read))
    }
}

/// The text of `/proc/PID/stat` (proc_pid_stat(5)): start in clock ticks after boot, resident memory in pages.
fn resident(text: &[u8]) -> Option<Resident> {
    let stat = Stat::from_read(text).ok().filter(|stat| stat.rss > 0)?;
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    Some(Resident {
        tgid: u32::try_from(stat.pid).ok()?,
        start: BootTime(stat.starttime.saturating_mul(tick)),
        comm: Comm::from_text(&stat.comm),
        rss: stat.rss.saturating_mul(rustix::param::page_size() as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::super::walk::survey;
    use super::*;

    /// A cgroup tree with these processes in each cgroup, and a procfs with each one's pages.
    fn node(cgroups: &[(&str, &str)], processes: &[(u32, u64)]) -> [tempfile::TempDir; 2] {
        let [root, proc] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (path, procs) in cgroups {
            fs::create_dir_all(root.path().join(path)).unwrap();
            fs::write(root.path().join(path).join("cgroup.procs"), procs).unwrap();
        }
        for (pid, pages) in processes {
            let directory = proc.path().join(pid.to_string());
            fs::create_dir(&directory).unwrap();
            let zeros = " 0".repeat(28);
            let text = format!(
                "{pid} (a) b({pid}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 250 9999 {pages}{zeros}\n"
            );
            fs::write(directory.join("stat"), text).unwrap();
        }
        [root, proc]
    }

    fn within(path: &str, [root, proc]: &[tempfile::TempDir; 2]) -> Option<ProcessMemory> {
        let survey = survey(root.path()).unwrap();
        let cgroup = survey.found.iter().find(|one| one.path == path).unwrap();
        let mut look = Look::new(&survey, root.path(), proc.path());
        look.within(cgroup, &mut Files::default())
    }

    #[test]
    fn all_below_largest_first() {
        let page = rustix::param::page_size() as u64;
        // 7 is a zombie, 8 is gone.
        let node = node(
            &[
                ("pod", ""),
                ("pod/a", "5\n0\n7\n8\n"),
                ("pod/b", "6\n"),
                ("podx", "9\n"),
            ],
            &[(5, 10), (6, 20), (7, 0), (9, 99)],
        );
        let found = within("/pod", &node).unwrap();
        let told: Vec<_> = found
            .largest
            .iter()
            .map(|one| (one.tgid, one.rss))
            .collect();
        assert_eq!(told, [(6, 20 * page), (5, 10 * page)]);
        assert_eq!(found.largest[0].start, BootTime(2_500_000_000));
        assert_eq!(found.largest[0].comm, Comm::from_text("a) b(6"));
        assert_eq!((found.others, found.unread), (0, 0));
        assert_eq!(within("/podx", &node).unwrap().largest.len(), 1);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let processes: Vec<(u32, u64)> = (1..=600).map(|pid| (pid, u64::from(pid))).collect();
        let procs: String = (1..=600).map(|pid| format!("{pid}\n")).collect();
        let found = within("/c", &node(&[("c", &procs)], &processes)).unwrap();
        assert_eq!(found.largest.len(), MOST_TOLD);
        assert_eq!(found.others as usize, MOST_READ - MOST_TOLD);
        assert_eq!(found.unread as usize, 600 - MOST_READ);
        let rest: u64 = (1..=(MOST_READ - MOST_TOLD) as u64).sum();
        assert_eq!(found.others_rss / rustix::param::page_size() as u64, rest);
    }

    #[test]
    fn nobody_there_is_nothing() {
        assert_eq!(within("/c", &node(&[("c", "")], &[])), None);
    }
}
