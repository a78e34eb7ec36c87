//! The reporter: cases in, documents out. Off the recorder's loop, one report at a time.
//!
//! Making and formatting run on the blocking pool. A formatter that fails is logged and stops none of the
//! others; a destination never makes the reporter wait.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::destinations::{Destinations, Document};
use crate::report::build::build;
use crate::report::case::Case;
use crate::report::format::Format;

/// Makes reports until the recorder has gone and its last case is told.
pub async fn run(
    mut cases: mpsc::Receiver<Case>,
    formats: Vec<Format>,
    destinations: Arc<Destinations>,
) {
    let formats: Arc<[Format]> = formats.into();
    while let Some(case) = cases.recv().await {
        let (formats, destinations) = (Arc::clone(&formats), Arc::clone(&destinations));
        let told = tokio::task::spawn_blocking(move || tell(&case, &formats, &destinations)).await;
        if let Err(error) = told {
            tracing::error!(%error, "a report could not be made");
        }
    }
}

fn tell(case: &Case, formats: &[Format], destinations: &Destinations) {
    let report = build(case);
    tracing::warn!(
        incident = report.incident.id,
        verdict = report.verdict.headline,
        grade = report.verdict.grade.name(),
        "incident"
    );
    for format in formats {
        match format.render(&report) {
            Ok(bytes) => destinations.send(Document {
                incident_id: report.incident.id.clone(),
                at: report.incident.timestamp,
                format: *format,
                bytes: bytes.into(),
            }),
            Err(error) => {
                tracing::error!(format = format.name(), incident = report.incident.id, %error,
                    "a formatter failed; the others go on");
            }
        }
    }
}
