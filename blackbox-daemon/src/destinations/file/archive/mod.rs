//! The archive: the report files of a directory, read again.
//!
//! Reads the `.json` files whose names are ours, through the opened directory and never through a link; makes
//! summaries and whole reports. A file never changes once it has its name, so what was read of it is remembered by
//! that name; what has gone is forgotten. Reports that a full disk keeps in the reserve are read from there. One read at a time, off the async threads. Files that are no reports are
//! passed over, and logged once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open, openat};
use tokio::sync::Semaphore;

use super::{name, reserve};
use crate::report::format::{Format, FormatError, Options};
use crate::report::{Report, Summary};

/// Largest report that is read, bytes. Ten times what a busy node's come to.
const MAX_FILE: u64 = 64 << 20;
/// Newest files that are looked at; summaries of so many take some 10 MiB. A directory keeps 1,000 unless told.
const MAX_FILES: usize = 10_000;

/// The reports of a directory. Clones share what was read.
#[derive(Clone, Debug)]
pub struct Archive {
    shared: Arc<Shared>,
    options: Options,
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    /// By file name. `None`: it is no report.
    known: Mutex<HashMap<String, Option<Arc<Summary>>>>,
    /// One reader: a report takes several times its size while it is rendered.
    turn: Arc<Semaphore>,
}

/// What cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the reports in {directory}")]
    Directory {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the report {name}")]
    File {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("the report {name} is of another version: it cannot be shown as {format}")]
    Version {
        name: String,
        format: Format,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("reading reports ended early")]
    Ended,
}

/// A report file and what it is about.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name; later reports have greater ones.
    pub name: String,
    pub summary: Arc<Summary>,
}

/// The reports there are.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Newest first.
    pub reports: Vec<Listed>,
    /// Files that look like reports and cannot be read.
    pub unreadable: u64,
}

impl Archive {
    /// The reports in `directory`, which need not be there yet.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self {
            shared: Arc::new(Shared {
                directory,
                known: Mutex::default(),
                turn: Arc::new(Semaphore::new(1)),
            }),
            options: Options::default(),
        }
    }

    /// The same, with what formats are told.
    #[must_use]
    pub fn told(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Every report, newest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn list(&self) -> Result<Listing, Error> {
        self.read(|shared| shared.list(&shared.open()?)).await
    }

    /// The report of this incident in `format`; of several, the newest. `None`: there is none.
    ///
    /// # Errors
    /// The directory or the file cannot be read, or the report cannot be shown in that format.
    pub async fn get(&self, incident: String, format: Format) -> Result<Option<Bytes>, Error> {
        let options = self.options;
        self.read(move |shared| shared.get(&incident, format, options))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = Arc::clone(&self.shared.turn);
        let turn = turn.acquire_owned().await.ok().ok_or(Error::Ended)?;
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || {
            let result = read(&shared);
            drop(turn);
            result
        });
        reading.await.unwrap_or(Err(Error::Ended))
    }
}

impl Shared {
    /// Opened anew each time, so that a directory that was replaced heals.
    fn open(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(&self.directory, flags, Mode::empty())
            .map_err(io::Error::from)
            .map_err(self.failed())
    }

    fn failed(&self) -> impl Fn(io::Error) -> Error {
        |source| Error::Directory {
            directory: self.directory.clone(),
            source,
        }
    }

    fn list(&self, directory: &OwnedFd) -> Result<Listing, Error> {
        let names = newest(directory).map_err(self.failed())?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *known);
        let (mut reports, mut unreadable) = (Vec::new(), 0);
        for name in names {
            let summary = match before.remove(&name) {
                Some(summary) => summary,
                None => match summary(directory, &name) {
                    Ok(summary) => Some(Arc::new(summary)),
                    // Retention was here in between.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        tracing::warn!(file = name, %error, "this file is no report; it is passed over");
                        None
                    }
                },
            };
            known.insert(name.clone(), summary.clone());
            match summary {
                Some(summary) => reports.push(Listed { name, summary }),
                None => unreadable += 1,
            }
        }
        Ok(Listing {
            reports,
            unreadable,
        })
    }

    fn get(
        &self,
        incident: &str,
        format: Format,
        options: Options,
    ) -> Result<Option<Bytes>, Error> {
        let directory = self.open()?;
        let reports = self.list(&directory)?.reports;
        let Some(Listed { name, .. }) = reports
            .into_iter()
            .find(|listed| listed.summary.id == incident)
        else {
            return Ok(None);
        };
        let json = match find(&directory, &name) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::File { name, source }),
        };
        // As it was written: whoever wrote it may have known more than this version does.
        if format == Format::Json {
            return Ok(Some(json.into()));
        }
        let report: Report = serde_json::from_slice(&json).map_err(|source| Error::Version {
            name,
            format,
            source,
        })?;
        drop(json);
        Ok(Some(format.render_with(&report, options)?.into()))
    }
}

/// The names of the newest JSON reports, newest first. Names start with their time.
fn newest(directory: &OwnedFd) -> io::Result<Vec<String>> {
    let is_json =
        |name: &str| Path::new(name).extension() == Some(Format::Json.extension().as_ref());
    let mut names = Vec::new();
    let reserved = reserve::reports(directory).unwrap_or_else(|error| {
        tracing::debug!(%error, "the reserve cannot be read");
        Vec::new()
    });
    names.extend(
        reserved
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| is_json(name)),
    );
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if is_json(name) && name::is_report(name) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable_by(|one, other| other.cmp(one));
    // In the reserve still, and a file already.
    names.dedup();
    names.truncate(MAX_FILES);
    Ok(names)
}

fn summary(directory: &OwnedFd, name: &str) -> io::Result<Summary> {
    Ok(Summary::parse(&find(directory, name)?)?)
}

/// The bytes of a report: of its file, or out of the reserve.
fn find(directory: &OwnedFd, name: &str) -> io::Result<Vec<u8>> {
    match read(directory, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reserved = reserve::reports(directory)?.into_iter();
            let mut reserved = reserved.filter(|(other, _)| other == name);
            reserved.next().map(|(_, body)| body).ok_or(error)
        }
        read => read,
    }
}

/// The bytes of a regular file that is not too large. Never through a link, and never waiting for a pipe's writer.
pub(super) fn read(directory: &OwnedFd, name: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())?;
    let stat = fstat(file.as_fd())?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > MAX_FILE {
        let text = format!("{size} bytes are too many; at most {MAX_FILE} are read");
        return Err(io::Error::other(text));
    }
    let mut bytes = Vec::new();
    File::from(file).take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
