//! What an export holds: its head and its entries, in the words of v1's documents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::selection::Whereabouts;
use crate::record::RecordId;
use crate::report::{Entry, EntryKind, EntrySource, Word};

/// A JSON export, for the OpenAPI document; it is written piece by piece.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Export {
    export_info: ExportInfo,
    entries: Vec<ExportEntry>,
}

/// What the export is of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportInfo {
    pub(super) timestamp: Timestamp,
    /// Entries in this file.
    pub(super) total_entries: u64,
    /// Older entries that matched and were too many.
    pub(super) truncated: u64,
    pub(super) time_range: ExportRange,
}

/// The time that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportRange {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

/// One entry.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportEntry {
    /// The record it was made from.
    id: RecordId,
    pub(super) timestamp: Timestamp,
    #[serde(rename = "type")]
    pub(super) kind: EntryKind,
    /// Empty: it is about no pod, or about one that is not known.
    pub(super) pod_name: String,
    pub(super) namespace: String,
    pub(super) data: ExportData,
}

/// What was measured.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExportData {
    #[schema(value_type = String)]
    name: Word,
    value: Value,
    #[schema(value_type = BTreeMap<String, String>)]
    pub(super) tags: BTreeMap<Word, String>,
    #[schema(value_type = BTreeMap<String, Value>)]
    metadata: BTreeMap<Word, Value>,
    source: EntrySource,
}

impl ExportEntry {
    pub(super) fn new(entry: Entry, place: &Whereabouts) -> Self {
        let pod = place.pod.as_ref();
        Self {
            id: entry.id,
            timestamp: entry.timestamp,
            kind: entry.kind,
            pod_name: pod.map(|pod| pod.name.clone()).unwrap_or_default(),
            namespace: pod.map(|pod| pod.namespace.clone()).unwrap_or_default(),
            data: ExportData {
                name: entry.name,
                value: entry.value,
                tags: entry.tags,
                metadata: entry.metadata,
                source: entry.source,
            },
        }
    }
}
