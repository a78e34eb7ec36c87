//! The directory that reports are kept in: made, opened, and what is wrong with it in words.
//!
//! Its path is resolved once. From then on it is opened anew for each use, so that one that was removed, replaced or
//! unmounted heals, and nothing of ours keeps a file system from being unmounted or made read-only; and never through a
//! link, so that whatever is put in its place, nothing is written elsewhere.

use std::fs::{DirBuilder, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Makes the directory (0755) where it is missing. Its path without links.
pub(super) fn settle(path: &Path) -> io::Result<PathBuf> {
    make(path)?;
    resolve(path)
}

/// The path of a directory without links. One that no path but a link leads to (what is mounted there is detached, or
/// beyond this process's root) keeps that, and is opened through it.
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let (resolved, wanted) = (path.canonicalize()?, path.metadata()?);
    let found = resolved.metadata();
    let is_it = |found: Metadata| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino());
    match found.is_ok_and(is_it) {
        true => Ok(resolved),
        false => Ok(path.join("")),
    }
}

/// Opens the directory of a resolved path; makes it where it is missing.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    match open_existing(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path)?;
            open_existing(path)
        }
        opened => opened,
    }
}

/// Opens the directory of a resolved path.
pub(super) fn open_existing(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)
}

/// Whether room is what is missing.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// Whether a descriptor is what is missing.
pub(super) fn lacks_descriptors(error: &io::Error) -> bool {
    let of = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    of(Errno::MFILE) || of(Errno::NFILE)
}

/// What is said of a disk that is full, or as good as full.
pub(super) const NO_SPACE: &str = "hardly any space is left";

/// What an error of the disk means, without paths.
pub(super) fn why(error: &io::Error) -> String {
    use io::ErrorKind;
    let known = match error.kind() {
        ErrorKind::StorageFull => NO_SPACE,
        ErrorKind::QuotaExceeded => "the quota is used up",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::NotFound => "the directory was removed",
        // A link, too.
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "something else is in the directory's place"
        }
        ErrorKind::PermissionDenied => "the directory cannot be written",
        _ if lacks_descriptors(error) => "no descriptors are left",
        _ => return format!("the disk does not work: {}", plain(error)),
    };
    known.to_owned()
}

/// An error of the system as it tells it; of others the kind, for their words may name a path.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.to_string(),
        None => error.kind().to_string(),
    }
}

/// The same error once more.
pub(super) fn again(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
