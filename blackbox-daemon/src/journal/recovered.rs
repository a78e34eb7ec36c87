//! What an earlier life left: its records in the order they were written, its last checkpoint, and what it had told.
//!
//! Reads the bytes of a file, makes batches that the recorder takes as it took them the first time. Pure.

use std::collections::BTreeSet;

use super::layout::Section;
use super::scan::{Found, Scan};
use crate::clock::WallOffset;
use crate::record::{BootTime, Record, RecordId};
use crate::window::read_piece;

/// Records that were written together.
#[derive(Clone, Debug)]
pub struct Batch {
    pub at: BootTime,
    pub wall: WallOffset,
    /// By id.
    pub records: Vec<(RecordId, Record)>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The boot it was in.
    pub boot: [u8; 16],
    /// When it wrote last, on its own boot's clock …
    pub at: BootTime,
    /// … and what the wall clock was ahead by.
    pub wall: WallOffset,
    /// It stopped because it was asked to.
    pub ended: bool,
    pub batches: Vec<Batch>,
    /// The newest checkpoint.
    pub checkpoint: Option<Vec<u8>>,
    /// Ids of incidents whose reports are with every destination.
    pub told: BTreeSet<String>,
    /// Records that were left out when it was written.
    pub skipped: u64,
    /// Blocks that are missing between others: the disk had not kept them when the node went down.
    pub holes: u64,
    /// Records that do not decode.
    pub broken: u64,
}

impl Recovered {
    /// What the last boot left in a scanned file, of records not older than `reach` before its end, and those since
    /// the newest checkpoint. `None`: nothing.
    #[must_use]
    pub fn read(bytes: &[u8], scan: &Scan, reach: std::time::Duration) -> Option<Self> {
        let blocks = scan.of_last_boot();
        let last = blocks.last()?.stamp;
        let from = last.at.minus(reach);
        let recent = blocks.partition_point(|found| found.stamp.at < from);
        // What came after the newest checkpoint is needed, however old.
        let known = |found: &Found| {
            let mut sections = found.sections(bytes, &scan.head);
            sections.any(|section| matches!(section, Section::Checkpoint(_)))
        };
        let skip = blocks.iter().rposition(known).unwrap_or(0).min(recent);
        let mut recovered = Self {
            boot: last.boot,
            at: last.at,
            wall: last.wall,
            ended: last.ended,
            batches: Vec::new(),
            checkpoint: None,
            told: BTreeSet::new(),
            skipped: last.skipped,
            holes: Scan::holes(&blocks[skip..]),
            broken: 0,
        };
        let told = blocks
            .iter()
            .flat_map(|found| found.sections(bytes, &scan.head));
        recovered.told = told
            .filter_map(|section| match section {
                Section::Told(ids) => Some(ids),
                _ => None,
            })
            .flatten()
            .collect();
        for found in &blocks[skip..] {
            recovered.take(found, bytes, scan);
        }
        Some(recovered)
    }

    fn take(&mut self, found: &Found, bytes: &[u8], scan: &Scan) {
        let mut records = Vec::new();
        for section in found.sections(bytes, &scan.head) {
            match section {
                Section::Frames {
                    first_id,
                    count,
                    bytes,
                    ..
                } => {
                    let (read, broken) = read_piece(RecordId(first_id), count, bytes);
                    records.extend(read);
                    self.broken += broken;
                }
                Section::Checkpoint(bytes) => self.checkpoint = Some(bytes.to_vec()),
                Section::Told(_) => {}
            }
        }
        if records.is_empty() {
            return;
        }
        records.sort_by_key(|(id, _)| *id);
        self.batches.push(Batch {
            at: found.stamp.at,
            wall: found.stamp.wall,
            records,
        });
    }

    /// Records in it.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.batches.iter().map(|it| it.records.len() as u64).sum()
    }
}
