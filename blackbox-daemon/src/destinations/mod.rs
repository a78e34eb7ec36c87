//! Destinations: where the bytes of reports go. One bounded queue and one task each, so none waits for another.
//!
//! Takes reports, and writes their documents to files, stdout or a web server, each in the formats it takes and as fast as
//! it can: a document's bytes are made by its destination, while it writes. A report never waits here: a document that finds
//! a queue full, or no room ([`ROOM`]), is counted, logged and dropped for that destination alone. A failing write is
//! counted and never ends its task; what a directory cannot take now waits for it (`file`). For each destination
//! `sent = written + failed + dropped + waiting`, exactly, whenever nothing is changing hands.

mod document;
pub mod file;
pub mod http;
mod inbox;
pub mod kubernetes;
mod room;
mod state;
pub mod stdout;
mod target;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::durability::Durability;
use crate::report::format::Format;
pub use document::{Document, Dossier};
pub use file::archive::{self, Archive};
use inbox::Inbox;
pub use room::ROOM;
use room::{Room, Taken};
pub use state::DestinationState;
use state::State;
use target::{Target, Written};

/// Documents that may wait for one destination: of as many incidents as may be open at once, in three formats with their bundles.
/// What they keep in memory has a bound of its own ([`ROOM`]).
#[cfg(not(test))]
pub const QUEUE: usize = 4 * crate::incident::MAX_OPEN;
/// Few: tests fill it.
#[cfg(test)]
pub const QUEUE: usize = 32;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A report in a format.
    Report(Format),
    /// Everything it was made from.
    Bundle,
}

impl Kind {
    /// The name used in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Report(format) => format.name(),
            Self::Bundle => "bundle",
        }
    }

    /// Of its file, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Report(format) => format.extension(),
            Self::Bundle => "tar.zst",
        }
    }

    /// Its `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Report(format) => format.content_type(),
            Self::Bundle => "application/zstd",
        }
    }

    /// Every kind there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let reports = Format::ALL.into_iter().map(Self::Report);
        reports.chain([Self::Bundle])
    }
}

/// Where reports shall go. The one list of destinations.
#[derive(Clone, Debug)]
pub enum DestinationConfig {
    File(file::Config),
    Stdout,
    Http(http::Config),
}

impl DestinationConfig {
    /// What one `BLACKBOX_OUTPUT_PATH` means: `stdout`, an `http://` or `https://` URL, or a directory.
    ///
    /// # Errors
    /// It starts like a URL and isn't one.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let path = path.trim();
        if path == "stdout" {
            Ok(Self::Stdout)
        } else if path.starts_with("http://") || path.starts_with("https://") {
            Ok(Self::Http(http::Config::new(path)?))
        } else {
            Ok(Self::File(file::Config::new(PathBuf::from(path))))
        }
    }

    /// The name used in logs, status and metrics. Shows no more of a URL than its origin: the rest may be secret.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(config) => format!("file:{}", config.directory.display()),
            Self::Stdout => "stdout".to_owned(),
            Self::Http(config) => config.origin(),
        }
    }

    /// What it takes. A directory always has the JSON too: it is what the API answers from. Only a directory has bundles.
    fn takes(&self, wanted: &[Format]) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = wanted.iter().copied().map(Kind::Report).collect();
        if let Self::File(config) = self {
            if !wanted.contains(&Format::Json) {
                kinds.push(Kind::Report(Format::Json));
            }
            if config.bundles {
                kinds.push(Kind::Bundle);
            }
        }
        kinds
    }
}

/// A destination that can't be started, or a document it could not write.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] file::Error),
    #[error(transparent)]
    Stdout(#[from] stdout::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
}

/// What one destination had not written when its drain ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritten {
    pub name: String,
    pub documents: u64,
}

/// Every destination. Clones are handles on the same ones.
#[derive(Clone, Debug)]
pub struct Destinations {
    lanes: Arc<[Lane]>,
    archive: Option<Archive>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Lane {
    kinds: Vec<Kind>,
    queue: mpsc::Sender<(Document, Taken)>,
    room: Room,
    state: Arc<State>,
    task: AbortHandle,
}

impl Destinations {
    /// Proves each destination usable and starts its task; directories tell `durability` how they fare. Each takes `formats`, and a directory JSON besides. Needs a tokio runtime around it and, for a web
    /// server, a default rustls provider.
    ///
    /// # Errors
    /// A directory can't be written, or a client can't be made; the error says what to do.
    pub fn start(
        configs: Vec<DestinationConfig>,
        formats: &[Format],
        durability: &Durability,
    ) -> Result<Self, Error> {
        let archive = configs.iter().find_map(|config| match config {
            DestinationConfig::File(config) => Some(Archive::new(config.directory.clone())),
            DestinationConfig::Stdout | DestinationConfig::Http(_) => None,
        });
        let open = |config: DestinationConfig| {
            let (name, takes) = (config.name(), config.takes(formats));
            Ok((name, takes, Target::open(config, durability)?))
        };
        let targets = configs.into_iter().map(open);
        let targets = targets.collect::<Result<Vec<_>, Error>>()?;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let lanes = targets.into_iter().map(|(name, kinds, target)| {
            let (queue, documents) = mpsc::channel(QUEUE);
            let state = Arc::new(State::new(name));
            let span = tracing::info_span!("destination", name = %state.name());
            let inbox = Inbox {
                queue: documents,
                state: Arc::clone(&state),
                closing: closing.clone(),
            };
            let work = target.work(inbox);
            let task = tasks.spawn(work.instrument(span)).abort_handle();
            Lane {
                kinds,
                queue,
                room: Room::new(),
                state,
                task,
            }
        });
        Ok(Self {
            lanes: lanes.collect(),
            archive,
            tasks,
            closing,
        })
    }

    /// The reports on disk: those of the first directory. `None`: no destination is a directory.
    #[must_use]
    pub fn archive(&self) -> Option<Archive> {
        self.archive.clone()
    }

    /// Hands a report to every destination, in each of the kinds that it takes. Never waits: a document that doesn't fit is
    /// counted and logged.
    pub fn tell(&self, dossier: Dossier) {
        let dossier = Arc::new(dossier);
        for lane in self.lanes.iter() {
            let room = lane.room.take(&dossier.case.slice, dossier.report.size());
            for kind in &lane.kinds {
                let document = Document {
                    kind: *kind,
                    dossier: Arc::clone(&dossier),
                };
                lane.offer(document, room.clone());
            }
        }
    }

    /// How each destination fares, in the order they were configured.
    #[must_use]
    pub fn states(&self) -> Vec<DestinationState> {
        self.lanes.iter().map(|lane| lane.state.read()).collect()
    }

    /// Closes every queue, waits at most `deadline` for what is in them, then gives up on the rest. Says for
    /// each destination how many documents it left; those that failed are not among them.
    pub async fn drain(self, deadline: Duration) -> Vec<Unwritten> {
        self.closing.cancel();
        self.tasks.close();
        let in_time = tokio::time::timeout(deadline, self.tasks.wait()).await;
        if in_time.is_err() {
            self.lanes.iter().for_each(|lane| lane.task.abort());
        }
        let left = self.states().into_iter().map(|state| Unwritten {
            name: state.name,
            documents: state.waiting,
        });
        left.inspect(|left| {
            if left.documents > 0 {
                tracing::error!(
                    destination = left.name,
                    documents = left.documents,
                    "reports not written"
                );
            }
        })
        .collect()
    }
}

impl Lane {
    fn offer(&self, document: Document, room: Option<Taken>) {
        let (incident, kind) = (document.incident_id().to_owned(), document.kind.name());
        // Before it is in the queue: its task may be done with it at once.
        self.state.offered();
        let dossier = Arc::clone(&document.dossier);
        let why = match room.map(|room| self.queue.try_send((document, room))) {
            Some(Ok(())) => return,
            Some(Err(mpsc::error::TrySendError::Full(_))) => "its queue is full",
            Some(Err(mpsc::error::TrySendError::Closed(_))) => "it is closed",
            None => "what waits for it keeps too much memory",
        };
        if let Some(telling) = &dossier.telling {
            telling.miss();
        }
        let (destination, dropped) = (self.state.name(), self.state.dropped());
        tracing::warn!(destination, ?incident, kind, dropped, why, "report dropped");
    }
}

#[cfg(test)]
pub(crate) mod tests;
