//! Incidents and their reports, counted where they are made: by the reporter, and by destinations.

use std::time::Duration;

use super::Metrics;
use super::instruments::{KINDS, one_of};
use crate::report::Summary;
use crate::report::format::{Format, FormatError};

impl Metrics {
    /// Counts an incident that has a report, and the deaths it speaks for that have none.
    pub fn incident(&self, incident: &Summary) {
        let all = &self.0.instruments;
        let (severity, repeats) = (incident.severity, incident.repeats);
        let kind = one_of(&KINDS, incident.kind.name());
        if incident.pod_name.is_some() {
            all.of_pods.with_label_values(&[kind]).inc();
        }
        all.incidents
            .with_label_values(&[kind, severity.name()])
            .inc();
        all.repeats.with_label_values(&[kind]).inc_by(repeats);
    }

    /// Counts a report that was handed to the destinations `took` after its incident was closed.
    pub fn report_made(&self, took: Duration) {
        self.0
            .instruments
            .report_seconds
            .observe(took.as_secs_f64());
    }

    /// Counts one report written (or not) in a format.
    pub fn formatted(&self, format: Format, took: Duration, result: Result<&[u8], &FormatError>) {
        let all = &self.0.instruments;
        let labels = [format.name()];
        let seconds = all.format_seconds.with_label_values(&labels);
        seconds.observe(took.as_secs_f64());
        let bytes = all.format_bytes.with_label_values(&labels);
        let errors = all.format_errors.with_label_values(&labels);
        match result {
            Ok(document) => bytes.inc_by(document.len() as u64),
            Err(_) => errors.inc(),
        }
    }
}
