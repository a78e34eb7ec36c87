//! A sampler whose time is taken: how long its samples last, and how many went wrong.

use std::time::Duration;

use super::Metrics;
use crate::clock;
use crate::record::{BootTime, Health, Record, SourceName};
use crate::sources::Sampler;

/// The sampler, and who is told.
pub struct Timed<S> {
    sampler: S,
    metrics: Metrics,
}

impl Metrics {
    /// The same sampler, measured: give it to [`sample_each`](crate::sources::sample_each).
    #[must_use]
    pub fn timed<S: Sampler>(&self, sampler: S) -> Timed<S> {
        Timed {
            sampler,
            metrics: self.clone(),
        }
    }

    /// Counts one sample of a source.
    pub fn sampled(&self, source: SourceName, took: Duration, failed: bool) {
        let all = &self.0.instruments;
        let seconds = all.sample_seconds.with_label_values(&[source.name()]);
        seconds.observe(took.as_secs_f64());
        let errors = all.sample_errors.with_label_values(&[source.name()]);
        errors.inc_by(u64::from(failed));
    }
}

impl<S: Sampler> Sampler for Timed<S> {
    const NAME: SourceName = S::NAME;

    fn sample(&mut self, at: BootTime) -> Vec<Record> {
        let started = clock::boot_now();
        let records = self.sampler.sample(at);
        let took = clock::boot_now().since(started);
        let failed = matches!(self.health(), Health::Degraded(_) | Health::Failed(_));
        self.metrics.sampled(S::NAME, took, failed);
        records
    }

    fn health(&self) -> Health {
        self.sampler.health()
    }
}
