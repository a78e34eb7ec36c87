//! The files of one cgroup: read, told apart (absent, broken), and taken apart into numbers.
//!
//! A file that is not there gives `None`: the controller is off, the kernel is older, or the cgroup has just
//! been removed. Anything else that goes wrong is remembered with its path.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::record::Stall;
use crate::sources::procfs::pressure;

/// Reads cgroup files and remembers the first one of a tick that failed.
#[derive(Debug, Default)]
pub(super) struct Files {
    failure: Option<String>,
}

impl Files {
    /// The text of `name` in `directory`.
    pub(super) fn text(&mut self, directory: &Path, name: &str) -> Option<String> {
        let path = directory.join(name);
        match fs::read_to_string(&path) {
            Err(error) if is_absent(&error) => None,
            read => self.keep(read, &path),
        }
    }

    /// A file that is one number. `max`, which stands for no limit, is `None`.
    pub(super) fn number(&mut self, directory: &Path, name: &str) -> Option<u64> {
        let text = self.text(directory, name)?;
        match text.trim() {
            "max" => None,
            number => self.keep(number.parse(), &directory.join(name)),
        }
    }

    /// A pressure file (Documentation/accounting/psi.rst).
    pub(super) fn stall(&mut self, directory: &Path, name: &str) -> Option<Stall> {
        let text = self.text(directory, name)?;
        self.keep(pressure::parse(&text), &directory.join(name))
    }

    fn keep<T, E: Display>(&mut self, result: Result<T, E>, path: &Path) -> Option<T> {
        result
            .map_err(|error| {
                self.failure
                    .get_or_insert_with(|| format!("{}: {error}", path.display()));
            })
            .ok()
    }

    /// The first failure since the last call.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }
}

/// `ENOENT`: no such file, or the cgroup is gone; `ENODEV`: gone between open and read (fs/kernfs/file.c);
/// `EOPNOTSUPP`: switched off for this cgroup (pressure files).
fn is_absent(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NODEV, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The number behind `key` in a flat keyed file: lines of `key number`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_whole_and_numbers_only() {
        let text = "file_mapped 1\nfile 4096\nanon max\n";
        assert_eq!(keyed(text, "file"), Some(4096));
        assert_eq!(keyed(text, "anon"), None);
        assert_eq!(keyed(text, "kernel"), None);
    }

    #[test]
    fn absent_is_no_failure_but_unreadable_is() {
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        assert_eq!(files.number(root.path(), "pids.current"), None);
        assert_eq!(files.take_failure(), None);
        fs::write(root.path().join("pids.max"), "max\n").unwrap();
        assert_eq!(files.number(root.path(), "pids.max"), None);
        assert_eq!(files.take_failure(), None);
        fs::create_dir(root.path().join("pids.peak")).unwrap();
        fs::write(root.path().join("pids.current"), "three\n").unwrap();
        for name in ["pids.peak", "pids.current"] {
            assert_eq!(files.number(root.path(), name), None);
            let failure = files.take_failure().unwrap();
            assert!(failure.contains(&format!("{name}: ")), "{failure}");
        }
    }
}
