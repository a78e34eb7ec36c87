//! The sidecar source: what the API accepted becomes records. Time, number and bytes are bounded here.
//!
//! A claimed time decides a record's place only when it is plausible: not from the future, and not older than the
//! window. Otherwise the record stands where it arrived; both times are kept. A submission that does not fit is
//! refused, so its sender knows and keeps it: nothing is lost here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Feed;
use crate::clock::WallOffset;
use crate::record::{
    BootTime, Event, LaneName, PodName, Record, Reported, Subject, Submission, Telemetry,
};

/// Pods whose budget is remembered; beyond, the one that has been quiet longest is forgotten.
const MAX_PODS: usize = 4096;

/// How much sidecars may submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How old a claimed time may be.
    pub window: Duration,
    /// Bytes of telemetry that all sidecars together may have accepted within a window.
    pub total_bytes: u64,
    /// The same for one pod.
    pub pod_bytes: u64,
}

impl Config {
    /// A quarter of the bulk lane for sidecars, and a quarter of that for one pod.
    #[must_use]
    pub fn of(window: Duration, bulk_bytes: usize) -> Self {
        let total_bytes = bulk_bytes as u64 / 4;
        Self {
            window,
            total_bytes,
            pod_bytes: total_bytes / 4,
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
}

/// The way from the API to the recorder.
#[derive(Clone, Debug)]
pub struct Sidecars {
    config: Config,
    feed: Feed,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last_entry: u64,
    total: Bucket,
    pods: HashMap<PodName, Bucket>,
}

impl Sidecars {
    #[must_use]
    pub fn new(config: Config, feed: Feed) -> Self {
        Self {
            config,
            feed,
            state: Arc::default(),
        }
    }

    /// Hands telemetry to the recorder, all of it or none, and numbers it. `entry` and `submission.received` of what
    /// comes in do not matter. Returns the entries' numbers, in order.
    ///
    /// # Errors
    /// It does not fit, and is not recorded.
    pub fn submit(
        &self,
        mut telemetry: Vec<Telemetry>,
        now: BootTime,
        wall: WallOffset,
    ) -> Result<Vec<u64>, Refused> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The place first, so that nobody pays for what a full queue refuses.
        let place = self.feed.place(LaneName::Bulk).ok_or(Refused::Busy)?;
        state.pay(&telemetry, &self.config, now)?;
        for telemetry in &mut telemetry {
            state.last_entry = (state.last_entry + 1).max(now.0);
            telemetry.entry = state.last_entry;
            telemetry.submission.received = now;
        }
        drop(state);
        let numbers = telemetry.iter().map(|telemetry| telemetry.entry).collect();
        let records = telemetry.into_iter().map(|telemetry| Record {
            at: self.place_in_time(&telemetry.submission, wall),
            subject: Subject::Pod,
            event: Event::Telemetry(Box::new(telemetry)),
        });
        place.send(records.collect());
        Ok(numbers)
    }

    /// Hands a reported incident to the recorder.
    ///
    /// # Errors
    /// The queue is full, and it is not recorded.
    pub fn report(&self, reported: Reported) -> Result<(), Refused> {
        let place = self.feed.place(LaneName::Decisive).ok_or(Refused::Busy)?;
        let record = Record {
            // When it was reported: an incident's window ends with what was known then.
            at: reported.submission.received,
            subject: Subject::Pod,
            event: Event::Reported(Box::new(reported)),
        };
        place.send(vec![record]);
        Ok(())
    }

    fn place_in_time(&self, submission: &Submission, wall: WallOffset) -> BootTime {
        let received = submission.received;
        let claimed = submission.claimed.and_then(|nanos| wall.boot(nanos));
        let earliest = received.minus(self.config.window);
        let plausible = claimed.filter(|at| (earliest..=received).contains(at));
        plausible.unwrap_or(received)
    }
}

impl State {
    /// Takes the bytes from the pods' budgets and the total, all or nothing.
    fn pay(
        &mut self,
        telemetry: &[Telemetry],
        config: &Config,
        now: BootTime,
    ) -> Result<(), Refused> {
        let mut by_pod: HashMap<&PodName, u64> = HashMap::new();
        for telemetry in telemetry {
            *by_pod.entry(&telemetry.pod).or_default() += size(telemetry);
        }
        let (window, total) = (config.window, by_pod.values().sum());
        self.total.refill(config.total_bytes, window, now);
        if let Some(retry_after) = self.total.wait_for(total, config.total_bytes, window) {
            return Err(Refused::TotalShare {
                allowed: config.total_bytes,
                window,
                retry_after,
            });
        }
        for (pod, bytes) in &by_pod {
            let bucket = self.pods.entry((*pod).clone()).or_default();
            bucket.refill(config.pod_bytes, window, now);
            if let Some(retry_after) = bucket.wait_for(*bytes, config.pod_bytes, window) {
                return Err(Refused::PodShare {
                    allowed: config.pod_bytes,
                    window,
                    retry_after,
                });
            }
        }
        self.total.used += total;
        for (pod, bytes) in by_pod {
            if let Some(bucket) = self.pods.get_mut(pod) {
                bucket.used += bytes;
            }
        }
        if self.pods.len() > MAX_PODS {
            let quietest = self.pods.iter().min_by_key(|(_, bucket)| bucket.seen);
            if let Some(pod) = quietest.map(|(pod, _)| pod.clone()) {
                self.pods.remove(&pod);
            }
        }
        Ok(())
    }
}

/// A leaky bucket: what was used drains evenly, a full one within a window.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: u64,
    seen: BootTime,
}

impl Bucket {
    fn refill(&mut self, allowed: u64, window: Duration, now: BootTime) {
        let passed = now.since(self.seen).as_secs_f64() / window.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share between nothing and all of it; a byte more or less does not matter"
        )]
        let drained = (passed.min(1.0) * allowed as f64) as u64;
        // Not before a whole byte has drained: many small steps would drain nothing.
        if drained > 0 || self.used == 0 {
            self.used = self.used.saturating_sub(drained);
            self.seen = now;
        }
    }

    /// How long until `bytes` fit; `None`: they fit now. More than is ever allowed fits an empty bucket.
    fn wait_for(&self, bytes: u64, allowed: u64, window: Duration) -> Option<Duration> {
        let over = (self.used + bytes.min(allowed)).saturating_sub(allowed);
        #[expect(clippy::cast_precision_loss, reason = "a waiting time")]
        let share = over as f64 / allowed.max(1) as f64;
        (over > 0).then(|| window.mul_f64(share.min(1.0)))
    }
}

/// What a telemetry object takes in the window, bytes, roughly.
fn size(telemetry: &Telemetry) -> u64 {
    const REST: usize = 64;
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
mod tests {
    use super::*;
    use crate::record::{PodName, Submission};
    use crate::sources::{Intake, feed};

    const NOW: BootTime = BootTime(1_000_000_000_000);
    const SECOND: u64 = 1_000_000_000;

    fn sidecars(total_bytes: u64, pod_bytes: u64) -> (Sidecars, Intake) {
        let (feed, intake) = feed::feed();
        let config = Config {
            window: Duration::from_secs(60),
            total_bytes,
            pod_bytes,
        };
        (Sidecars::new(config, feed), intake)
    }

    fn telemetry(pod: &str, data: usize, claimed: Option<i64>) -> Telemetry {
        Telemetry {
            entry: 0,
            pod: PodName {
                namespace: "prod".to_owned(),
                name: pod.to_owned(),
            },
            container_id: None,
            runtime: String::new(),
            submission: Submission {
                by: "default".to_owned(),
                received: BootTime(0),
                claimed,
            },
            tags: Vec::new(),
            data: " ".repeat(data),
        }
    }

    #[test]
    fn only_a_plausible_claim_decides_the_place() {
        let (sidecars, mut intake) = sidecars(1 << 20, 1 << 20);
        let wall = WallOffset::from_nanos(0);
        let now = NOW.0.cast_signed();
        let second = SECOND.cast_signed();
        for (claimed, expected) in [
            (None, NOW.0),
            (Some(now - second), NOW.0 - SECOND),
            (Some(now - 60 * second), NOW.0 - 60 * SECOND),
            (Some(now - 61 * second), NOW.0),
            (Some(now + 1), NOW.0),
            (Some(i64::MIN), NOW.0),
            (Some(i64::MAX), NOW.0),
        ] {
            let sent = sidecars.submit(vec![telemetry("a", 1, claimed)], NOW, wall);
            assert!(sent.is_ok());
            let batch = intake.bulk.try_recv().unwrap();
            assert_eq!(batch[0].at, BootTime(expected), "{claimed:?}");
            let Event::Telemetry(kept) = &batch[0].event else {
                panic!("not telemetry")
            };
            assert_eq!(
                (kept.submission.claimed, kept.submission.received),
                (claimed, NOW)
            );
        }
    }

    #[test]
    fn entries_are_numbered_once_even_in_one_instant() {
        let (sidecars, _intake) = sidecars(1 << 20, 1 << 20);
        let wall = WallOffset::from_nanos(0);
        let three = || vec![telemetry("a", 1, None); 3];
        let mut numbers = sidecars.submit(three(), NOW, wall).unwrap();
        numbers.extend(sidecars.submit(three(), NOW, wall).unwrap());
        let sorted = numbers.clone();
        numbers.dedup();
        assert_eq!(numbers, sorted);
        assert_eq!(numbers.len(), 6);
    }

    #[test]
    fn a_noisy_pod_is_refused_and_others_are_not() {
        let (sidecars, mut intake) = sidecars(10_000, 2_500);
        let wall = WallOffset::from_nanos(0);
        let send = |pod: &str, at| sidecars.submit(vec![telemetry(pod, 900, None)], at, wall);
        assert!(send("noisy", NOW).is_ok());
        assert!(send("noisy", NOW).is_ok());
        let Err(Refused::PodShare { retry_after, .. }) = send("noisy", NOW) else {
            panic!("accepted");
        };
        assert!(send("quiet", NOW).is_ok());
        assert!(send("noisy", NOW.plus(retry_after + Duration::from_secs(1))).is_ok());
        let refused = (0..20).find_map(|pod| send(&format!("other{pod}"), NOW).err());
        assert!(matches!(refused, Some(Refused::TotalShare { .. })));
        let mut bytes = 0;
        while let Ok(batch) = intake.bulk.try_recv() {
            bytes += batch
                .iter()
                .map(|record| match &record.event {
                    Event::Telemetry(telemetry) => size(telemetry),
                    _ => 0,
                })
                .sum::<u64>();
        }
        // What drained while the noisy one waited may be used again.
        assert!((9_000..14_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_full_queue_refuses_and_costs_nothing() {
        let (sidecars, intake) = sidecars(1 << 20, 1 << 20);
        let wall = WallOffset::from_nanos(0);
        let one = || vec![telemetry("a", 1, None)];
        while sidecars.submit(one(), NOW, wall).is_ok() {}
        assert_eq!(sidecars.submit(one(), NOW, wall), Err(Refused::Busy));
        assert!(intake.lost.take().is_empty());
    }
}
