//! Incidents and their reports, counted where they are made: by the reporter, and by destinations.

use std::time::Duration;

use super::Metrics;
use super::instruments::{KINDS, one_of};
use crate::report::Summary;
use crate::report::format::Format;

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

    /// Counts one report of so many bytes, written in a format within `took`.
    pub fn formatted(&self, format: Format, took: Duration, bytes: u64) {
        let all = &self.0.instruments;
        let labels = [format.name()];
        let seconds = all.format_seconds.with_label_values(&labels);
        seconds.observe(took.as_secs_f64());
        all.format_bytes.with_label_values(&labels).inc_by(bytes);
        // So that its series is there.
        all.format_errors.with_label_values(&labels).inc_by(0);
    }

    /// Counts one report that could not be written in a format.
    pub fn not_formatted(&self, format: Format) {
        let errors = &self.0.instruments.format_errors;
        errors.with_label_values(&[format.name()]).inc();
    }
}
