//! A checkpoint: what the recorder knows beside its window. With the records that follow it, the same recorder comes to be.
//!
//! Made between two batches, written by the journal, read by `resume`. Compressed postcard, of this version of the types only.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::core::Core;
use crate::identity::Identities;
use crate::incident::ends::Ends;
use crate::incident::{Incident, Incidents};
use crate::record::{ProcessKey, RecordId};
use crate::report::ledger::Ledger;
use crate::starts::Starts;

/// Fastest: a checkpoint is written twice a minute and read once.
const LEVEL: i32 = 1;
/// Largest checkpoint, uncompressed, bytes.
const MOST: usize = 64 << 20;

/// See the module.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The newest record it knows of.
    pub(super) last_id: u64,
    /// The daemon that made it.
    pub(super) daemon: Option<ProcessKey>,
    pub(super) identities: Identities,
    pub(super) incidents: Incidents,
    /// Closed, and not told.
    pub(super) untold: VecDeque<Incident>,
    pub(super) ends: Ends,
    /// Without the states of sources.
    pub(super) ledger: Ledger,
    pub(super) starts: Starts,
}

impl Checkpoint {
    pub(super) fn of(core: &Core, daemon: Option<ProcessKey>) -> Self {
        let RecordId(last_id) = core.window.last_id();
        Self {
            last_id,
            daemon,
            identities: core.identities.without_exes(),
            incidents: core.incidents.clone(),
            untold: core.untold.clone().unwrap_or_default(),
            ends: core.ends.clone(),
            ledger: core.ledger.clone(),
            starts: core.starts.clone(),
        }
    }

    /// Its bytes. Empty if it cannot be encoded: then it is not read either.
    pub(super) fn encode(&self) -> Vec<u8> {
        let encoded = postcard::to_stdvec(self).unwrap_or_default();
        zstd::bulk::compress(&encoded, LEVEL).unwrap_or_default()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let encoded = zstd::bulk::decompress(bytes, MOST).ok()?;
        postcard::from_bytes(&encoded).ok()
    }
}
