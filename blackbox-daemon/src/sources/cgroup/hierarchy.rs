//! Where the cgroup hierarchies are mounted, and which one is watched.
//!
//! Reads `self/mountinfo`, `self/cgroup` and `cgroups` of one procfs. A host with a v1 memory controller is
//! watched through that hierarchy, as it is the one the OOM killer speaks of; any other through the unified
//! one. What is mounted at start is what counts: hierarchies do not move while a node is up.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use procfs::process::MountInfo;
use procfs::{CGroupControllers, FromRead, ProcessCGroups};

use super::walk::{self, Found, Survey};

/// Why the hierarchies could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// No hierarchy that could be watched is mounted.
    #[error("{}: neither a cgroup2 nor a v1 memory mount: mount the node's /sys/fs/cgroup", path.display())]
    NotMounted { path: PathBuf },
    /// The v1 memory hierarchy is mounted, and the kernel does not say its number.
    #[error("{}: no number of the memory hierarchy", path.display())]
    Unnumbered { path: PathBuf },
}

/// Which hierarchy is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The v2 one: hosts whose memory controller is in it (or nowhere).
    Unified,
    /// The v1 hierarchy of the memory controller: v1 and hybrid hosts.
    Memory,
}

/// A v1 controller. Several may share one hierarchy and so one mount (`cpu,cpuacct`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    Cpu,
    Cpuacct,
    Memory,
    Pids,
    Blkio,
}

impl Controller {
    const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Memory,
        Self::Pids,
        Self::Blkio,
    ];

    /// Its name in mount options, `/proc/cgroups` and `/proc/self/cgroup`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Blkio => "blkio",
        }
    }
}

/// The hierarchies of this host that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    mode: Mode,
    watched_root: PathBuf,
    watched_id: u32,
    controllers: BTreeMap<Controller, PathBuf>,
}

impl Hierarchies {
    /// Reads what is mounted where from the procfs at `proc_root`.
    pub fn discover(proc_root: &Path) -> Result<Self, Error> {
        let path = proc_root.join("self/mountinfo");
        let mounts = cgroup_mounts(&read(&path)?);
        let unified = topmost(mounts.iter().filter(|mount| mount.fs_type == "cgroup2"));
        let mut controllers = BTreeMap::new();
        for controller in Controller::ALL {
            let with_it = mounts.iter().filter(|mount| {
                mount.fs_type == "cgroup" && mount.super_options.contains_key(controller.name())
            });
            if let Some(root) = topmost(with_it) {
                controllers.insert(controller, root);
            }
        }
        let (mode, watched_root, watched_id) = match (controllers.get(&Controller::Memory), unified)
        {
            // A controller is in one hierarchy only: with this mount it cannot be in the unified one.
            (Some(memory), _) => (Mode::Memory, memory.clone(), memory_id(proc_root)?),
            (None, Some(unified)) => (Mode::Unified, unified, 0),
            (None, None) => return Err(Error::NotMounted { path }),
        };
        Ok(Self {
            mode,
            watched_root,
            watched_id,
            controllers,
        })
    }

    /// Which hierarchy is watched.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Where the watched hierarchy is mounted.
    #[must_use]
    pub fn watched_root(&self) -> &Path {
        &self.watched_root
    }

    /// The kernel's number of the watched hierarchy (`cgroup_root.hierarchy_id`); 0 is the unified one.
    #[must_use]
    pub fn watched_hierarchy_id(&self) -> u32 {
        self.watched_id
    }

    /// Where this v1 controller is mounted; `None` if it is not (always on pure v2).
    #[must_use]
    pub fn controller_root(&self, controller: Controller) -> Option<&Path> {
        self.controllers.get(&controller).map(PathBuf::as_path)
    }

    /// Every cgroup of the watched hierarchy, the root (`/`) first; none if the root cannot be read.
    /// [`Hierarchies::survey`] also says whether that is all.
    #[must_use]
    pub fn walk(&self) -> Vec<Found> {
        self.survey()
            .map_or_else(|_| Vec::new(), |survey| survey.found)
    }

    /// Every cgroup of the watched hierarchy. An error is about its root: below it, what cannot be read has
    /// been removed meanwhile.
    pub fn survey(&self) -> Result<Survey, Error> {
        walk::survey(&self.watched_root).map_err(|source| Error::Read {
            path: self.watched_root.clone(),
            source,
        })
    }
}

/// The cgroup mounts in the text of a mountinfo. Line by line, as other mounts may have names that the parser
/// does not like, and are no business of ours.
fn cgroup_mounts(mountinfo: &str) -> Vec<MountInfo> {
    mountinfo
        .lines()
        .filter(|line| line.contains(" - cgroup"))
        .filter_map(|line| MountInfo::from_line(line).ok())
        .collect()
}

/// The mount point of the mount that shows most of its hierarchy: a container may have both its own part of
/// it and, mounted for us, all of it.
fn topmost<'a>(mounts: impl Iterator<Item = &'a MountInfo>) -> Option<PathBuf> {
    mounts
        .min_by_key(|mount| depth(&mount.root))
        .map(|mount| mount.mount_point.clone())
}

/// How far below the reader's own root cgroup a mount begins. A mount from above it begins with `/..`
/// (kernel/cgroup/cgroup.c, `cgroup_show_path`).
fn depth(mount_root: &str) -> i32 {
    Path::new(mount_root)
        .components()
        .map(|component| match component {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            Component::Prefix(_) | Component::RootDir | Component::CurDir => 0,
        })
        .sum()
}

/// The number of the v1 memory hierarchy: from `self/cgroup`, else from `cgroups`, where 0 means "not in a
/// v1 hierarchy" (cgroups(7)).
fn memory_id(proc_root: &Path) -> Result<u32, Error> {
    let name = Controller::Memory.name();
    let path = proc_root.join("self/cgroup");
    let own = read(&path).map(|text| ProcessCGroups::from_read(text.as_bytes()));
    if let Ok(Ok(ProcessCGroups(rows))) = own
        && let Some(row) = rows
            .iter()
            .find(|row| row.controllers.iter().any(|controller| controller == name))
    {
        return Ok(row.hierarchy);
    }
    let path = proc_root.join("cgroups");
    let text = read(&path)?;
    CGroupControllers::from_read(text.as_bytes())
        .ok()
        .and_then(|CGroupControllers(rows)| rows.into_iter().find(|row| row.name == name))
        .map(|row| row.hierarchy)
        .filter(|&id| id != 0)
        .ok_or(Error::Unnumbered { path })
}

fn read(path: &Path) -> Result<String, Error> {
    // Lossy, because any mount on the host may have a name that is not UTF-8.
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A procfs that says this about its mounts and about the reader's cgroups.
    pub(in crate::sources::cgroup) fn proc_with(
        mountinfo: &str,
        cgroup: &str,
    ) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("self")).unwrap();
        std::fs::write(proc.path().join("self/mountinfo"), mountinfo).unwrap();
        std::fs::write(proc.path().join("self/cgroup"), cgroup).unwrap();
        proc
    }

    const HYBRID: &str = "\
        23 1 0:21 / /proc rw,nosuid - proc proc rw\n\
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
        38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio\n\
        39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn pure_v2_is_watched_through_the_unified_hierarchy() {
        let mounts = "25 23 0:23 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let proc = proc_with(mounts, "0::/init.scope\n");
        let found = Hierarchies::discover(proc.path()).unwrap();
        assert_eq!(found.mode(), Mode::Unified);
        assert_eq!(found.watched_root(), Path::new("/sys/fs/cgroup"));
        assert_eq!(found.watched_hierarchy_id(), 0);
        assert_eq!(found.controller_root(Controller::Memory), None);
    }

    #[test]
    fn hybrid_is_watched_through_the_memory_hierarchy() {
        let proc = proc_with(HYBRID, "8:pids:/\n4:memory:/a\n0::/\n");
        let found = Hierarchies::discover(proc.path()).unwrap();
        assert_eq!(found.mode(), Mode::Memory);
        assert_eq!(found.watched_root(), Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(found.watched_hierarchy_id(), 4);
        let pids = Some(Path::new("/sys/fs/cgroup/pids"));
        assert_eq!(found.controller_root(Controller::Pids), pids);
    }

    #[test]
    fn the_number_comes_from_the_kernels_table_if_need_be() {
        let proc = proc_with(HYBRID, "");
        let error = Hierarchies::discover(proc.path()).unwrap_err().to_string();
        assert!(error.contains("cgroups: "), "{error}");
        let table =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t6\t12\t1\n";
        std::fs::write(proc.path().join("cgroups"), table).unwrap();
        let found = Hierarchies::discover(proc.path()).unwrap();
        assert_eq!(found.watched_hierarchy_id(), 6);
    }

    #[test]
    fn controllers_may_share_a_mount() {
        let mounts = "\
            33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let proc = proc_with(mounts, "5:cpu,cpuacct:/\n3:memory:/\n");
        let found = Hierarchies::discover(proc.path()).unwrap();
        let both = Some(Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(found.controller_root(Controller::Cpu), both);
        assert_eq!(found.controller_root(Controller::Cpuacct), both);
        assert_eq!(found.controller_root(Controller::Blkio), None);
    }

    #[test]
    fn the_mount_that_shows_most_is_taken() {
        let own = "51 50 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let whole = "52 50 0:32 / /host/memory ro - cgroup cgroup rw,memory\n";
        let above = "53 50 0:32 /../.. /node/memory ro - cgroup cgroup rw,memory\n";
        for (mounts, root) in [
            (own.to_owned(), "/sys/fs/cgroup/memory"),
            (format!("{own}{whole}"), "/host/memory"),
            (format!("{own}{whole}{above}"), "/node/memory"),
        ] {
            let proc = proc_with(&mounts, "4:memory:/docker/ab\n");
            let found = Hierarchies::discover(proc.path()).unwrap();
            assert_eq!(found.watched_root(), Path::new(root));
        }
    }

    #[test]
    fn nothing_mounted_and_nothing_readable_are_errors_with_a_path() {
        let proc = proc_with("23 1 0:21 / /proc rw - proc proc rw\n", "0::/\n");
        let error = Hierarchies::discover(proc.path()).unwrap_err();
        assert!(matches!(error, Error::NotMounted { .. }), "{error}");
        let error = Hierarchies::discover(&proc.path().join("gone")).unwrap_err();
        assert!(
            error.to_string().contains("gone/self/mountinfo: "),
            "{error}"
        );
    }
}
