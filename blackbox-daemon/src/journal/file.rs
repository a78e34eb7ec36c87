//! `window.ring` itself: opened, locked, read, or made anew.
//!
//! Never through a link, only a regular file with one name, in a directory that exists or can be made. A new file is filled
//! with zeros and synced under another name before it takes its place: later writes need no room and change no metadata that
//! a sync would have to write.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::fs::{flock, fsync, open, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::layout::{self, FORMAT, Head, Key, PAGE};
use super::{Config, FILE};

/// The name under which a file is made.
const NEW: &str = ".window.ring.new";
/// Largest file that is read, bytes: more than can be configured.
const MOST: u64 = 8 << 30;
/// How often a file that another daemon has is tried, …
const LOCK_TRIES: u32 = 20;
/// … and how long is waited in between.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Zeros are written in pieces of so many bytes.
const PIECE: usize = 1 << 20;

/// Why there is no file to write to.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}")]
pub struct Error {
    pub doing: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error {
        doing,
        path,
        source,
    }
}

/// The file there is, with what is in it; `None`: there is none. It is locked: nobody else writes it.
///
/// # Errors
/// It cannot be read, is no plain file, or somebody else has it.
pub(super) fn find(config: &Config) -> Result<Option<(File, Vec<u8>)>, Error> {
    let path = config.directory.join(FILE);
    let found = || -> io::Result<Option<(File, Vec<u8>)>> {
        let Some(mut file) = open_plain(&path)? else {
            return Ok(None);
        };
        let about = file.metadata()?;
        if about.len() > MOST {
            return Err(io::Error::other("it is larger than any of ours"));
        }
        // The daemon before may be about to end.
        let mut tries = LOCK_TRIES;
        while let Err(error) = lock(&file) {
            tries -= 1;
            if tries == 0 {
                return Err(error);
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Ok(Some((file, bytes)))
    };
    found().map_err(failed("read", &path))
}

/// A regular file with one name, never through a link.
fn open_plain(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match open(path, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let about = file.metadata()?;
    match about.is_file() && about.nlink() == 1 {
        true => Ok(Some(file)),
        false => Err(io::Error::other(
            "it is no plain file of ours (remove it, and a new one is made)",
        )),
    }
}

fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(io::Error::other("another daemon writes it")),
        Err(error) => Err(error.into()),
    }
}

/// Proves that a file that is open can still be found by its name.
///
/// # Errors
/// Somebody removed it: what is written to it is lost with its last descriptor.
pub(super) fn is_there(file: &File) -> io::Result<()> {
    match file.metadata()?.nlink() {
        0 => Err(io::Error::other("it was removed")),
        _ => Ok(()),
    }
}

/// Makes a new file in the place of the one that may be there.
///
/// # Errors
/// The directory cannot be made or written, or the disk is full; the old file is as it was.
pub(super) fn make(config: &Config, key: Key) -> Result<File, Error> {
    let made = || -> io::Result<File> {
        let directory = directory(&config.directory)?;
        match unlinkat(&directory, NEW, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        // Whose it is must not lose it; what is no file of ours is in the way.
        if let Some(old) = open_plain(&config.directory.join(FILE))? {
            lock(&old)?;
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file: File = openat(&directory, NEW, flags, mode)?.into();
        let filled = fill(&mut file, config.size, key).and_then(|()| {
            lock(&file)?;
            Ok(renameat(&directory, NEW, &directory, FILE)?)
        });
        if let Err(error) = filled {
            if let Err(error) = unlinkat(&directory, NEW, AtFlags::empty()) {
                tracing::debug!(%error, "a file that was begun is left behind");
            }
            return Err(error);
        }
        fsync(&directory)?;
        Ok(file)
    };
    made().map_err(failed("make", &config.directory.join(FILE)))
}

fn directory(path: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

fn fill(file: &mut File, size: u64, key: Key) -> io::Result<()> {
    let head = Head {
        format: FORMAT,
        size,
        key,
    };
    file.write_all(&layout::head(&head))?;
    let zeros = vec![0; PIECE];
    let mut left = size - PAGE;
    while left > 0 {
        let piece = left.min(PIECE as u64);
        file.write_all(&zeros[..piece as usize])?;
        left -= piece;
    }
    file.sync_all()
}
