//! An entry: one measurement or event as v1 knew it, and the closed sets its words come from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::record::RecordId;

/// A name of an entry, of a tag or of metadata: one of ours, which takes no memory, or one that a sidecar chose.
pub type Word = Cow<'static, str>;

/// One v1 telemetry entry: a projection of a record, made for the report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The record it was made from; entries of one record share it. What verdicts cite.
    pub id: RecordId,
    pub timestamp: Timestamp,
    pub source: EntrySource,
    #[serde(rename = "type")]
    pub kind: EntryKind,
    #[schema(value_type = String)]
    pub name: Word,
    pub value: Value,
    #[schema(value_type = BTreeMap<String, String>)]
    pub tags: BTreeMap<Word, String>,
    #[schema(value_type = BTreeMap<String, Value>)]
    pub metadata: BTreeMap<Word, Value>,
}

/// Who measured it, in v1's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntrySource {
    /// This daemon.
    System,
    Sidecar,
}

impl EntrySource {
    /// The v1 name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Sidecar => "sidecar",
        }
    }
}

/// What an entry is about, in v1's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Cpu,
    Memory,
    Network,
    Disk,
    Process,
    Runtime,
    Application,
    Custom,
}

impl EntryKind {
    /// The v1 name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Process => "process",
            Self::Runtime => "runtime",
            Self::Application => "application",
            Self::Custom => "custom",
        }
    }
}
