//! Frames: how a record lies in a segment.
//!
//! Turns a record into bytes and back. What [`encode`] and [`Entry::write`] made, [`Frames`] and [`decode`] give
//! back as it was; damaged bytes give nothing, and never a panic.
//!
//! A frame is three postcard values in a row: the length of the record in bytes (u32 varint), its id minus
//! the segment's first id (4 bytes, little endian), and the [`Record`]. The id has a fixed width because ids count
//! over both lanes: as a varint it would grow with the other lane's records, and a flood there would cost room here.

use bytes::BytesMut;
use postcard::ser_flavors::Flavor;

use crate::record::{BootTime, CgroupId, Class, Record, RecordId, Subject};

/// Most bytes a frame needs beside its record: a u32 varint (5) and an id (4).
const HEADER_MAX: usize = 9;

/// Room for a record at first, bytes: nearly all have enough of it.
const ROOM: usize = 1 << 10;

/// Encodes a record into `scratch`, which grows as it must, and gives its bytes there. `None`: it cannot be encoded.
pub(super) fn encode<'a>(record: &Record, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
    if scratch.is_empty() {
        scratch.resize(ROOM, 0);
    }
    let len = loop {
        match postcard::serialize_with_flavor(record, Room::of(scratch)) {
            Ok(len) => break len,
            Err(postcard::Error::SerializeBufferFull) => scratch.resize(2 * scratch.len(), 0),
            Err(_) => return None,
        }
    };
    u32::try_from(HEADER_MAX + len).ok()?;
    scratch.get(..len)
}

/// Where postcard writes a record. postcard's own buffers grow by each number, or call `memcpy` for it, and numbers are nearly
/// all of a record: with those an append takes twice the time.
struct Room<'a> {
    bytes: &'a mut [u8],
    used: usize,
}

impl<'a> Room<'a> {
    fn of(bytes: &'a mut [u8]) -> Self {
        Self { bytes, used: 0 }
    }
}

impl Flavor for Room<'_> {
    type Output = usize;

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        let room = self.bytes.get_mut(self.used);
        *room.ok_or(postcard::Error::SerializeBufferFull)? = byte;
        self.used += 1;
        Ok(())
    }

    #[inline(always)]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        let room = self.bytes.get_mut(self.used..self.used + data.len());
        copy(room.ok_or(postcard::Error::SerializeBufferFull)?, data);
        self.used += data.len();
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.used)
    }
}

/// Copies `from` to `to`, which is as long: up to 16 bytes as their first eight and their last eight, or four, two, one.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        17.. => to.copy_from_slice(from),
        8.. => ends::<8>(to, from),
        4.. => ends::<4>(to, from),
        2.. => ends::<2>(to, from),
        _ => ends::<1>(to, from),
    }
}

#[inline(always)]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = *from;
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
        let delta = (self.id.0 - first_id.0) as u32;
        let (header, len) = header(self.encoded.len() as u32, delta);
        buffer.extend_from_slice(&header[..len]);
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

/// What stands before a record of `len` bytes, and how much of it is used. `len` as postcard writes unsigned integers: seven
/// bits a byte, the lowest first (<https://postcard.jamesmunns.com/wire-format#varint-encoded-integers>).
fn header(mut len: u32, delta: u32) -> ([u8; HEADER_MAX], usize) {
    let (mut header, mut used) = ([0; HEADER_MAX], 0);
    while len >= 0x80 {
        header[used] = len as u8 | 0x80;
        len >>= 7;
        used += 1;
    }
    header[used] = len as u8;
    used += 1;
    header[used..used + 4].copy_from_slice(&delta.to_le_bytes());
    (header, used + 4)
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
    fn copies_of_every_length_are_whole() {
        let from: Vec<u8> = (1..=40).collect();
        for len in 0..=from.len() {
            let mut to = vec![0; len];
            copy(&mut to, &from[..len]);
            assert_eq!(to, from[..len]);
            let mut room = vec![0; len];
            let mut room = Room::of(&mut room);
            room.try_extend(&from[..len]).unwrap();
            assert!(room.try_push(1).is_err() && room.try_extend(&[1]).is_err());
        }
    }

    #[test]
    fn a_long_record_gets_the_room_it_needs() {
        let path = "x".repeat(100_000);
        let record = node(1, Event::CgroupCreated { path });
        let mut scratch = Vec::new();
        let encoded = encode(&record, &mut scratch).unwrap();
        assert_eq!(decode(encoded), Some(record));
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
            let mut encoded = encode(&record, &mut scratch).unwrap().to_vec();
            assert_eq!(subject(&encoded), Some(record.subject));
            assert_eq!(decode(&encoded), Some(record));
            encoded.push(0);
            assert_eq!(decode(&encoded), None, "a byte too many");
        }
    }
}
