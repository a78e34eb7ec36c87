//! The files of one cgroup: read, told apart (absent, broken), and taken apart into numbers.
//!
//! A file that is not there gives `None`: the controller is off, the kernel is older, or the cgroup has just
//! been removed. Anything else that goes wrong is remembered with its path.

use std::fmt::Display;
use std::io;

use rustix::io::Errno;

use super::directory::Directory;
use crate::record::Stall;
use crate::sources::procfs::pressure;

/// Reads cgroup files, one after the other into one buffer, and remembers the first one of a tick that failed.
#[derive(Debug, Default)]
pub(super) struct Files {
    buffer: Vec<u8>,
    failure: Failure,
}

/// The first failure.
#[derive(Debug, Default)]
struct Failure(Option<String>);

impl Failure {
    fn keep<T, E: Display>(
        &mut self,
        result: Result<T, E>,
        directory: &Directory,
        name: &str,
    ) -> Option<T> {
        result
            .map_err(|error| {
                let path = directory.path(name);
                self.0
                    .get_or_insert_with(|| format!("{}: {error}", path.display()));
            })
            .ok()
    }
}

impl Files {
    /// The text of `name` in `directory`, until the next one is read.
    pub(super) fn text(&mut self, directory: &Directory, name: &str) -> Option<&str> {
        let Self { buffer, failure } = self;
        load(buffer, failure, directory, name)
    }

    /// A file that is one number. `max`, which stands for no limit, is `None`.
    pub(super) fn number(&mut self, directory: &Directory, name: &str) -> Option<u64> {
        let Self { buffer, failure } = self;
        match load(buffer, failure, directory, name)?.trim() {
            "max" => None,
            number => failure.keep(number.parse(), directory, name),
        }
    }

    /// The numbers behind these keys in a flat keyed file: lines of `key number`.
    pub(super) fn keyed<const COUNT: usize>(
        &mut self,
        directory: &Directory,
        name: &str,
        keys: [&str; COUNT],
    ) -> [Option<u64>; COUNT] {
        self.text(directory, name)
            .map_or([None; COUNT], |text| keyed(text, keys))
    }

    /// A pressure file (Documentation/accounting/psi.rst).
    pub(super) fn stall(&mut self, directory: &Directory, name: &str) -> Option<Stall> {
        let Self { buffer, failure } = self;
        let text = load(buffer, failure, directory, name)?;
        failure.keep(pressure::parse(text), directory, name)
    }

    /// The first failure since the last call.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failure.0.take()
    }
}

fn load<'a>(
    buffer: &'a mut Vec<u8>,
    failure: &mut Failure,
    directory: &Directory,
    name: &str,
) -> Option<&'a str> {
    buffer.clear();
    match directory.read(name, buffer) {
        Err(error) if is_absent(&error) => None,
        read => {
            failure.keep(read, directory, name)?;
            failure.keep(std::str::from_utf8(buffer), directory, name)
        }
    }
}

/// `ENOENT`: no such file, or the cgroup is gone; `ENODEV`: gone between open and read (fs/kernfs/file.c);
/// `EOPNOTSUPP`: switched off for this cgroup (pressure files).
fn is_absent(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NODEV, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The numbers behind these keys.
fn keyed<const COUNT: usize>(text: &str, keys: [&str; COUNT]) -> [Option<u64>; COUNT] {
    let mut numbers = [None; COUNT];
    for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(place) = keys.iter().position(|key| *key == name)
            && let Some(number) = numbers.get_mut(place)
        {
            *number = value.trim().parse().ok();
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn keys_match_whole_and_numbers_only() {
        let text = "file_mapped 1\nfile 4096\nanon max\n";
        let numbers = keyed(text, ["kernel", "file", "anon"]);
        assert_eq!(numbers, [None, Some(4096), None]);
    }

    #[test]
    fn absent_is_no_failure_but_unreadable_is() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::at(root.path().to_owned());
        let mut files = Files::default();
        assert_eq!(files.number(&directory, "pids.current"), None);
        assert_eq!(files.take_failure(), None);
        fs::write(root.path().join("pids.max"), "max\n").unwrap();
        assert_eq!(files.number(&directory, "pids.max"), None);
        assert_eq!(files.take_failure(), None);
        fs::create_dir(root.path().join("pids.peak")).unwrap();
        fs::write(root.path().join("pids.current"), "three\n").unwrap();
        for name in ["pids.peak", "pids.current"] {
            assert_eq!(files.number(&directory, name), None);
            let failure = files.take_failure().unwrap();
            assert!(failure.contains(&format!("{name}: ")), "{failure}");
        }
    }
}
