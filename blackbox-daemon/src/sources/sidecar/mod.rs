//! The sidecar source: what the API accepted becomes records. Time, number and bytes are bounded here.
//!
//! A claimed time decides a record's place only when it is plausible: not from the future, and not older than the
//! window. Otherwise the record stands where it arrived; both times are kept. A submission that does not fit is
//! refused, so its sender knows and keeps it: nothing is lost here. Secrets are hidden first: what is kept is paid for.

pub mod budget;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use self::budget::Budget;
use super::Feed;
use super::feed::Place;
use crate::clock::WallOffset;
use crate::memory::Memory;
use crate::record::{
    BootTime, Event, LaneName, PodName, Record, Reported, Subject, Submission, Telemetry,
};
use crate::window;

/// Longest wait for the recorder.
const PATIENCE: Duration = Duration::from_millis(500);

/// How much sidecars may submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How old a claimed time may be.
    pub window: Duration,
    pub telemetry: budget::Config,
    pub reports: budget::Config,
}

impl Config {
    /// A quarter of a lane for sidecars, and a quarter of that for one pod.
    #[must_use]
    pub fn of(window: Duration, storage: &window::Config) -> Self {
        let quarter = |lane_bytes: usize| {
            let total_bytes = lane_bytes as u64 / 4;
            budget::Config {
                window,
                total_bytes,
                pod_bytes: total_bytes / 4,
            }
        };
        Self {
            window,
            telemetry: quarter(storage.bulk_bytes),
            reports: quarter(storage.decisive_bytes),
        }
    }
}

/// Why a submission was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "this pod has submitted its share of the window; allowed: {allowed} bytes in {window:?}"
    )]
    PodShare {
        allowed: u64,
        window: Duration,
        retry_after: Duration,
    },
    #[error(
        "sidecars have filled their part of the window; allowed: {allowed} bytes in {window:?}"
    )]
    TotalShare {
        allowed: u64,
        window: Duration,
        retry_after: Duration,
    },
    #[error("the recorder is behind: its queue is full")]
    Busy,
    #[error("the daemon is short of memory: it takes no telemetry for the moment")]
    Memory,
}

/// The way from the API to the recorder.
#[derive(Clone, Debug)]
pub struct Sidecars {
    config: Config,
    feed: Feed,
    state: Arc<Mutex<State>>,
    memory: Option<Memory>,
}

#[derive(Debug, Default)]
struct State {
    last_number: u64,
    telemetry: Budget,
    reports: Budget,
}

impl State {
    /// A number that was not given before in this boot.
    fn number(&mut self, now: BootTime) -> u64 {
        self.last_number = (self.last_number + 1).max(now.0);
        self.last_number
    }
}

impl Sidecars {
    #[must_use]
    pub fn new(config: Config, feed: Feed) -> Self {
        Self {
            config,
            feed,
            state: Arc::default(),
            memory: None,
        }
    }

    /// Takes no telemetry while this is short.
    #[must_use]
    pub fn sparing(self, memory: Memory) -> Self {
        Self {
            memory: Some(memory),
            ..self
        }
    }

    /// A place for telemetry or reports, waited for `PATIENCE` at most: on a busy node the recorder may not get its
    /// turn while a queue's worth of single objects comes.
    ///
    /// # Errors
    /// There was none; or memory is short, and it is for bulk.
    pub async fn place(&self, lane: LaneName) -> Result<Place<'_>, Refused> {
        if lane == LaneName::Bulk && self.memory.as_ref().is_some_and(Memory::is_short) {
            return Err(Refused::Memory);
        }
        let waiting = tokio::time::timeout(PATIENCE, self.feed.next_place(lane));
        waiting.await.ok().flatten().ok_or(Refused::Busy)
    }

    /// Hands telemetry to the recorder, all of it or none, and numbers it. The place comes first, so that nobody pays
    /// for what a full queue refuses. `entry` and `submission.received` of what
    /// comes in do not matter. Returns the entries' numbers, in order.
    ///
    /// # Errors
    /// It does not fit, and is not recorded.
    pub fn submit(
        &self,
        place: Place<'_>,
        mut telemetry: Vec<Telemetry>,
        now: BootTime,
        wall: WallOffset,
    ) -> Result<Vec<u64>, Refused> {
        for telemetry in &mut telemetry {
            self.feed.redactor().telemetry(telemetry);
        }
        let mut by_pod: HashMap<PodName, u64> = HashMap::new();
        for telemetry in &telemetry {
            *by_pod.entry(telemetry.pod.clone()).or_default() += size(telemetry);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.telemetry.pay(&by_pod, &self.config.telemetry, now)?;
        for telemetry in &mut telemetry {
            telemetry.entry = state.number(now);
            telemetry.submission.received = now;
        }
        drop(state);
        let numbers = telemetry.iter().map(|telemetry| telemetry.entry).collect();
        let records = telemetry.into_iter().map(|telemetry| Record {
            at: self.place_in_time(&telemetry.submission, wall),
            subject: Subject::Pod,
            event: Event::Telemetry(Box::new(telemetry)),
        });
        place.send_hidden(records.collect());
        Ok(numbers)
    }

    /// Hands a reported incident to the recorder. `submission.received` of what comes in does not matter; an empty id
    /// becomes v1's `manual-<unix seconds>`, with a number so that two of one second differ. Returns the id.
    ///
    /// # Errors
    /// It does not fit, and is not recorded.
    pub fn report(
        &self,
        place: Place<'_>,
        mut reported: Reported,
        now: BootTime,
        wall: WallOffset,
    ) -> Result<String, Refused> {
        let nobody = || PodName {
            namespace: String::new(),
            name: String::new(),
        };
        self.feed.redactor().reported(&mut reported);
        let bytes = (reported.context.len() + reported.message.len() + REST) as u64;
        let pod = reported.pod.clone().unwrap_or_else(nobody);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let by_pod = HashMap::from([(pod, bytes)]);
        state.reports.pay(&by_pod, &self.config.reports, now)?;
        reported.submission.received = now;
        if reported.id.is_empty() {
            let seconds = wall.wall(now).as_second();
            reported.id = format!("manual-{seconds}-{:x}", state.number(now));
        }
        drop(state);
        let id = reported.id.clone();
        let record = Record {
            // When it was reported: an incident's window ends with what was known then.
            at: reported.submission.received,
            subject: Subject::Pod,
            event: Event::Reported(Box::new(reported)),
        };
        place.send_hidden(vec![record]);
        Ok(id)
    }

    fn place_in_time(&self, submission: &Submission, wall: WallOffset) -> BootTime {
        let received = submission.received;
        let claimed = submission.claimed.and_then(|nanos| wall.boot(nanos));
        let earliest = received.minus(self.config.window);
        let plausible = claimed.filter(|at| (earliest..=received).contains(at));
        plausible.unwrap_or(received)
    }
}

/// What a record takes beside its texts, bytes, roughly.
const REST: usize = 64;

/// What a telemetry object takes in the window, bytes, roughly.
fn size(telemetry: &Telemetry) -> u64 {
    let tags: usize = telemetry.tags.iter().map(|(k, v)| k.len() + v.len()).sum();
    let pod = telemetry.pod.namespace.len() + telemetry.pod.name.len();
    (telemetry.data.len() + tags + pod + telemetry.runtime.len() + REST) as u64
}

/// A time that a client claimed, as records keep it. Times beyond the years 1678 to 2262 do not fit and are clipped.
#[must_use]
pub fn claimed(timestamp: Timestamp) -> i64 {
    let nanos = timestamp.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests;
