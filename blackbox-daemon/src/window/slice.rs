//! A slice: the part of the window that a report is made from.
//!
//! Made by the window from clones of sealed segments, so it costs O(segments), copies no record and stays as
//! it was whatever the window does afterwards. Records are decoded when they are read, on the reader's thread: in order
//! of arrival, lane by lane, or one by one at their places. So whoever wants them in order of time sorts places.

use std::collections::HashMap;
use std::iter::Zip;
use std::ops::RangeFrom;

use super::frame::{self, Frames, decode};
use super::segment::{ByClass, Sealed};
use crate::record::{BootTime, CgroupId, LaneName, Record, RecordId, Subject};

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
    /// Up to when single cgroups lost decisive records of their own, because they were above their share of that lane.
    pub crowd_gone_to: HashMap<CgroupId, BootTime>,
    /// Decisive segments that may hold records of this slice, in order of arrival: first the lane's, then the crowd's. Ids tell
    /// the order of their records.
    pub decisive: Vec<Sealed>,
    /// Bulk segments that may hold records of this slice, in order of arrival.
    pub bulk: Vec<Sealed>,
    /// Records of both lanes evicted before their time because a lane was full, from the window's start up to
    /// that moment.
    pub evicted: ByClass,
}

/// Where a record of a slice lies. Places are in order of time, those of one instant in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Time of the record.
    pub at: BootTime,
    pub id: RecordId,
    /// Counted over both lanes: the decisive segments, then the bulk segments.
    segment: u32,
    /// Of its frame in the segment, bytes.
    offset: u32,
}

impl Slice {
    /// The records of one lane, in order of arrival, decoded as they are asked for.
    #[must_use]
    pub fn records(&self, lane: LaneName) -> Records<'_> {
        let (before, segments) = match lane {
            LaneName::Decisive => (0, &self.decisive),
            LaneName::Bulk => (self.decisive.len(), &self.bulk),
        };
        Records {
            slice: self,
            segments: (before..).zip(segments),
            current: None,
            malformed: 0,
        }
    }

    /// The record at a place of this slice.
    #[must_use]
    pub fn record(&self, place: Place) -> Option<Record> {
        decode(self.encoded(place)?)
    }

    /// Its postcard bytes, as the window keeps them.
    #[must_use]
    pub fn encoded(&self, place: Place) -> Option<&[u8]> {
        let mut segments = self.decisive.iter().chain(&self.bulk);
        let segment = segments.nth(place.segment as usize)?;
        let (id, bytes) = segment.frames_from(place.offset)?.next()?;
        (id == place.id).then_some(bytes)
    }

    /// Bytes of its segments that begin after the record `after`: what it keeps from being freed beyond a slice whose
    /// [newest segment](Self::newest) begins there, once the window has let go of both.
    #[must_use]
    pub fn bytes_after(&self, after: RecordId) -> usize {
        let segments = self.decisive.iter().chain(&self.bulk);
        let newer = segments.filter(|segment| segment.index().first_id > after);
        newer.map(|segment| segment.bytes().len()).sum()
    }

    /// Where its newest segment begins.
    #[must_use]
    pub fn newest(&self) -> RecordId {
        let segments = self.decisive.iter().chain(&self.bulk);
        let begin = segments.map(|segment| segment.index().first_id);
        begin.max().unwrap_or(RecordId(0))
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
    /// With their numbers.
    segments: Zip<RangeFrom<usize>, std::slice::Iter<'a, Sealed>>,
    current: Option<Reading<'a>>,
    malformed: u64,
}

/// A segment that is being read.
struct Reading<'a> {
    number: usize,
    segment: &'a Sealed,
    frames: Frames<'a>,
    /// Records that are still to come.
    left: u32,
}

impl Records<'_> {
    /// Records passed so far that do not decode. They are skipped; their times are not known, so they count
    /// whether they belong to the slice or not.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// The next record, and where it lies.
    pub fn next_placed(&mut self) -> Option<(Place, Record)> {
        self.next_unless(|_| false)
    }

    /// The next record about someone `wanted`, and where it lies. Of others nothing but their subjects is decoded, so it is not
    /// counted if the rest would not.
    pub fn next_about(&mut self, wanted: impl Fn(&Subject) -> bool) -> Option<(Place, Record)> {
        self.next_unless(|bytes| frame::subject(bytes).is_some_and(|subject| !wanted(&subject)))
    }

    /// Skips what `is_left_out`, by its bytes.
    fn next_unless(&mut self, is_left_out: impl Fn(&[u8]) -> bool) -> Option<(Place, Record)> {
        loop {
            let Some(reading) = &mut self.current else {
                let (number, segment) = self.segments.next()?;
                self.current = Some(Reading {
                    number,
                    segment,
                    frames: segment.frames(),
                    left: segment.index().count,
                });
                continue;
            };
            let offset = reading.segment.bytes().len() - reading.frames.left();
            let Some((id, bytes)) = reading.frames.next() else {
                // Nothing is left in a whole segment; after a broken header everything that was to come is.
                self.malformed += u64::from(reading.left);
                self.current = None;
                continue;
            };
            reading.left = reading.left.saturating_sub(1);
            if is_left_out(bytes) {
                continue;
            }
            match decode(bytes) {
                Some(record) if record.at < self.slice.start || record.at > self.slice.end => {}
                Some(record) => {
                    let place = Place {
                        at: record.at,
                        id,
                        // A slice has fewer segments, and these are smaller (`SEGMENT_MAX`).
                        segment: reading.number as u32,
                        offset: offset as u32,
                    };
                    return Some((place, record));
                }
                None => self.malformed += 1,
            }
        }
    }
}

impl Iterator for Records<'_> {
    type Item = (RecordId, Record);

    fn next(&mut self) -> Option<Self::Item> {
        let (place, record) = self.next_placed()?;
        Some((place.id, record))
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
    fn a_record_is_found_again_at_its_place() {
        let mut slice = three();
        slice.bulk = three().decisive;
        for lane in [LaneName::Decisive, LaneName::Bulk] {
            let mut records = slice.records(lane);
            let mut count = 0;
            while let Some((place, record)) = records.next_placed() {
                assert_eq!(slice.record(place), Some(record));
                let elsewhere = Place {
                    offset: place.offset + 1,
                    ..place
                };
                assert_ne!(slice.record(elsewhere), slice.record(place));
                count += 1;
            }
            assert_eq!(count, 3);
        }
    }

    #[test]
    fn of_those_who_are_not_wanted_only_the_subject_is_read() {
        let mut slice = three();
        let own = Record {
            at: BootTime(2),
            subject: Subject::Cgroup(CgroupId(7)),
            event: Event::CgroupRemoved {
                path: "/own".to_owned(),
            },
        };
        let mut window = Window::new(Config::default());
        window.append(&own, own.at);
        slice
            .decisive
            .extend(window.slice(BootTime(0), BootTime(9)).decisive);
        let wanted = |subject: &Subject| subject.cgroup() == Some(CgroupId(7));
        let mut records = slice.records(LaneName::Decisive);
        let (place, record) = records.next_about(wanted).unwrap();
        assert_eq!(record, own);
        assert_eq!(slice.record(place), Some(own));
        assert_eq!(records.next_about(wanted), None);
        // The last byte of the first frame, within its event.
        let frame = three().decisive[0].bytes().len() / 3;
        let slice = damaged(|bytes| bytes[frame - 1] = 0xff);
        let mut records = slice.records(LaneName::Decisive);
        assert_eq!(records.next_about(wanted), None);
        assert_eq!((records.malformed(), slice.malformed()), (0, 1));
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
