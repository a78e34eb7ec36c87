//! The reporter: cases in, reports out. Off the recorder's loop, one report at a time.
//!
//! Looking for evidence on the node and making the report run on the blocking pool; each destination makes its own documents of it. A
//! destination never makes the reporter wait, nor does anyone who listens for finished reports. What it
//! does is counted, if somebody counts.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use crate::clock;
use crate::destinations::{Destinations, Dossier};
use crate::durability::Durability;
use crate::evidence::Finder;
use crate::journal::{Journal, Telling};
use crate::metrics::Metrics;
use crate::report::Finished;
use crate::report::build::build;
use crate::report::case::Case;
use crate::report::format::Options;

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
    /// Where it is kept that a report is out.
    pub journal: Option<Journal>,
    /// How what is kept on disk fares, which reports say.
    pub durability: Durability,
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
            journal,
            durability,
        } = aids.clone();
        let done = tokio::task::spawn_blocking(move || {
            if let Some(finder) = finder {
                finder.look(&mut case);
            }
            case.durability = durability.degraded();
            let closed = case.closed;
            let told_to = (metrics.clone(), journal);
            let finished = tell(case, &destinations, told_to, options);
            if let Some(metrics) = metrics {
                metrics.incident(&finished.summary);
                metrics.report_made(clock::boot_now().since(closed));
            }
            told.tell(finished);
        })
        .await;
        if let Err(error) = done {
            tracing::error!(%error, "a report could not be made");
        }
    }
}

/// Makes the report of one case and hands it to every destination; returns what it was about.
fn tell(
    case: Case,
    destinations: &Destinations,
    (metrics, journal): (Option<Metrics>, Option<Journal>),
    options: Options,
) -> Finished {
    let report = build(&case);
    tracing::warn!(
        incident = report.incident.id,
        verdict = report.verdict.headline,
        grade = report.verdict.grade.name(),
        "incident"
    );
    let finished = Finished::of(&report);
    let id = report.incident.id.clone();
    destinations.tell(Dossier {
        telling: journal.map(|journal| Telling::new(journal, id)),
        case,
        report,
        options,
        metrics,
    });
    finished
}
