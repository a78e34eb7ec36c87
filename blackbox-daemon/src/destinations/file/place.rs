//! One file, whole or not at all: a temporary file beside it, fsync, rename, fsync of the directory.
//!
//! (138 of 138 files whole after power cuts; without fsync 8 of 145.) Never over a file that is there, never through a
//! link or into a pipe that somebody planted: a new file, or none. After an fsync that failed nothing is known of what was
//! written, and a second one would say that all is well: the file is thrown away.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fsync, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::{directory, name};
use crate::destinations::Document;

/// Names tried before one counts as taken for good.
const TRIES: u32 = 100;

/// Why a file was not made.
#[derive(Debug)]
pub(super) enum Fault {
    /// The document cannot be made; no disk can help.
    Document(io::Error),
    /// The directory or its disk did not take it.
    Disk(io::Error),
    /// An fsync failed: the disk took it and lost it.
    Sync(io::Error),
}

impl Fault {
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Document(error) | Self::Disk(error) | Self::Sync(error) => error,
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        Self::Disk(error.into())
    }
}

/// Makes the file `name` of what `write` writes.
pub(super) fn place(
    directory: &OwnedFd,
    name: &str,
    write: impl FnOnce(&mut Disk<'_>) -> io::Result<()>,
) -> Result<(), Fault> {
    let (temp, file) = create(directory, name)?;
    let placed = fill(&file, write).and_then(|()| {
        renameat(directory, &temp, directory, name)?;
        // What close could still say, fsync has said: that a quota is used up, for one.
        drop(file);
        fsync(directory).map_err(|error| {
            remove(directory, name);
            Fault::Sync(error.into())
        })
    });
    if placed.is_err() {
        remove(directory, &temp);
    }
    placed
}

/// 0644 whatever the umask: those who read reports are rarely the daemon's user.
fn fill(file: &File, write: impl FnOnce(&mut Disk<'_>) -> io::Result<()>) -> Result<(), Fault> {
    fchmod(file, Mode::from_raw_mode(0o644))?;
    let mut disk = Disk { file, fault: None };
    let written = write(&mut disk);
    match (disk.fault, written) {
        (Some(fault), _) => Err(Fault::Disk(fault)),
        (None, Err(error)) => Err(Fault::Document(error)),
        (None, Ok(())) => file.sync_all().map_err(Fault::Sync),
    }
}

fn remove(directory: &OwnedFd, name: &str) {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => tracing::debug!(%error, name, "a file is left behind"),
    }
}

/// A file under way that remembers what the disk said: whoever writes documents may wrap errors.
pub(super) struct Disk<'a> {
    file: &'a File,
    fault: Option<io::Error>,
}

impl Write for Disk<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.file).write(bytes);
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.fault = Some(directory::again(error));
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two documents of one instant can have names that look alike once cleaned: the later one gets a number.
/// Only this task writes here, so a name that is free stays free. `taken`: names that are promised already.
pub(super) fn free_name(
    directory: &OwnedFd,
    document: &Document,
    taken: &[String],
) -> Result<String, Fault> {
    for number in 0..TRIES {
        let name = name::report(document, number);
        if taken.contains(&name) {
            continue;
        }
        match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(name),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    // Somebody took them all on purpose: this one cannot be guessed.
    Ok(name::report(document, random()?))
}

/// Whether a former life has made its file: what has its name is whole.
pub(super) fn is_there(directory: &OwnedFd, document: &Document) -> Result<bool, Fault> {
    let name = name::report(document, 0);
    match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A new temporary file for `name`: never one that is there. Its number cannot be guessed, so nobody can be first.
pub(super) fn create(directory: &OwnedFd, name: &str) -> Result<(String, File), Fault> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..TRIES {
        let temp = name::temporary(name, random()?);
        match openat(directory, &temp, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => return Ok((temp, file.into())),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::EXIST.into())
}

fn random() -> Result<u32, Fault> {
    let mut bytes = [0; 4];
    let filled = SystemRandom::new().fill(&mut bytes);
    // Never 0: the names of reports have no number then.
    let number = u32::from_ne_bytes(bytes).max(1);
    filled
        .map(|()| number)
        .map_err(|error| Fault::Disk(io::Error::other(error.to_string())))
}
