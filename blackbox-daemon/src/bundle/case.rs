//! A case without its records, written down and read again.
//!
//! Postcard, as the window's own records: compact, and exact to the bit. Its layout is that of the types, so it is read by
//! the version of the schema that wrote it only.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::clock::WallOffset;
use crate::identity::Names;
use crate::incident::Incident;
use crate::incident::ends::PastEnd;
use crate::record::{BootTime, CgroupId, SourceState};
use crate::report::case::Case;
use crate::report::ledger::Ledger;
use crate::report::{DegradedPart, LogTail, NodeInfo, Stack};
use crate::starts::Comparison;
use crate::window::{ByClass, Sealed, Slice};

/// The parts of a case; see [`Case`].
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    incident: Incident,
    names: Names,
    ledger: Ledger,
    sources: Vec<SourceState>,
    node: NodeInfo,
    wall: WallOffset,
    closed: BootTime,
    window: Duration,
    ends: Vec<PastEnd>,
    start: Option<Comparison>,
    slice: Bounds,
}

/// What the node had, and how its disk fared; each in a file of its own.
pub(super) struct Evidence {
    pub(super) log: Option<Result<LogTail, String>>,
    pub(super) stack: Option<Stack>,
    pub(super) durability: Vec<DegradedPart>,
}

/// The parts of a slice that are not records; see [`Slice`].
#[derive(Serialize, Deserialize)]
struct Bounds {
    start: BootTime,
    end: BootTime,
    decisive_start: Option<BootTime>,
    bulk_start: Option<BootTime>,
    decisive_gone_to: Option<BootTime>,
    own_gone_to: BTreeMap<CgroupId, BootTime>,
    crowd_gone_to: BTreeMap<CgroupId, BootTime>,
    evicted: ByClass,
}

pub(super) fn write(case: &Case) -> io::Result<Vec<u8>> {
    let slice = &case.slice;
    let kept = Kept {
        incident: case.incident.clone(),
        names: case.names.clone(),
        ledger: case.ledger.clone(),
        sources: sources(&case.ledger),
        node: case.node.clone(),
        wall: case.wall,
        closed: case.closed,
        window: case.window,
        ends: case.ends.clone(),
        start: case.start.clone(),
        slice: Bounds {
            start: slice.start,
            end: slice.end,
            decisive_start: slice.decisive_start,
            bulk_start: slice.bulk_start,
            decisive_gone_to: slice.decisive_gone_to,
            own_gone_to: slice.own_gone_to.clone().into_iter().collect(),
            crowd_gone_to: slice.crowd_gone_to.clone().into_iter().collect(),
            evicted: slice.evicted,
        },
    };
    postcard::to_stdvec(&kept).map_err(invalid)
}

/// The states of sources as records have them: as reports have them, postcard could not read them.
fn sources(ledger: &Ledger) -> Vec<SourceState> {
    let states = ledger.sources.iter().map(|(source, health)| SourceState {
        source: *source,
        health: health.clone(),
    });
    states.collect()
}

pub(super) fn read(bytes: &[u8]) -> io::Result<Kept> {
    match postcard::take_from_bytes(bytes) {
        Ok((kept, [])) => Ok(kept),
        Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) => Err(invalid(error)),
    }
}

impl Kept {
    /// The case, with its records and what the node had.
    pub(super) fn with(self, decisive: Vec<Sealed>, bulk: Vec<Sealed>, evidence: Evidence) -> Case {
        Case {
            incident: self.incident,
            slice: Slice {
                start: self.slice.start,
                end: self.slice.end,
                decisive_start: self.slice.decisive_start,
                bulk_start: self.slice.bulk_start,
                decisive_gone_to: self.slice.decisive_gone_to,
                own_gone_to: self.slice.own_gone_to.into_iter().collect(),
                crowd_gone_to: self.slice.crowd_gone_to.into_iter().collect(),
                decisive,
                bulk,
                evicted: self.slice.evicted,
            },
            names: self.names,
            ledger: Ledger {
                sources: self
                    .sources
                    .into_iter()
                    .map(|state| (state.source, state.health))
                    .collect(),
                ..self.ledger
            },
            node: self.node,
            wall: self.wall,
            closed: self.closed,
            window: self.window,
            ends: self.ends,
            start: self.start,
            log: evidence.log,
            stack: evidence.stack,
            durability: evidence.durability,
            again: false,
        }
    }
}
