//! A sidecar's telemetry as entries: each key of its data is one, as in v1.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Made;
use crate::record::Telemetry;
use crate::report::{Entry, EntryKind, EntrySource, Word};

/// v1's type of a sidecar's key: the first of its lists with a word that occurs in it.
fn sidecar_kind(key: &str) -> EntryKind {
    const KINDS: [(EntryKind, &[&str]); 5] = [
        (EntryKind::Memory, &["memory", "heap", "gc"]),
        (EntryKind::Cpu, &["cpu", "thread", "processor"]),
        (EntryKind::Network, &["network", "socket", "connection"]),
        (EntryKind::Runtime, &["runtime", "jvm", "clr", "vm"]),
        (EntryKind::Application, &["exception", "error", "panic"]),
    ];
    let fits = |words: &[&str]| words.iter().any(|word| key.contains(word));
    let found = KINDS.iter().find(|(_, words)| fits(words));
    found.map_or(EntryKind::Custom, |(kind, _)| *kind)
}

/// How a sidecar's entry is called in answers and reports.
#[must_use]
pub fn entry_id(entry: u64) -> String {
    format!("e{entry:x}")
}

/// The time a sidecar claimed, as text.
pub(in crate::report) fn claimed(nanos: i64) -> Value {
    json!(Timestamp::from_nanosecond(nanos.into()).ok())
}

impl Made<'_> {
    /// Each key of the data is one entry, as in v1.
    pub(super) fn sidecar(&mut self, telemetry: &Telemetry) {
        let data: BTreeMap<String, Value> =
            serde_json::from_str(&telemetry.data).unwrap_or_default();
        let own = telemetry.tags.iter().cloned();
        let mut tags: BTreeMap<Word, String> =
            own.map(|(key, value)| (key.into(), value)).collect();
        tags.insert("pod_name".into(), telemetry.pod.name.clone());
        tags.insert("namespace".into(), telemetry.pod.namespace.clone());
        tags.insert("runtime".into(), telemetry.runtime.clone());
        if let Some(id) = &telemetry.container_id {
            tags.insert("container_id".into(), id.clone());
        }
        let submission = &telemetry.submission;
        let mut metadata: BTreeMap<Word, Value> = BTreeMap::from([
            ("sidecar_runtime".into(), json!(telemetry.runtime)),
            ("entry_id".into(), json!(entry_id(telemetry.entry))),
            ("submitted_by".into(), json!(submission.by)),
            (
                "received_timestamp".into(),
                json!(self.wall.wall(submission.received)),
            ),
            ("boottime_ns".into(), json!(self.record.at.0)),
        ]);
        if let Some(at) = submission.claimed {
            metadata.insert("claimed_timestamp".into(), claimed(at));
        }
        for (name, value) in data {
            self.entries.push(Entry {
                id: self.id,
                timestamp: self.wall.wall(self.record.at),
                source: EntrySource::Sidecar,
                kind: sidecar_kind(&name),
                name: name.into(),
                value,
                tags: tags.clone(),
                metadata: metadata.clone(),
            });
        }
    }
}
