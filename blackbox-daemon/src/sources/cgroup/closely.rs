//! Armed containers, sampled more often than the others: what runs out within a second shows how.
//!
//! Reads which containers are armed, and their cgroup files; makes the same records as the tick that samples all. While
//! nothing is armed it sleeps.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::CgroupSampler;
use super::files::Files;
use super::walk::Found;
use crate::clock;
use crate::record::{BootTime, CgroupId, Event, LaneName, Record, Subject};
use crate::sources::Feed;

/// Looks between two ticks.
const TIMES: u32 = 4;
/// Looks are never closer to each other than this.
const CLOSEST: Duration = Duration::from_millis(100);

/// The armed containers: their cgroups, with their paths in the watched hierarchy.
pub type Armed = Arc<[(CgroupId, String)]>;

/// Samples the armed containers between the ticks of `interval`, until `stop`.
pub async fn sample_armed(
    mut sampler: CgroupSampler,
    mut armed: watch::Receiver<Armed>,
    (interval, feed): (Duration, Feed),
    stop: CancellationToken,
) {
    let period = (interval / TIMES).max(CLOSEST);
    while !stop.is_cancelled() {
        let now = Armed::clone(&armed.borrow_and_update());
        if now.is_empty() {
            // An error: the recorder is gone, and with it whoever arms.
            match stop.run_until_cancelled(armed.changed()).await {
                Some(Ok(())) => continue,
                Some(Err(_)) | None => return,
            }
        }
        let until = clock::until_next(clock::boot_now(), period);
        if stop
            .run_until_cancelled(tokio::time::sleep(until))
            .await
            .is_none()
        {
            return;
        }
        let sampled = tokio::task::spawn_blocking(move || {
            let records = sampler.look(clock::boot_now(), &now);
            (sampler, records)
        });
        match sampled.await {
            Ok((back, records)) => {
                sampler = back;
                feed.offer(LaneName::Bulk, records);
            }
            Err(error) => {
                tracing::error!(%error, "armed containers are no longer sampled more often");
                return;
            }
        }
    }
}

impl CgroupSampler {
    /// Samples these leaf cgroups. What cannot be read is told by the tick that samples all.
    fn look(&mut self, at: BootTime, armed: &[(CgroupId, String)]) -> Vec<Record> {
        let mut files = Files::default();
        let found = armed.iter().map(|(id, path)| Found {
            id: *id,
            path: path.clone(),
            leaf: true,
        });
        let mut samples: Vec<_> = found
            .filter_map(|found| Some((found.id, self.read(&found, &mut files)?)))
            .collect();
        self.compare(at, &mut samples);
        self.kept.retain(armed.iter().map(|(id, _)| *id));
        let record = |(id, sample)| Record {
            at,
            subject: Subject::Cgroup(id),
            event: Event::Cgroup(Box::new(sample)),
        };
        samples.into_iter().map(record).collect()
    }
}
