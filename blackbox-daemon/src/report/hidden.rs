//! How many secrets were hidden in what a report is made from: its markers, counted.
//!
//! Reads the decisive records, those bulk segments that have a marker at all, and the log. Each text counts once, however
//! often the report shows it.

use super::case::Case;
use super::cast::Cast;
use crate::record::{Event, LaneName, Record, RecordId};
use crate::redact;
use crate::window::Slice;

/// Secrets hidden in the records that concern the incident, and in the log.
pub(super) fn count(case: &Case, decisive: &[(RecordId, Record)], cast: &Cast) -> u64 {
    let log = match &case.log {
        Some(Ok(log)) => u64::from(log.hidden),
        _ => 0,
    };
    let told = decisive.iter().filter(|(_, record)| cast.concerns(record));
    let told: u64 = told.map(|(_, record)| marks(&record.event)).sum();
    let marked = case.slice.bulk.iter();
    let marked = marked.filter(|segment| redact::marks(segment.bytes()) > 0);
    // Most have none, and decoding is what costs.
    let marked = Slice {
        bulk: marked.cloned().collect(),
        ..case.slice.clone()
    };
    let bulk = marked.records(LaneName::Bulk);
    let bulk = bulk.filter(|(_, record)| cast.concerns(record));
    log + told + bulk.map(|(_, record)| marks(&record.event)).sum::<u64>()
}

/// Texts stand in a stored record as they are.
fn marks(event: &Event) -> u64 {
    postcard::to_stdvec(event).map_or(0, |bytes| redact::marks(&bytes))
}
