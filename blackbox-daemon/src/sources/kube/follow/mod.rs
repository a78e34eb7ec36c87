//! Follows one kind of object: lists it, watches it from there, and goes on wherever it was interrupted.
//!
//! ```text
//!            ┌──────── 410: forgotten ◄──────┐
//!            ▼                               │
//!   list ──► listed ──► watch ──► change, change, … ──► ended: watch again from the last version
//!    ▲                    ▲                  │
//!    └── pause ◄── failed └─── pause ◄── failed
//! ```
//!
//! A watch ends after [`Patience::silence`] at the latest, so a connection that is open at one end only is noticed in
//! that time. The API server is asked to end it sooner by itself. Pauses grow, up to 30 s, with jitter:
//! the nodes of a cluster must not come back all at once.

mod pause;
mod query;

use std::time::Duration;

use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use self::pause::{longest, pause};
pub(super) use self::query::What;
use self::query::{Fresh, list, watch};
use super::client::{Error, Server};
use super::counts::Counts;
use super::object::{List, Meta, Object};
use crate::clock;

/// Most objects of one list: far more than a node has.
const MOST: usize = 50_000;
/// A watch that ended sooner than this did not work: a pause is due.
const TOO_SOON: Duration = Duration::from_secs(1);

/// How patiently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Longest life of a watch.
    pub(super) silence: Duration,
    /// First pause after a failure.
    pub(super) retry: Duration,
}

/// What is told of it.
#[derive(Debug)]
pub(super) enum Update<T> {
    /// Everything there is; what is not in it is gone.
    Listed(Vec<T>),
    Applied(T),
    Deleted(T),
    /// It is followed from now on.
    Up,
    /// It is not followed, for this reason.
    Down(String),
}

/// Whoever was told is gone.
struct Unheard;

/// Why a list or a watch ended before its time.
enum Stop {
    Failed(Error),
    Unheard,
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Unheard> for Stop {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

/// Who is told: an update becomes a message to `to`.
#[derive(Debug)]
pub(super) struct Ear<T, M> {
    pub(super) as_told: fn(Update<T>) -> M,
    pub(super) to: Sender<M>,
}

/// Follows objects of type `T` and tells of them as messages `M`.
pub(super) struct Follower<T, M> {
    what: What,
    patience: Patience,
    server: Server,
    counts: Counts,
    ear: Ear<T, M>,
    /// Where a watch goes on; `None`: a list is due.
    version: Option<String>,
    fresh: Fresh,
}

impl<T: Object, M: Send + 'static> Follower<T, M> {
    pub(super) fn new(
        what: What,
        patience: Patience,
        server: Server,
        counts: Counts,
        ear: Ear<T, M>,
    ) -> Self {
        Self {
            what,
            patience,
            server,
            counts,
            ear,
            version: None,
            fresh: Fresh::Any,
        }
    }

    /// Follows for as long as somebody is told.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        let mut listed_again = false;
        loop {
            let began = clock::boot_now();
            let done = match self.version.clone() {
                None => self.list().await,
                Some(version) => self.watch(&version).await,
            };
            let lasted = clock::boot_now().since(began);
            // An attempt that hung has been its own pause: the two must not add up while the server comes back.
            let paused = match &done {
                Err(Stop::Failed(Error::Late(_))) => lasted,
                _ => Duration::ZERO,
            };
            let asked_to_wait = match done {
                Ok(Lived::Listed) => continue,
                Ok(Lived::Watched) => {
                    self.counts.reconnected();
                    None
                }
                Err(Stop::Unheard) => return,
                Err(Stop::Failed(error)) => match self.failed(error).await {
                    Ok(wait) => wait,
                    Err(Unheard) => return,
                },
            };
            match asked_to_wait {
                None if lasted >= TOO_SOON => (failures, listed_again) = (0, false),
                // The history was lost in an outage, whose pauses are no reason to wait. Again: it cannot be followed.
                None if self.version.is_none() && !listed_again => listed_again = true,
                wait => {
                    failures += 1;
                    let pause = pause(self.patience.retry, failures);
                    let wait = wait.unwrap_or_default().clamp(pause, longest(pause));
                    tokio::time::sleep(wait.saturating_sub(paused)).await;
                }
            }
        }
    }

    /// Takes note of a failure. How long the next attempt must wait at least; `None`: it need not.
    async fn failed(&mut self, error: Error) -> Result<Option<Duration>, Unheard> {
        self.counts.error(error.code());
        if let Error::Gone = error {
            self.version = None;
            return Ok(None);
        }
        // New credentials, a new address, another server behind the same one.
        self.server.forget();
        if must_list(&error) {
            self.version = None;
        }
        let wait = match &error {
            Error::Status {
                retry_after: Some(wait),
                ..
            } => *wait,
            _ => Duration::ZERO,
        };
        self.say(Update::Down(error.to_string())).await?;
        Ok(Some(wait))
    }

    async fn say(&self, update: Update<T>) -> Result<(), Unheard> {
        let sent = self.ear.to.send((self.ear.as_told)(update)).await;
        sent.or(Err(Unheard))
    }

    async fn list(&mut self) -> Result<Lived, Stop> {
        let mut items = Vec::new();
        let mut next = None;
        let version = loop {
            let path = list(&self.what, self.fresh, next.as_deref());
            let page = self.server.get("list", &path).await?;
            let page: List<T> = serde_json::from_slice(&page)?;
            if !self.what.news_only {
                items.extend(page.items);
            }
            next = page.metadata.next.filter(|token| !token.is_empty());
            if self.what.news_only || next.is_none() {
                break page.metadata.resource_version;
            }
            if items.len() > MOST {
                return Err(Error::TooLong(items.len()).into());
            }
        };
        self.counts.told(clock::boot_now());
        if !self.what.news_only {
            self.say(Update::Listed(items)).await?;
        }
        self.version = Some(version.unwrap_or_default());
        self.fresh = Fresh::Newest;
        self.say(Update::Up).await?;
        Ok(Lived::Listed)
    }

    async fn watch(&mut self, version: &str) -> Result<Lived, Stop> {
        let path = watch(&self.what, self.patience.silence, version);
        let mut lines = self.server.watch(&path, self.patience.silence).await?;
        self.say(Update::Up).await?;
        while let Some(line) = lines.next().await? {
            if line.trim_ascii().is_empty() {
                continue;
            }
            self.counts.told(clock::boot_now());
            self.heard(&line).await?;
        }
        Ok(Lived::Watched)
    }

    /// Takes one line of a watch.
    async fn heard(&mut self, line: &[u8]) -> Result<(), Stop> {
        let Kind { kind } = serde_json::from_slice(line)?;
        let update = match kind.as_str() {
            "ADDED" | "MODIFIED" => Update::Applied,
            "DELETED" => Update::Deleted,
            "BOOKMARK" => {
                let Line { object } = serde_json::from_slice::<Line<Bookmark>>(line)?;
                self.at(&object.metadata);
                return Ok(());
            }
            _ => {
                let Line { object } = serde_json::from_slice::<Line<Status>>(line)?;
                let code = object.code.and_then(|code| StatusCode::from_u16(code).ok());
                let status = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Err(Error::of_status(status).into());
            }
        };
        let Line { object } = serde_json::from_slice::<Line<T>>(line)?;
        self.counts.change(self.what.name, &kind);
        self.at(object.meta());
        self.say(update(object)).await?;
        Ok(())
    }

    fn at(&mut self, meta: &Meta) {
        if let Some(version) = &meta.resource_version {
            self.version = Some(version.clone());
        }
    }
}

/// Whether a watch cannot go on from where it was. A server whose etcd was restored knows no such version and may say
/// so in any way; and what could not be read may have been a deletion.
fn must_list(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => ![
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]
        .contains(status),
        Error::Gone | Error::Unreadable(_) | Error::TooLong(_) => true,
        Error::Access { .. }
        | Error::NoAnswer(_)
        | Error::Late(_)
        | Error::Broken(_)
        | Error::Silent(_) => false,
    }
}

/// What went on until it ended in good order.
enum Lived {
    Listed,
    Watched,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Line<T> {
    object: T,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: Meta,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}
