//! What counts what others tell: requests, telemetry, incidents, reports, formats, samples.
//!
//! Their labels come from lists in code. Counts that are 0 from the start are there from the start.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::record::Severity;

/// v1's types of incidents; any other is `other`.
pub(super) const KINDS: [&str; 7] = [
    "crash", "oom", "timeout", "error", "degraded", "security", "manual",
];
pub(super) const OTHER: &str = "other";

/// Seconds, from what an answer from memory takes to v1's time-out.
const REQUEST_SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
/// Seconds of work on a report or a sample; 0.1 is where v1's documentation alerts.
const WORK_SECONDS: [f64; 11] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0,
];

const REQUEST: [&str; 3] = ["endpoint", "method", "status"];

pub(super) struct Instruments {
    pub(super) api_requests: IntCounterVec,
    pub(super) api_seconds: HistogramVec,
    pub(super) http_requests: IntCounterVec,
    pub(super) http_seconds: HistogramVec,
    pub(super) http_errors: IntCounterVec,
    pub(super) sidecar_requests: IntCounterVec,
    pub(super) received: IntCounterVec,
    pub(super) reported: IntCounterVec,
    pub(super) incidents: IntCounterVec,
    pub(super) of_pods: IntCounterVec,
    pub(super) repeats: IntCounterVec,
    pub(super) report_seconds: Histogram,
    pub(super) format_seconds: HistogramVec,
    pub(super) format_errors: IntCounterVec,
    pub(super) format_bytes: IntCounterVec,
    pub(super) sample_seconds: HistogramVec,
    pub(super) sample_errors: IntCounterVec,
}

impl Instruments {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name: &str, help: &str, buckets: &[f64], labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(registry, HistogramVec::new(options, labels)?)
        };
        let report = HistogramOpts::new(
            "blackbox_report_duration_seconds",
            "Time from an incident's close until its report was handed to the destinations.",
        );
        let made = Self {
            api_requests: counter(
                "blackbox_api_requests_total",
                "Requests of the API.",
                &REQUEST,
            )?,
            api_seconds: seconds(
                "blackbox_api_request_duration_seconds",
                "Time to answer a request of the API.",
                &REQUEST_SECONDS,
                &REQUEST[..2],
            )?,
            http_requests: counter(
                "http_requests_total",
                "Same as blackbox_api_requests_total.",
                &REQUEST,
            )?,
            http_seconds: seconds(
                "http_request_duration_seconds",
                "Same as blackbox_api_request_duration_seconds.",
                &REQUEST_SECONDS,
                &REQUEST[..2],
            )?,
            http_errors: counter(
                "http_errors_total",
                "Requests of the API answered with a status from 400 on.",
                &REQUEST,
            )?,
            sidecar_requests: counter(
                "blackbox_sidecar_requests_total",
                "Telemetry that sidecars submitted and that was accepted, by request.",
                &[],
            )?,
            received: counter(
                "telemetry_entries_received_total",
                "Entries of accepted telemetry; a runtime v1 does not know is other.",
                &["runtime"],
            )?,
            reported: counter(
                "incidents_reported_total",
                "Incidents that sidecars or people reported.",
                &["severity"],
            )?,
            incidents: counter(
                "blackbox_incidents_total",
                "Incidents with a report; a type v1 does not know is other.",
                &["type", "severity"],
            )?,
            of_pods: counter(
                "blackbox_k8s_incidents_total",
                "Incidents with a report that are about a pod, by type.",
                &["type"],
            )?,
            repeats: counter(
                "blackbox_incident_repeats_total",
                "Deaths without a report of their own: that of a like one counts them.",
                &["type"],
            )?,
            report_seconds: register(
                registry,
                Histogram::with_opts(report.buckets(WORK_SECONDS.to_vec()))?,
            )?,
            format_seconds: seconds(
                "formatter_duration_seconds",
                "Time to write a report in a format.",
                &WORK_SECONDS,
                &["formatter"],
            )?,
            format_errors: counter(
                "formatter_errors_total",
                "Reports that could not be written in a format.",
                &["formatter"],
            )?,
            format_bytes: counter(
                "formatter_bytes_total",
                "Bytes of reports written in a format.",
                &["formatter"],
            )?,
            sample_seconds: seconds(
                "blackbox_telemetry_collection_duration_seconds",
                "Time a sampler took for one sample.",
                &WORK_SECONDS,
                &["source"],
            )?,
            sample_errors: counter(
                "blackbox_telemetry_errors_total",
                "Samples after which the sampler was degraded or had failed.",
                &["source"],
            )?,
        };
        made.start_at_zero();
        Ok(made)
    }

    /// Counts that are known to be 0 so far: `increase()` does not see a counter's first value.
    fn start_at_zero(&self) {
        self.sidecar_requests.with_label_values::<&str>(&[]);
        for severity in Severity::ALL.map(Severity::name) {
            self.reported.with_label_values(&[severity]);
            for kind in KINDS.into_iter().chain([OTHER]) {
                self.incidents.with_label_values(&[kind, severity]);
            }
        }
        for kind in KINDS.into_iter().chain([OTHER]) {
            self.of_pods.with_label_values(&[kind]);
            self.repeats.with_label_values(&[kind]);
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: C) -> prometheus::Result<C> {
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

/// `name` as the list has it, or `other`.
pub(super) fn one_of(list: &[&'static str], name: &str) -> &'static str {
    let known = list.iter().find(|known| known.eq_ignore_ascii_case(name));
    known.copied().unwrap_or(OTHER)
}
