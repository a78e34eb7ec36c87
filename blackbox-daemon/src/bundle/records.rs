//! The records of a slice, written down and read again: for each its id, its length and its postcard bytes as the window
//! has them.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::record::{CgroupId, Event, LaneName, Record, RecordId};
use crate::report::Report;
use crate::report::case::Case;
use crate::window::{Sealed, sealed};

/// Bytes before each record: its id, and its length.
const HEADER: usize = 12;

/// Writes those of one lane, as they are read.
pub(super) fn write(
    case: &Case,
    report: &Report,
    lane: LaneName,
    out: &mut impl Write,
) -> io::Result<()> {
    let parts = report
        .containers
        .iter()
        .map(|part| CgroupId(part.cgroup_id));
    let parts: BTreeSet<CgroupId> = parts.collect();
    let mut records = case.slice.records(lane);
    while let Some((place, record)) = records.next_placed() {
        let Some(encoded) = case.slice.encoded(place) else {
            continue;
        };
        if is_of_others(&record, &parts) {
            continue;
        }
        let len = u32::try_from(encoded.len()).map_err(io::Error::other)?;
        out.write_all(&place.id.0.to_le_bytes())?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(encoded)?;
    }
    Ok(())
}

/// A failed call of a container that plays no part.
fn is_of_others(record: &Record, parts: &BTreeSet<CgroupId>) -> bool {
    let cgroup = record.subject.cgroup();
    matches!(record.event, Event::FailedCall(_))
        && cgroup.is_none_or(|cgroup| !parts.contains(&cgroup))
}

pub(super) fn read(bytes: &[u8]) -> io::Result<Vec<Sealed>> {
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (record, after) = one(rest).ok_or(io::ErrorKind::InvalidData)?;
        records.push(record);
        rest = after;
    }
    // As they arrived: they were written lane by lane.
    records.sort_by_key(|(id, _)| *id);
    Ok(sealed(&records))
}

fn one(bytes: &[u8]) -> Option<((RecordId, Record), &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let id = u64::from_le_bytes(header[..8].try_into().ok()?);
    let len = u32::from_le_bytes(header[8..].try_into().ok()?) as usize;
    let (encoded, rest) = rest.split_at_checked(len)?;
    match postcard::take_from_bytes(encoded) {
        Ok((record, [])) => Some(((RecordId(id), record), rest)),
        _ => None,
    }
}
