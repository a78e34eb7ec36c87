//! How one destination fares: its counts and what is wrong with it, shared by its task and its readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::destinations::{Error, Written};

/// How a destination fares.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DestinationState {
    pub name: String,
    /// Documents it wrote.
    pub written: u64,
    /// Documents it tried to write, in vain.
    pub failed: u64,
    /// Documents that found its queue full or closed.
    pub dropped: u64,
    /// Documents in its queue, and the one being written.
    pub waiting: u64,
    /// Attempts at documents that did not succeed, and were or are made again.
    pub retried: u64,
    /// Time spent on the documents it wrote or tried to.
    pub took: Duration,
    /// What is wrong with it; `None` once a write has succeeded without trouble.
    pub last_error: Option<String>,
}

/// One destination's counts, shared by its task and its readers.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    waiting: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    retried: AtomicU64,
    /// Nanoseconds.
    took: AtomicU64,
    /// Locked only to copy the text; never across a write.
    error: Mutex<Option<String>>,
}

impl State {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            waiting: AtomicU64::new(0),
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            took: AtomicU64::new(0),
            error: Mutex::new(None),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Counts a document that is about to enter the queue.
    pub(super) fn offered(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a document that did not get into the queue. How many have not, so far.
    pub(super) fn dropped(&self) -> u64 {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts one document that is done with, and the time it took.
    pub(super) fn note(&self, result: Result<Written, Error>, took: Duration) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.add(took);
        let (count, error) = match result {
            Ok(written) => (&self.written, written.trouble),
            Err(error) => (&self.failed, Some(error)),
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.tell(error.map(in_full));
    }

    /// Counts an attempt at a document that goes on waiting.
    pub(super) fn waits(&self, error: Error, took: Duration) {
        self.add(took);
        self.retried.fetch_add(1, Ordering::Relaxed);
        self.tell(Some(in_full(error)));
    }

    /// All that waited is written.
    pub(super) fn healed(&self) {
        self.tell(None);
    }

    fn add(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.took.fetch_add(took, Ordering::Relaxed);
    }

    /// Says what is wrong now; logs when that has changed.
    fn tell(&self, now: Option<String>) {
        let before = self.replace_error(now.clone());
        match now {
            Some(error) if before.as_ref() != Some(&error) => {
                tracing::warn!(destination = self.name, error, "destination in trouble");
            }
            None if before.is_some() => {
                tracing::info!(destination = self.name, "destination works again");
            }
            _ => {}
        }
    }

    fn replace_error(&self, now: Option<String>) -> Option<String> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut error, now)
    }

    pub(super) fn read(&self) -> DestinationState {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        DestinationState {
            name: self.name.clone(),
            written: self.written.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            took: Duration::from_nanos(self.took.load(Ordering::Relaxed)),
            last_error: error.clone(),
        }
    }
}

/// An error with everything that led to it, on one line.
pub(super) fn in_full(error: Error) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
