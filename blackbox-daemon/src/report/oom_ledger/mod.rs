//! The OOM ledger: where the memory was when the OOM killer killed. From the victim's cgroup up the line to the one whose
//! limit was hit, and the processes inside of that.
//!
//! Reads the kernel's record of the kill, which is of that instant, and samples from around it. Each number says which
//! record it is from and when that was; what nobody read is missing, and never 0. Pure.

mod levels;
mod processes;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::case::Case;
use crate::record::{Record, RecordId};
use crate::verdict::{Kill, Scene, Verdict};

/// Where the memory was at an OOM kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OomLedger {
    pub killed_at: Timestamp,
    /// From the victim's own memory cgroup up to the one whose limit was hit; up to the root, if the node had run out.
    pub levels: Vec<LedgerLevel>,
    /// The processes inside of the last level that anybody looked into, largest first.
    pub processes: Vec<LedgerProcess>,
    /// Processes that are not listed; missing, if nobody counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// What those have together, as far as they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_rss_bytes: Option<u64>,
}

/// A memory cgroup, at the instant of the kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerLevel {
    /// In words.
    pub name: String,
    pub cgroup_id: u64,
    #[schema(required = true)]
    pub cgroup_path: Option<String>,
    pub usage_bytes: u64,
    #[schema(required = true)]
    pub limit_bytes: Option<u64>,
    /// Its limit was the one that was hit.
    pub hit: bool,
    /// `memory.oom.group`: the kernel kills all of it at once.
    pub oom_group: bool,
    /// The kernel's record of the kill.
    pub id: RecordId,
    /// What it was made of at its last sample before the kill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<LedgerParts>,
}

/// What a cgroup's memory was made of, by its `memory.stat`. What the kernel does not tell is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerParts {
    /// The sample.
    pub id: RecordId,
    pub timestamp: Timestamp,
    /// All of it at that time.
    pub current_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anon_bytes: Option<u64>,
    /// Page cache, `shmem_bytes` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shmem_bytes: Option<u64>,
    /// Of `file_bytes`, mapped by processes …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped_bytes: Option<u64>,
    /// … and not yet written back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_bytes: Option<u64>,
    /// Stacks, page tables, `slab_bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slab_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sock_bytes: Option<u64>,
}

/// A process and its resident memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerProcess {
    pub pid: u32,
    pub comm: String,
    /// Files and shared memory included, which may be charged elsewhere.
    pub rss_bytes: u64,
    /// The OOM killer chose it: then its size is the kernel's own, at the kill.
    pub victim: bool,
    /// The record its size is from, and when that was.
    pub id: RecordId,
    pub timestamp: Timestamp,
}

impl OomLedger {
    /// The level whose limit was hit, else the last one.
    #[must_use]
    pub fn full(&self) -> Option<&LedgerLevel> {
        let hit = self.levels.iter().find(|level| level.hit);
        hit.or(self.levels.last())
    }
}

/// The ledger of a death, if the OOM killer was its cause and the kernel's record of that is there.
pub(super) fn of(
    case: &Case,
    (scene, verdict): (Option<&Scene<'_>>, &Verdict),
    bulk: &[(RecordId, Record)],
) -> Option<OomLedger> {
    let scene = scene?;
    let kill = Kill::of(scene, verdict)?;
    let levels = levels::line(case, &kill, bulk);
    let inside = processes::inside(case, &kill, scene.records, bulk);
    Some(OomLedger {
        killed_at: case.wall.wall(kill.at),
        levels,
        processes: inside.processes,
        others: inside.others,
        others_rss_bytes: inside.others_rss,
    })
}
