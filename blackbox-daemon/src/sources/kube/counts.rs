//! What the kube source asked and heard, counted where it happens; metrics read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::record::BootTime;

/// Counts since the daemon started. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counts(Arc<Mutex<Counted>>);

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Pods of this node that are known now. `None`: no list has been read yet.
    pub pods: Option<u64>,
    /// Requests by what Kubernetes calls them: `list`, `watch`.
    pub requests: BTreeMap<&'static str, u64>,
    /// Failures by HTTP status, or by `connection`, `timeout`, `access`, `unreadable`.
    pub errors: BTreeMap<String, u64>,
    /// Changes that watches told, by what was followed: `pods`, `events`.
    pub changes: BTreeMap<&'static str, u64>,
    /// Watches that were opened again after one had ended or failed.
    pub reconnections: u64,
    /// When a watch last told something, bookmarks included.
    pub last_told: Option<BootTime>,
    /// Ends of containers that were recorded, restarts among them.
    pub ends: u64,
    /// Changes of pods by the watch's word for them: `ADDED`, `MODIFIED`, `DELETED`.
    pub pod_changes: BTreeMap<&'static str, u64>,
    /// Time until an answer began, by verb.
    pub took: BTreeMap<&'static str, Duration>,
    /// Events written on pods, and those that could not be.
    pub events_written: u64,
    pub events_failed: u64,
}

/// Most kinds of failures counted apart: a server may invent statuses.
const KINDS: usize = 32;

impl Counts {
    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Counted {
        self.with(|counted| counted.clone())
    }

    pub(super) fn request(&self, verb: &'static str) {
        self.with(|counted| *counted.requests.entry(verb).or_default() += 1);
    }

    pub(super) fn error(&self, code: String) {
        self.with(|counted| {
            if counted.errors.len() < KINDS || counted.errors.contains_key(&code) {
                *counted.errors.entry(code).or_default() += 1;
            }
        });
    }

    /// An Event was written on a pod, or could not be.
    pub fn event_written(&self, written: bool) {
        self.with(|counted| match written {
            true => counted.events_written += 1,
            false => counted.events_failed += 1,
        });
    }

    pub(super) fn change(&self, what: &'static str, kind: &str) {
        let known = ["ADDED", "MODIFIED", "DELETED"]
            .into_iter()
            .find(|known| *known == kind);
        self.with(|counted| {
            *counted.changes.entry(what).or_default() += 1;
            if let Some(kind) = known.filter(|_| what == "pods") {
                *counted.pod_changes.entry(kind).or_default() += 1;
            }
        });
    }

    pub(super) fn took(&self, verb: &'static str, time: Duration) {
        self.with(|counted| *counted.took.entry(verb).or_default() += time);
    }

    pub(super) fn told(&self, now: BootTime) {
        self.with(|counted| counted.last_told = Some(now));
    }

    pub(super) fn reconnected(&self) {
        self.with(|counted| counted.reconnections += 1);
    }

    pub(super) fn pods(&self, known: usize) {
        self.with(|counted| counted.pods = Some(known as u64));
    }

    pub(super) fn ended(&self, ends: usize) {
        self.with(|counted| counted.ends += ends as u64);
    }

    fn with<T>(&self, then: impl FnOnce(&mut Counted) -> T) -> T {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
