//! Sources make records. Each runs on its own, offers what it made to the [`Feed`], and never waits.
//!
//! A sampler is a plain struct that is asked once per interval; [`sample_each`] gives it its rhythm, and
//! turns a change of its health into a record, so that reports can say since when a source was down.

pub mod cgroup;
pub mod ebpf;
pub mod feed;
pub mod kube;
pub mod procfs;
pub mod sidecar;
mod whole;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::record::{BootTime, Event, Health, LaneName, Record, SourceName, SourceState, Subject};
pub use feed::{Feed, Intake};

/// A source that is asked once per interval.
pub trait Sampler: Send + 'static {
    /// Its name in reports, logs and metrics.
    const NAME: SourceName;

    /// Reads everything once. `at` is the instant the records shall carry. Never panics: what cannot be
    /// read is left out and shows in [`Sampler::health`].
    fn sample(&mut self, at: BootTime) -> Vec<Record>;

    /// How it fares since its last sample.
    fn health(&self) -> Health;
}

/// Asks `sampler` once per `period`, until `stop`. Its files keep the thread that runs this: it should have one of its own.
pub async fn sample_each<S: Sampler>(
    mut sampler: S,
    period: Duration,
    feed: Feed,
    stop: CancellationToken,
) {
    let mut reported = None;
    while stop
        .run_until_cancelled(tokio::time::sleep(clock::until_next(
            clock::boot_now(),
            period,
        )))
        .await
        .is_some()
    {
        let at = clock::boot_now();
        let sampled = catch_unwind(AssertUnwindSafe(|| sampler.sample(at)));
        let Ok(records) = sampled else {
            // What it was about to say is in the log.
            let health = Health::Failed("its sampler panicked (see the log)".to_owned());
            announce(S::NAME, clock::boot_now(), health, &feed);
            return;
        };
        feed.offer(LaneName::Bulk, records);
        let health = sampler.health();
        if reported.as_ref() != Some(&health) {
            announce(S::NAME, at, health.clone(), &feed);
            reported = Some(health);
        }
    }
}

/// Records (and logs) that a source has this state from now on.
pub fn announce(source: SourceName, at: BootTime, health: Health, feed: &Feed) {
    match &health {
        Health::Ok => tracing::info!(source = source.name(), "source ok"),
        Health::Disabled(why) => tracing::info!(source = source.name(), %why, "source disabled"),
        Health::Degraded(why) => tracing::warn!(source = source.name(), %why, "source degraded"),
        Health::Failed(why) => tracing::error!(source = source.name(), %why, "source failed"),
    }
    let event = Event::Source(SourceState { source, health });
    feed.offer(
        LaneName::Decisive,
        vec![Record {
            at,
            subject: Subject::Node,
            event,
        }],
    );
}
