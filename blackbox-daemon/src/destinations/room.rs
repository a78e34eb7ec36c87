//! Room: how much memory the reports that wait for one destination may keep from being freed.
//!
//! A document has no bytes of its own, but its report shares the segments of the window as it was, which the window lets
//! go of after a minute. A server that hangs would keep one window after the other. So each report takes room for what it
//! keeps, and gives it back when the last of its documents is written.
//!
//! Reports of one time share most segments. Each takes room only for those that are newer than the segments of the report
//! before it, and for what it is itself, so what is kept is never more than [`ROOM`] and, of the oldest that waits, one window.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::record::RecordId;
use crate::window::Slice;

/// Bytes for the reports that wait for one destination. More than a window with its lanes full (18 MiB), unless these are
/// configured larger: one report fits whatever its size, when none waits.
pub const ROOM: usize = 32 << 20;
/// What room is counted in, bytes.
const UNIT: usize = 1 << 10;
const UNITS: u32 = (ROOM / UNIT) as u32;

/// The room of one destination.
#[derive(Debug)]
pub(super) struct Room {
    units: Arc<Semaphore>,
    /// Where the newest segment begins that a report took room for.
    newest: AtomicU64,
}

/// Room that was taken; given back when the last clone is dropped.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    _units: Arc<OwnedSemaphorePermit>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            units: Arc::new(Semaphore::new(UNITS as usize)),
            newest: AtomicU64::new(0),
        }
    }

    /// Takes room for a report of `size` bytes that was made from this slice. `None`: there is not enough.
    pub(super) fn take(&self, slice: &Slice, size: usize) -> Option<Taken> {
        let newest = RecordId(self.newest.load(Ordering::Relaxed));
        let kept = slice.bytes_after(newest).saturating_add(size);
        let wanted = u32::try_from(kept.div_ceil(UNIT)).map_or(UNITS, |units| units.min(UNITS));
        let units = Arc::clone(&self.units)
            .try_acquire_many_owned(wanted)
            .ok()?;
        self.newest.fetch_max(slice.newest().0, Ordering::Relaxed);
        Some(Taken {
            _units: Arc::new(units),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use bytes::Bytes;

    use super::Room;
    use crate::record::{BootTime, Event, Record, RecordId, Subject};
    use crate::window::{self, Config, Slice, Window};

    /// Segments of 4 MiB that begin with these ids.
    fn slice(ids: RangeInclusive<u64>) -> Slice {
        let bytes = Bytes::from_static(&[0; 4 << 20]);
        let segments = ids.flat_map(|id| {
            let at = BootTime(1);
            let (subject, path) = (Subject::Node, "/".to_owned());
            let event = Event::CgroupRemoved { path };
            window::sealed(&[(RecordId(id), Record { at, subject, event })])
        });
        let bulk = segments.map(|segment| segment.with_bytes(bytes.clone()));
        let bulk = bulk.collect();
        let empty = Window::new(Config::default()).slice(BootTime(0), BootTime(0));
        Slice { bulk, ..empty }
    }

    #[test]
    fn what_reports_share_takes_room_once() {
        let room = Room::new();
        let first = room.take(&slice(1..=6), 0).unwrap();
        let second = room.take(&slice(2..=7), 0).unwrap();
        assert!(room.take(&slice(8..=9), 0).is_none(), "it has 4 MiB left");
        let third = room.take(&slice(7..=8), 0).unwrap();
        drop(second);
        assert!(room.take(&slice(9..=10), 0).is_none(), "it has 4 MiB left");
        drop(first.clone());
        assert!(room.take(&slice(9..=11), 0).is_none(), "a clone is held");
        drop(first);
        assert!(room.take(&slice(9..=15), 0).is_some());
        drop(third);
    }

    #[test]
    fn a_report_takes_room_of_its_own() {
        let room = Room::new();
        let _first = room.take(&slice(1..=6), 5 << 20).unwrap();
        assert!(
            room.take(&slice(1..=6), 4 << 20).is_none(),
            "it has 3 MiB left"
        );
        assert!(room.take(&slice(1..=6), 3 << 20).is_some());
    }

    #[test]
    fn one_report_fits_whatever_its_size() {
        let room = Room::new();
        let huge = room.take(&slice(1..=20), 0).unwrap();
        assert!(room.take(&slice(1..=20), 0).is_some(), "nothing is new");
        assert!(room.take(&slice(20..=21), 0).is_none());
        drop(huge);
        assert!(room.take(&slice(20..=21), 0).is_some());
    }
}
