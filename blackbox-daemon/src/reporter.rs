//! The reporter: cases in, documents out. Off the recorder's loop, one report at a time.
//!
//! Looking for evidence on the node, making and formatting run on the blocking pool. A formatter that fails is logged and stops none of the
//! others; a destination never makes the reporter wait, nor does anyone who listens for finished reports. What it
//! does is counted, if somebody counts.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use crate::bundle;
use crate::clock;
use crate::destinations::{Destinations, Document, Kind};
use crate::evidence::Finder;
use crate::metrics::Metrics;
use crate::report::build::build;
use crate::report::case::Case;
use crate::report::format::{Format, Options};
use crate::report::{Finished, Report};

/// Finished reports that a listener may be behind; more than the recorder makes cases of before it drops some.
const MAX_TOLD: usize = 128;

/// Where finished reports are told. Clones tell and hear the same; one who is too slow misses the oldest.
#[derive(Clone, Debug)]
pub struct Told(broadcast::Sender<Arc<Finished>>);

impl Default for Told {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_TOLD))
    }
}

impl Told {
    /// Tells everyone who listens at this moment.
    pub fn tell(&self, finished: Finished) {
        // An error says that nobody listens.
        self.0.send(Arc::new(finished)).unwrap_or_default();
    }

    /// Hears every report from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Arc<Finished>> {
        self.0.subscribe()
    }
}

/// What helps to make reports.
#[derive(Clone, Debug, Default)]
pub struct Aids {
    /// Who counts.
    pub metrics: Option<Metrics>,
    /// Who looks for evidence on the node.
    pub finder: Option<Finder>,
    /// What formats are told.
    pub options: Options,
}

/// Makes reports until the recorder has gone and its last case is told.
pub async fn run(
    mut cases: mpsc::Receiver<Case>,
    destinations: Arc<Destinations>,
    told: Told,
    aids: Aids,
) {
    while let Some(mut case) = cases.recv().await {
        let (destinations, told) = (Arc::clone(&destinations), told.clone());
        let Aids {
            metrics,
            finder,
            options,
        } = aids.clone();
        let done = tokio::task::spawn_blocking(move || {
            if let Some(finder) = finder {
                finder.look(&mut case);
            }
            let finished = tell(&case, &destinations, (metrics.as_ref(), options));
            if let Some(metrics) = metrics {
                metrics.incident(&finished.summary);
                metrics.report_made(clock::boot_now().since(case.closed));
            }
            told.tell(finished);
        })
        .await;
        if let Err(error) = done {
            tracing::error!(%error, "a report could not be made");
        }
    }
}

/// Tells one case to every destination; returns what it was about.
fn tell(
    case: &Case,
    destinations: &Destinations,
    (metrics, options): (Option<&Metrics>, Options),
) -> Finished {
    let report = build(case);
    tracing::warn!(
        incident = report.incident.id,
        verdict = report.verdict.headline,
        grade = report.verdict.grade.name(),
        "incident"
    );
    let document = |kind, bytes: Vec<u8>| Document {
        incident_id: report.incident.id.clone(),
        at: report.incident.timestamp,
        kind,
        bytes: bytes.into(),
    };
    for format in destinations.formats() {
        let started = clock::boot_now();
        let rendered = format.render_with(&report, options);
        if let Some(metrics) = metrics {
            let took = clock::boot_now().since(started);
            metrics.formatted(format, took, rendered.as_deref());
        }
        match rendered {
            Ok(bytes) => {
                if format == Format::Json && destinations.take(Kind::Bundle) {
                    pack(case, &report, &bytes).into_iter().for_each(|packed| {
                        destinations.send(document(Kind::Bundle, packed));
                    });
                }
                destinations.send(document(Kind::Report(format), bytes));
            }
            Err(error) => {
                tracing::error!(format = format.name(), incident = report.incident.id, %error,
                    "a formatter failed; the others go on");
            }
        }
    }
    Finished::of(&report)
}

/// The bundle of a case; that it cannot be made is no reason to have no report.
fn pack(case: &Case, report: &Report, json: &[u8]) -> Option<Vec<u8>> {
    let packed = bundle::pack(case, report, json);
    let failed = |error: &std::io::Error| {
        tracing::error!(incident = report.incident.id, %error, "a bundle could not be made");
    };
    packed.inspect_err(failed).ok()
}
