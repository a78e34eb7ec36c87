//! Frames: how a record lies in a segment.
//!
//! Turns a record into bytes and back. What [`encode`] and [`Entry::write`] made, [`Frames`] and [`decode`] give
//! back as it was; damaged bytes give nothing, and never a panic.
//!
//! A frame is three postcard values in a row: the length of the record in bytes (u32 varint), its id minus
//! the segment's first id (4 bytes, little endian), and the [`Record`]. The id has a fixed width because ids count
//! over both lanes: as a varint it would grow with the other lane's records, and a flood there would cost room here.

use bytes::BytesMut;

use crate::record::{BootTime, CgroupId, Class, Record, RecordId, Subject};

/// Most bytes a frame needs beside its record: a u32 varint (5) and an id (4).
const HEADER_MAX: usize = 9;

/// Encodes a record into `scratch`, replacing what was there. `false`: it cannot be encoded.
pub(super) fn encode(record: &Record, scratch: &mut Vec<u8>) -> bool {
    let mut buffer = std::mem::take(scratch);
    buffer.clear();
    match postcard::to_extend(record, buffer) {
        Ok(buffer) if u32::try_from(HEADER_MAX + buffer.len()).is_ok() => {
            *scratch = buffer;
            true
        }
        Ok(_) | Err(_) => false,
    }
}

/// Decodes what [`encode`] made. `None`: it is not exactly one record.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Some(record),
        Ok(_) | Err(_) => None,
    }
}

/// Who the record is about that [`encode`] made these bytes of; the rest of it is not looked at. `None`: it is no record.
pub(super) fn subject(bytes: &[u8]) -> Option<Subject> {
    // The beginning of [`Record`]: postcard writes fields one after the other, with nothing between.
    let read = postcard::take_from_bytes::<(BootTime, Subject)>(bytes);
    read.ok().map(|((_, subject), _)| subject)
}

/// A record on its way into a segment.
pub(super) struct Entry<'a> {
    pub(super) id: RecordId,
    pub(super) at: BootTime,
    pub(super) class: Class,
    /// Whose share it counts against, if anyone's.
    pub(super) cgroup: Option<CgroupId>,
    /// Made by [`encode`].
    pub(super) encoded: &'a [u8],
}

impl Entry<'_> {
    /// Most bytes its frame can take.
    pub(super) fn frame_max(&self) -> usize {
        HEADER_MAX + self.encoded.len()
    }

    /// Whether its id can be written as counted from `first_id`.
    pub(super) fn counts_from(&self, first_id: RecordId) -> bool {
        u32::try_from(self.id.0 - first_id.0).is_ok()
    }

    /// Writes its frame into a segment that starts with `first_id`.
    pub(super) fn write(&self, buffer: &mut BytesMut, first_id: RecordId) {
        put_varint(buffer, self.encoded.len() as u32);
        let delta = (self.id.0 - first_id.0) as u32;
        buffer.extend_from_slice(&delta.to_le_bytes());
        buffer.extend_from_slice(self.encoded);
    }
}

/// The frames of a segment one by one: the record's id and its postcard bytes. Ends early when a header is broken,
/// as nothing tells where the next frame starts then.
pub(super) struct Frames<'a> {
    first_id: RecordId,
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    /// The frames in `bytes`, whose ids count from `first_id`.
    pub(super) fn new(first_id: RecordId, bytes: &'a [u8]) -> Self {
        Self {
            first_id,
            rest: bytes,
        }
    }

    /// Bytes that are still to be read.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (RecordId, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ((len, delta), rest) = postcard::take_from_bytes::<(u32, [u8; 4])>(self.rest).ok()?;
        let (record, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        let delta = u64::from(u32::from_le_bytes(delta));
        Some((RecordId(self.first_id.0.checked_add(delta)?), record))
    }
}

/// Appends `value` as postcard writes unsigned integers: seven bits a byte, the lowest first
/// (<https://postcard.jamesmunns.com/wire-format#varint-encoded-integers>).
fn put_varint(buffer: &mut BytesMut, mut value: u32) {
    let mut bytes = [0; 5];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    buffer.extend_from_slice(&bytes[..=len]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{
        CgroupSample, Event, Gap, Health, LossCause, NodeLoad, SourceName, SourceState,
    };

    fn node(at: u64, event: Event) -> Record {
        Record {
            at: BootTime(at),
            subject: Subject::Node,
            event,
        }
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let source = |health| {
            let source = SourceName::Kube;
            node(7, Event::Source(SourceState { source, health }))
        };
        let load = NodeLoad {
            one: 0.5,
            five: 1.0,
            fifteen: 2.0,
            processes: None,
            open_files: Some(u64::MAX),
        };
        let gap = Gap {
            class: Class::Exit,
            cause: LossCause::Share,
            count: u64::MAX,
        };
        let path = "/kubepods/ä".to_owned();
        for record in [
            source(Health::Ok),
            source(Health::Failed("no such file".to_owned())),
            node(u64::MAX, Event::NodeLoad(load)),
            node(0, Event::Gap(gap)),
            node(1, Event::CgroupCreated { path }),
            node(2, Event::Cgroup(Box::<CgroupSample>::default())),
        ] {
            let mut scratch = vec![1, 2, 3];
            assert!(encode(&record, &mut scratch));
            assert_eq!(subject(&scratch), Some(record.subject));
            assert_eq!(decode(&scratch), Some(record));
            scratch.push(0);
            assert_eq!(decode(&scratch), None, "a byte too many");
        }
    }
}
