//! A report: what one incident was, who or what caused it and how sure that is, the evidence, and what may be
//! missing. Made off the recorder's loop, from values only; the same records give the same bytes.
//!
//! Its head is small and in memory; its telemetry is made while it is read. Top-level keys `incident`, `telemetry` and `generated_at` are those of v1; the others are ours.

pub mod build;
pub mod calls;
pub mod case;
mod cast;
mod completeness;
mod divergence;
pub mod entries;
mod entry;
pub mod format;
mod head;
mod hidden;
mod history;
mod last_calls;
pub mod ledger;
mod left;
mod neighbours;
mod oom_ledger;
pub mod schema;
mod selection;
pub mod sentence;
mod summary;
mod tail;
mod telemetry;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::diagnosis::Diagnosis;
pub use crate::record::Severity;
use crate::record::{Class, Health, LossCause, RecordId, SourceName};
use crate::verdict::Verdict;
pub use divergence::Divergence;
pub use entry::{Entry, EntryKind, EntrySource, Word};
pub use last_calls::LastCalls;
pub use left::{FoundBy, Frame, LastWords, LogLine, LogTail, Stack};
pub use oom_ledger::{LedgerLevel, LedgerParts, LedgerProcess, OomLedger};
pub use summary::{Finished, Summary};
pub use tail::{Tail, TailRow};
pub use telemetry::Telemetry;

/// The `schema` of every report this version writes.
pub const SCHEMA: &str = "blackbox.report/1";

/// Everything known of one incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    #[schema(value_type = String, example = "blackbox.report/1")]
    pub schema: Cow<'static, str>,
    pub incident: IncidentSummary,
    pub verdict: Verdict,
    /// Why, as a stable code.
    pub diagnosis: Diagnosis,
    /// The records the verdict cites, in words.
    pub evidence: Vec<Evidence>,
    /// The failing calls of the subject's cgroup, most frequent first.
    pub failed_calls: Vec<FailedCalls>,
    pub completeness: Completeness,
    pub node: NodeInfo,
    #[schema(required = true)]
    pub pod: Option<PodInfo>,
    pub containers: Vec<ContainerInfo>,
    /// Where its run left the way that the last healthy run of the same kind had gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
    /// How instances of the subject's container ended so far, this end included, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryRow>,
    /// The last lines of the log of the instance that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogTail>,
    /// What its processes wrote last to their standard output and error, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<LastWords>,
    /// The last calls of the subject's container, if it was armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<Tail>,
    /// Where the threads of the subject's ended processes were, those that waited first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_calls: Vec<LastCalls>,
    /// The stack of the thread that faulted or aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Stack>,
    /// Where the memory was, when the OOM killer killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_ledger: Option<OomLedger>,
    /// Where the node's memory was, when it was the node that ran short: pods by what they used above their requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<Neighbour>,
    /// The slice of the window, as v1 entries, by time.
    #[schema(value_type = Vec<Entry>)]
    pub telemetry: Telemetry,
    pub generated_at: Timestamp,
}

/// What a report keeps beside its telemetry, bytes: evidence, and names of what is in it.
const BESIDE: usize = 64 << 10;

impl Report {
    /// What it keeps in memory beside the slice it was made from, bytes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        BESIDE + self.telemetry.size()
    }
}

/// What went wrong, in v1's words.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IncidentSummary {
    pub id: String,
    pub timestamp: Timestamp,
    /// When the recorder knew of it.
    pub opened_at: Timestamp,
    pub severity: Severity,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "oom")]
    pub kind: IncidentKind,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    pub context: BTreeMap<String, Value>,
    /// Incidents of the same signature that this report speaks for and that have no report of their own.
    pub repeats: u64,
}

/// What kind of incident, in v1's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IncidentKind {
    Crash,
    Oom,
    /// Another of v1's types, or as its reporter called it.
    Reported(String),
}

impl IncidentKind {
    /// The v1 name, or the reporter's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Crash => "crash",
            Self::Oom => "oom",
            Self::Reported(kind) => kind,
        }
    }
}

impl Serialize for IncidentKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for IncidentKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match name.as_str() {
            "crash" => Self::Crash,
            "oom" => Self::Oom,
            _ => Self::Reported(name),
        })
    }
}

/// A cited record in words.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    pub id: RecordId,
    pub timestamp: Timestamp,
    pub what: String,
}

/// Failing calls that are alike, of those recorded in this report's window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedCalls {
    /// The call's name: `openat`.
    pub call: String,
    /// The error's name: `ENOENT`.
    pub errno: String,
    /// The argument that matters: a path, the address of a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
    /// How many records.
    pub count: u64,
    /// When the first one was …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// … and the last.
    pub last: Timestamp,
}

/// What this report may be missing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Completeness {
    /// Nothing that could change the verdict was lost: no loss of decisive records, and the window is whole.
    pub complete: bool,
    /// One sentence.
    pub summary: String,
    /// What was asked for …
    pub window_requested_start: Timestamp,
    pub window_end: Timestamp,
    /// … and the oldest record each lane still had.
    #[schema(required = true)]
    pub decisive_start: Option<Timestamp>,
    #[schema(required = true)]
    pub bulk_start: Option<Timestamp>,
    /// One row for each class: `attempted = recorded + losses + in_flight`, since the recorder started.
    pub classes: Vec<ClassCount>,
    /// Records lost inside this report's window, by class and cause.
    pub gaps: Vec<GapCount>,
    /// Secrets that were hidden in the records that concern the incident, and in the log.
    #[serde(default)]
    pub secrets_hidden: u64,
    pub sources: Vec<SourceLine>,
    /// Parts of what is kept on disk that were degraded when the report was made: it, or others, may be missing there.
    #[serde(default)]
    pub durability: Vec<DegradedPart>,
    /// Anything else a reader must know, a sentence each.
    pub notes: Vec<String>,
}

/// One class's conservation, since the recorder started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClassCount {
    pub class: Class,
    /// Records that were to be made.
    pub attempted: u64,
    /// Records that reached the window.
    pub recorded: u64,
    /// Records lost on the way, by cause.
    pub lost: BTreeMap<LossCause, u64>,
    /// `attempted - recorded - lost`: made, and not arrived when the counts were read.
    pub in_flight: i64,
    /// Records that had reached the window and were evicted by a byte cap before their time.
    pub evicted: u64,
}

/// Records lost inside a report's window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapCount {
    pub class: Class,
    pub cause: LossCause,
    pub count: u64,
}

/// A source's state when the report was made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SourceLine {
    pub source: SourceName,
    #[serde(flatten)]
    pub health: Health,
}

/// A part of what is kept on disk that keeps less than it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DegradedPart {
    /// `reports`, or `window`.
    pub part: String,
    pub why: String,
}

/// The machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    pub name: String,
    pub kernel: String,
    pub arch: String,
    #[schema(required = true)]
    pub boot_id: Option<String>,
}

/// The pod, as far as it is known.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PodInfo {
    #[schema(required = true)]
    pub uid: Option<String>,
    #[schema(required = true)]
    pub name: Option<String>,
    #[schema(required = true)]
    pub namespace: Option<String>,
    /// Who made it, nearest first, as far as the API server has told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<OwnerInfo>,
    /// `Guaranteed`, `Burstable` or `BestEffort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
}

/// One end of an instance of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryRow {
    pub timestamp: Timestamp,
    pub container_id: String,
    /// In words: what the kernel saw, else what the kubelet said.
    pub end: String,
    /// `OOMKilled`, `Error` …, by the kubelet's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// A pod of the node, and the memory it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Neighbour {
    pub namespace: String,
    pub pod: String,
    /// Of its containers, as last sampled.
    pub memory_bytes: u64,
    /// Sum of its containers' requests; those without one count as 0.
    pub requested_bytes: u64,
    /// The sample of its largest container.
    pub cites: Vec<RecordId>,
}

/// An object that made another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerInfo {
    #[schema(example = "Deployment")]
    pub kind: String,
    pub name: String,
    /// Nobody said so: a Deployment is inferred from the name of its ReplicaSet.
    pub inferred: bool,
}

/// Which part a cgroup plays in an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Where it happened.
    Subject,
    /// Another container of the subject's pod.
    Pod,
    /// Where the signal came from.
    Sender,
    /// Whose allocation could not be met.
    Allocator,
    /// Whose memory limit counts.
    Limit,
}

/// A cgroup that plays a part, by its role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerInfo {
    pub role: Role,
    /// In words: `container 3f2a91b0c4d5`, `unit nginx.service`, `cgroup /demo`.
    pub name: String,
    #[schema(required = true)]
    pub container_id: Option<String>,
    /// What its pod calls it, as far as the API server has told; so its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// What its spec allows and asks for; absent where it sets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_request_bytes: Option<u64>,
    /// Thousandths of a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_request_millis: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    #[schema(required = true)]
    pub pod_uid: Option<String>,
    #[schema(required = true)]
    pub unit: Option<String>,
    #[schema(required = true)]
    pub cgroup_path: Option<String>,
    pub cgroup_id: u64,
}
