//! How much sidecars may submit: bytes within a window, for each pod and for all of them. Pure: time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use super::Refused;
use crate::record::{BootTime, PodName};

/// Pods whose use is remembered; beyond, the one that has been quiet longest is forgotten.
const MAX_PODS: usize = 4096;

/// Most bytes that are accepted within a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The time in which a full budget drains.
    pub window: Duration,
    /// Of all pods together.
    pub total_bytes: u64,
    /// Of one pod.
    pub pod_bytes: u64,
}

/// What has been used.
#[derive(Debug, Default)]
pub(super) struct Budget {
    total: Bucket,
    pods: HashMap<PodName, Bucket>,
}

impl Budget {
    /// Takes each pod's bytes from its budget and from the total: all of them or none.
    pub(super) fn pay(
        &mut self,
        by_pod: &HashMap<PodName, u64>,
        config: &Config,
        now: BootTime,
    ) -> Result<(), Refused> {
        let (window, bytes) = (config.window, by_pod.values().sum());
        self.total.drain(config.total_bytes, window, now);
        if let Some(retry_after) = self.total.wait_for(bytes, config.total_bytes, window) {
            return Err(Refused::TotalShare {
                allowed: config.total_bytes,
                window,
                retry_after,
            });
        }
        for (pod, bytes) in by_pod {
            let bucket = self.pods.entry(pod.clone()).or_default();
            bucket.drain(config.pod_bytes, window, now);
            if let Some(retry_after) = bucket.wait_for(*bytes, config.pod_bytes, window) {
                return Err(Refused::PodShare {
                    allowed: config.pod_bytes,
                    window,
                    retry_after,
                });
            }
        }
        self.total.used += bytes;
        for (pod, bytes) in by_pod {
            if let Some(bucket) = self.pods.get_mut(pod) {
                bucket.used += bytes;
            }
        }
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        while self.pods.len() > MAX_PODS {
            let quietest = self.pods.iter().min_by_key(|(_, bucket)| bucket.seen);
            let Some(pod) = quietest.map(|(pod, _)| pod.clone()) else {
                return;
            };
            self.pods.remove(&pod);
        }
    }
}

/// A leaky bucket: what was used drains evenly, a full one within a window.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: u64,
    seen: BootTime,
}

impl Bucket {
    fn drain(&mut self, allowed: u64, window: Duration, now: BootTime) {
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
