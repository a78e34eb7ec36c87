//! The file destination: one file for each document, whole or not there at all; and what becomes of a document while the
//! disk is full or broken.
//!
//! Makes `<YYYYMMDDTHHMMSS.mmmZ>_<incident>.<ext>` in one directory. `place` makes a file, `retention` removes the oldest
//! until count and bytes fit, `reserve` keeps reports that a full disk does not take, `keeper` is all that one task
//! does on the disk, `probe` how it knows that something is wrong before a report is lost, and `desk` is that task.

pub mod archive;
mod backoff;
mod desk;
mod directory;
mod keeper;
mod name;
mod place;
mod probe;
mod reserve;
mod retention;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

pub(super) use desk::Desk;
pub use reserve::BYTES as RESERVE_BYTES;
pub use retention::FLOOR;

/// Report files kept, unless configured: at two formats and a bundle, some 300 incidents.
pub const MAX_FILES: usize = 1000;
/// Bytes of report files kept, unless configured.
pub const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// A file that is written to see whether one can be.
const PROBE: &str = "probe";

/// Where to keep files, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub directory: PathBuf,
    /// Most report files kept. The newest is kept even if this is 0.
    pub max_files: usize,
    /// Most bytes of report files kept. The newest is kept even if it is bigger.
    pub max_bytes: u64,
    /// Whether each report has its bundle beside it.
    pub bundles: bool,
    /// Bytes kept ready for reports that find the disk full; 0 for none.
    pub reserve: u64,
}

impl Config {
    /// Files in `directory`, at most [`MAX_FILES`] and [`MAX_BYTES`], and a reserve of [`RESERVE_BYTES`].
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            max_files: MAX_FILES,
            max_bytes: MAX_BYTES,
            bundles: true,
            reserve: RESERVE_BYTES,
        }
    }
}

/// What can't be done in the directory. The texts don't vary from document to document.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "cannot keep reports in {directory}, make it a directory that uid {uid} can write or set \
         BLACKBOX_OUTPUT_PATH to another"
    )]
    Unusable {
        directory: PathBuf,
        uid: u32,
        #[source]
        source: io::Error,
    },
    #[error("cannot {doing} in {directory}")]
    Failed {
        doing: &'static str,
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the write of a report file ended early")]
    Ended(#[source] tokio::task::JoinError),
}

/// Creates `directory` (0755) where it is missing and proves that files can be written in it.
///
/// # Errors
/// It can't be created or written; the error names it and says what to do.
pub fn check(directory: &Path) -> Result<(), Error> {
    match prove(directory) {
        Ok(_) => Ok(()),
        Err(source) => Err(unusable(directory, source)),
    }
}

/// The path, without links, of a directory that can be used, now or when its disk has healed: a full disk must not keep
/// the daemon from starting.
fn usable(directory: &Path) -> Result<PathBuf, Error> {
    prove(directory).or_else(|source| {
        let there = directory::resolve(directory);
        match there {
            Ok(path) if path.is_dir() && is_of_the_disk(&source) => Ok(path),
            _ => Err(unusable(directory, source)),
        }
    })
}

/// Whether the disk is to blame, and not who configured the directory.
fn is_of_the_disk(error: &io::Error) -> bool {
    let broken = error.raw_os_error() == Some(Errno::IO.raw_os_error());
    let kind = error.kind() == io::ErrorKind::ReadOnlyFilesystem;
    broken || kind || directory::is_full(error) || directory::lacks_descriptors(error)
}

/// Creates the directory where it is missing and writes a file in it. Its path without links.
fn prove(path: &Path) -> io::Result<PathBuf> {
    let path = directory::settle(path)?;
    let opened = directory::open_existing(&path)?;
    let (temp, mut file) = place::create(&opened, PROBE).map_err(place::Fault::error)?;
    let written = file.write_all(b"probe");
    unlinkat(&opened, &temp, AtFlags::empty())?;
    written.map(|()| path)
}

fn unusable(directory: &Path, source: io::Error) -> Error {
    Error::Unusable {
        directory: directory.to_owned(),
        uid: rustix::process::geteuid().as_raw(),
        source,
    }
}

#[cfg(test)]
mod tests;
