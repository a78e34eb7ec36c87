//! A slice: the part of the window that a report is made from.
//!
//! Made by the window from clones of sealed segments, so it costs O(segments), copies no record and stays as
//! it was whatever the window does afterwards. Records are decoded when they are read, on the reader's thread.

use std::collections::HashMap;

use super::frame::{Frames, decode};
use super::segment::{ByClass, Sealed};
use crate::record::{BootTime, CgroupId, LaneName, Record, RecordId};

/// The records from `start` to `end`, both included, as the window held them at one moment.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Earliest time asked for.
    pub start: BootTime,
    /// Latest time asked for.
    pub end: BootTime,
    /// From when on the decisive lane held everything it was given, at that moment: the time of its oldest
    /// record. `None`: it held nothing.
    pub decisive_start: Option<BootTime>,
    /// The same of the bulk lane.
    pub bulk_start: Option<BootTime>,
    /// Newest time of a decisive record that the window no longer holds, for its age or because the lane was
    /// full. `None`: it holds all it was ever given.
    pub decisive_gone_to: Option<BootTime>,
    /// Up to when single cgroups lost bulk records of their own, because they were above their share.
    pub own_gone_to: HashMap<CgroupId, BootTime>,
    /// Decisive segments that may hold records of this slice, in order of arrival.
    pub decisive: Vec<Sealed>,
    /// Bulk segments that may hold records of this slice, in order of arrival.
    pub bulk: Vec<Sealed>,
    /// Records of both lanes evicted before their time because a lane was full, from the window's start up to
    /// that moment.
    pub evicted: ByClass,
}

impl Slice {
    /// The records of one lane, in order of arrival, decoded as they are asked for.
    #[must_use]
    pub fn records(&self, lane: LaneName) -> Records<'_> {
        let segments = match lane {
            LaneName::Decisive => &self.decisive,
            LaneName::Bulk => &self.bulk,
        };
        Records {
            slice: self,
            segments: segments.iter(),
            current: None,
            malformed: 0,
        }
    }

    /// How many records of both lanes do not decode. Decodes all of them.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        [LaneName::Decisive, LaneName::Bulk]
            .into_iter()
            .map(|lane| {
                let mut records = self.records(lane);
                records.by_ref().for_each(drop);
                records.malformed()
            })
            .sum()
    }
}

/// See [`Slice::records`].
pub struct Records<'a> {
    slice: &'a Slice,
    segments: std::slice::Iter<'a, Sealed>,
    /// The segment being read, and how many of its records are still to come.
    current: Option<(Frames<'a>, u32)>,
    malformed: u64,
}

impl Records<'_> {
    /// Records passed so far that do not decode. They are skipped; their times are not known, so they count
    /// whether they belong to the slice or not.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }
}

impl Iterator for Records<'_> {
    type Item = (RecordId, Record);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((frames, left)) = &mut self.current else {
                let segment = self.segments.next()?;
                self.current = Some((segment.frames(), segment.index().count));
                continue;
            };
            let Some((id, bytes)) = frames.next() else {
                // Nothing is left in a whole segment; after a broken header everything that was to come is.
                self.malformed += u64::from(*left);
                self.current = None;
                continue;
            };
            *left = left.saturating_sub(1);
            match decode(bytes) {
                Some(record) if record.at < self.slice.start || record.at > self.slice.end => {}
                Some(record) => return Some((id, record)),
                None => self.malformed += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::record::{Event, Subject};
    use crate::window::{Config, Window};

    fn three() -> Slice {
        let mut window = Window::new(Config::default());
        for at in 1..=3 {
            let path = format!("/{at}");
            let event = Event::CgroupRemoved { path };
            let at = BootTime(at);
            let subject = Subject::Node;
            window.append(&Record { at, subject, event }, at);
        }
        window.slice(BootTime(0), BootTime(9))
    }

    fn ids(slice: &Slice) -> Vec<u64> {
        let records = slice.records(LaneName::Decisive);
        records.map(|(id, _)| id.0).collect()
    }

    fn damaged(damage: impl FnOnce(&mut BytesMut)) -> Slice {
        let mut slice = three();
        let mut bytes = BytesMut::from(&slice.decisive[0].bytes()[..]);
        damage(&mut bytes);
        slice.decisive[0] = slice.decisive[0].with_bytes(bytes.freeze());
        slice
    }

    #[test]
    fn both_bounds_are_included() {
        let mut slice = three();
        (slice.start, slice.end) = (BootTime(2), BootTime(3));
        assert_eq!(ids(&slice), [2, 3]);
        (slice.start, slice.end) = (BootTime(3), BootTime(2));
        assert_eq!(ids(&slice), [0; 0]);
    }

    #[test]
    fn a_record_that_does_not_decode_is_skipped_and_counted() {
        let frame = three().decisive[0].bytes().len() / 3;
        // Byte 5 of a frame is the record's time, byte 6 its subject: 99 is none.
        let slice = damaged(|bytes| bytes[frame + 6] = 99);
        assert_eq!(ids(&slice), [1, 3]);
        assert_eq!(slice.malformed(), 1);
    }

    #[test]
    fn a_broken_header_costs_the_rest_of_its_segment_only() {
        let frame = three().decisive[0].bytes().len() / 3;
        let mut slice = damaged(|bytes| bytes[frame] = 0x7f);
        slice.decisive.extend(three().decisive);
        assert_eq!(ids(&slice), [1, 1, 2, 3]);
        assert_eq!(slice.malformed(), 2);
    }

    #[test]
    fn no_bytes_panic() {
        let len = three().decisive[0].bytes().len();
        for cut in 0..len {
            let slice = damaged(|bytes| bytes.truncate(cut));
            assert_eq!(ids(&slice).len() as u64 + slice.malformed(), 3);
        }
        for at in 0..len {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let slice = damaged(|bytes| bytes[at] = byte);
                assert!(ids(&slice).len() <= 3 + len);
            }
        }
        let mut slice = three();
        slice.decisive[0] = slice.decisive[0].with_bytes(Bytes::from_static(&[0xff; 64]));
        assert_eq!(slice.malformed(), 3);
    }

    #[test]
    fn a_slice_can_leave_the_recorder() {
        fn check<T: Clone + Send + 'static>(_: &T) {}
        check(&three());
    }
}
