//! The directories of cgroups, kept open: to read a file of a cgroup that is looked at each second no path is walked, and what
//! is read is of that very cgroup, whatever has its path by then.
//!
//! One descriptor for each directory and none for its files: a file that is kept open holds a page of the kernel's memory, and
//! a container has some twenty. Bounded: beyond [`MOST_KEPT`], and when there is no descriptor left, files are found by path.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};

use super::hierarchy::{Controller, Hierarchies};
use super::walk::{Found, directory};
use crate::descriptors;
use crate::record::CgroupId;
use crate::sources::whole;

/// Most cgroups whose directories are kept; less where this process may have few files.
const MOST_KEPT: usize = 4096;
/// A v1 cgroup has so many directories at most: one for each controller.
const EACH: usize = 5;

/// What was missing so often will not come: a cgroup need not be in every tree.
const MOST_MISSED: u32 = 10 * EACH as u32;

/// A directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// `None`: its files are found by path.
    open: Option<OwnedFd>,
}

impl Directory {
    /// One that is not kept open.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self {
            path,
            open: Some(open),
        })
    }

    /// The cgroup whose directory it is.
    fn id(&self) -> Option<CgroupId> {
        Some(CgroupId(fstat(self.open.as_ref()?).ok()?.st_ino))
    }

    /// Appends what a file of it says.
    pub(super) fn read(&self, name: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match &self.open {
            Some(open) => openat(open, name, flags, Mode::empty())?,
            None => openat(CWD, self.path.join(name), flags, Mode::empty())?,
        };
        whole::read(file, buffer)
    }

    /// What its file is called in messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// A cgroup's directories: that of the watched hierarchy, and those of v1's other controllers.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: String,
    watched: Directory,
    others: Vec<(Controller, Directory)>,
    /// How often one of these was not there.
    missed: u32,
}

impl Cgroup {
    /// A cgroup whose directories are found by their paths.
    pub(super) fn at(root: &Path, path: &str) -> Self {
        Self {
            path: path.to_owned(),
            watched: Directory::at(directory(root, path)),
            others: Vec::new(),
            missed: 0,
        }
    }

    pub(super) fn watched(&self) -> &Directory {
        &self.watched
    }

    /// Its directory in the tree of a v1 controller. `None`: it is not in that tree.
    pub(super) fn of(&mut self, controller: Controller, host: &Hierarchies) -> Option<&Directory> {
        let place = match self.others.iter().position(|(of, _)| *of == controller) {
            Some(place) => place,
            None if self.missed >= MOST_MISSED => return None,
            None => {
                let path = directory(host.controller_root(controller)?, &self.path);
                let opened = match self.watched.open {
                    // A runtime makes one after the other: what is not there yet is looked for again.
                    Some(_) => match Directory::open(path.clone()) {
                        Err(error) if is_gone(&error) => {
                            self.missed += 1;
                            return None;
                        }
                        opened => opened.unwrap_or_else(|_| Directory::at(path)),
                    },
                    None => Directory::at(path),
                };
                self.others.push((controller, opened));
                self.others.len() - 1
            }
        };
        self.others.get(place).map(|(_, directory)| directory)
    }
}

/// The cgroups whose directories are kept.
#[derive(Debug)]
pub(super) struct Kept {
    cgroups: HashMap<CgroupId, Cgroup>,
    most: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            cgroups: HashMap::new(),
            // A quarter: there are two samplers, and others want to open files too.
            most: (descriptors::allowed() / 4 / EACH).min(MOST_KEPT),
        }
    }
}

impl Kept {
    /// Takes a cgroup out, or finds it. `None`: it is gone, or another one has its path.
    pub(super) fn take(&mut self, root: &Path, found: &Found) -> Option<Cgroup> {
        if let Some(kept) = self.cgroups.remove(&found.id) {
            return Some(kept);
        }
        let mut cgroup = Cgroup::at(root, &found.path);
        if self.cgroups.len() < self.most {
            match Directory::open(directory(root, &found.path)) {
                Ok(opened) if opened.id() == Some(found.id) => cgroup.watched = opened,
                Err(error) if !is_gone(&error) => {}
                Ok(_) | Err(_) => return None,
            }
        }
        Some(cgroup)
    }

    /// Keeps one for the next time, if it is open.
    pub(super) fn keep(&mut self, id: CgroupId, cgroup: Cgroup) {
        if cgroup.watched.open.is_some() {
            self.cgroups.insert(id, cgroup);
        }
    }

    /// Lets all others go.
    pub(super) fn retain(&mut self, present: impl Iterator<Item = CgroupId>) {
        let present: HashSet<CgroupId> = present.collect();
        self.cgroups.retain(|id, _| present.contains(id));
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::hierarchy::tests::proc_with;
    use super::super::walk::survey;
    use super::*;

    fn number(directory: &Directory) -> io::Result<String> {
        let mut text = Vec::new();
        directory.read("pids.current", &mut text)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_is_kept_is_the_very_cgroup_and_not_its_path() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("c");
        let make = |text: &str| {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("pids.current"), text).unwrap();
            let found = survey(root.path()).unwrap().found;
            found.into_iter().find(|found| found.path == "/c").unwrap()
        };
        let first = make("1");
        let mut kept = Kept::default();
        let cgroup = kept.take(root.path(), &first).unwrap();
        assert_eq!(number(cgroup.watched()).unwrap(), "1");
        kept.keep(first.id, cgroup);
        fs::rename(&path, root.path().join("old")).unwrap();
        let second = make("2");
        // Another cgroup has the path of the first, which is still there.
        let cgroup = kept.take(root.path(), &first).unwrap();
        assert_eq!(number(cgroup.watched()).unwrap(), "1");
        kept.keep(first.id, cgroup);
        let cgroup = kept.take(root.path(), &second).unwrap();
        assert_eq!(number(cgroup.watched()).unwrap(), "2");
        kept.retain([second.id].into_iter());
        assert!(
            kept.take(root.path(), &first).is_none(),
            "by its path it is another one"
        );
    }

    #[test]
    fn what_is_in_no_other_tree_is_not_looked_for_forever() {
        let root = tempfile::tempdir().unwrap();
        let mounts = ["memory", "pids"].map(|name| {
            fs::create_dir_all(root.path().join(name)).unwrap();
            format!(
                "33 31 0:30 / {}/{name} rw - cgroup cgroup rw,{name}\n",
                root.path().display()
            )
        });
        let proc = proc_with(&mounts.concat(), "4:memory:/\n");
        let host = Hierarchies::discover(proc.path()).unwrap();
        fs::create_dir(root.path().join("memory/c")).unwrap();
        let found = survey(host.watched_root()).unwrap().found;
        let mut kept = Kept::default();
        let mut cgroup = kept.take(host.watched_root(), &found[1]).unwrap();
        let mut looks = 0;
        while cgroup.missed < MOST_MISSED {
            assert!(cgroup.of(Controller::Pids, &host).is_none());
            looks += 1;
        }
        assert_eq!(looks, MOST_MISSED);
        fs::create_dir(root.path().join("pids/c")).unwrap();
        assert!(cgroup.of(Controller::Pids, &host).is_none());
        cgroup.missed -= 1;
        assert!(cgroup.of(Controller::Pids, &host).is_some());
    }

    #[test]
    fn beyond_the_bound_files_are_found_by_path() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("pids.current"), name).unwrap();
        }
        let found = survey(root.path()).unwrap().found;
        let mut kept = Kept {
            most: 1,
            ..Kept::default()
        };
        for found in found.iter().filter(|found| found.path != "/") {
            let cgroup = kept.take(root.path(), found).unwrap();
            assert_eq!(number(cgroup.watched()).unwrap(), found.path[1..]);
            kept.keep(found.id, cgroup);
        }
        assert_eq!(kept.cgroups.len(), 1);
    }
}
