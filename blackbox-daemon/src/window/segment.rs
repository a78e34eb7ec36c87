//! Segments: the pieces of a lane. The open one is appended to; a sealed one never changes.
//!
//! Takes entries from the lane, writes their frames, and makes [`Sealed`] segments, whose bytes the window and
//! its slices share without copying. Its index is true to its frames; its size is the memory it really keeps.

use bytes::{Bytes, BytesMut};

use super::frame::{Entry, Frames};
use serde::{Deserialize, Serialize};

use crate::record::{BootTime, CgroupId, Class, RecordId};

/// A number for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByClass([u64; Class::ALL.len()]);

impl ByClass {
    /// The number for one class.
    #[must_use]
    pub fn of(&self, class: Class) -> u64 {
        self.0[class as usize]
    }

    /// The sum over all classes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds every number of `other` to this one's.
    pub fn add_all(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    fn add_one(&mut self, class: Class) {
        self.0[class as usize] += 1;
    }
}

/// What a segment holds, without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    /// Id of its first record; the ids in its frames count from here.
    pub first_id: RecordId,
    /// Records in it.
    pub count: u32,
    /// Earliest time of any record in it.
    pub min_at: BootTime,
    /// Latest time of any record in it.
    pub max_at: BootTime,
    /// Records in it, by class.
    pub by_class: ByClass,
}

impl SegmentIndex {
    fn starting(first_id: RecordId, at: BootTime) -> Self {
        Self {
            first_id,
            count: 0,
            min_at: at,
            max_at: at,
            by_class: ByClass::default(),
        }
    }

    /// Whether it may hold a record from `start` to `end`, both included.
    #[must_use]
    pub fn overlaps(&self, start: BootTime, end: BootTime) -> bool {
        self.min_at <= end && self.max_at >= start
    }
}

/// A segment that never changes. A clone shares its bytes.
#[derive(Clone, Debug)]
pub struct Sealed {
    bytes: Bytes,
    index: SegmentIndex,
}

impl Sealed {
    /// What it holds, without decoding it.
    #[must_use]
    pub fn index(&self) -> &SegmentIndex {
        &self.index
    }

    /// Its frames as they are kept, end to end.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its frames one by one: the record's id and its postcard bytes. Ends early when a header is broken,
    /// as nothing tells where the next frame starts then.
    pub(super) fn frames(&self) -> Frames<'_> {
        Frames::new(self.index.first_id, &self.bytes)
    }

    /// Its frames from the one at `offset` on.
    pub(super) fn frames_from(&self, offset: u32) -> Option<Frames<'_>> {
        let bytes = self.bytes.get(offset as usize..)?;
        Some(Frames::new(self.index.first_id, bytes))
    }
}

/// A sealed segment as its lane holds it, with what its eviction needs to know.
pub(super) struct Held {
    pub(super) sealed: Sealed,
    /// Its newest record time; one in the future counts as the newest time of the window back then.
    pub(super) newest: BootTime,
    /// Frame bytes by cgroup, one row each.
    pub(super) shares: Box<[(CgroupId, u32)]>,
    /// Memory it keeps allocated, bytes.
    pub(super) size: usize,
    /// Up to where it was taken for the journal.
    pub(super) taken: Taken,
}

/// How much of a segment was taken for the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) bytes: u32,
    pub(super) records: u32,
}

impl Held {
    /// Its records that were not taken for the journal.
    pub(super) fn untaken(&self) -> u64 {
        u64::from(self.sealed.index().count - self.taken.records)
    }

    /// The cgroup whose failing calls are all there is in it.
    pub(super) fn sole_owner(&self) -> Option<CgroupId> {
        let index = self.sealed.index();
        let calls = index.by_class.of(Class::FailedCall) == u64::from(index.count);
        match &*self.shares {
            [(owner, _)] if calls => Some(*owner),
            _ => None,
        }
    }
}

/// The segment that is appended to. Its buffer is allocated by the first record.
pub(super) struct Open {
    buffer: BytesMut,
    capacity: usize,
    /// `None` while it is empty.
    started: Option<Started>,
    /// Frame bytes by cgroup as they arrive: a row is added when the cgroup changes, merged when sealing.
    runs: Vec<(CgroupId, u32)>,
    pub(super) taken: Taken,
}

struct Started {
    index: SegmentIndex,
    opened: BootTime,
    newest: BootTime,
}

impl Open {
    /// An empty segment of `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            capacity,
            started: None,
            runs: Vec::new(),
            taken: Taken::default(),
        }
    }

    /// Its frames so far, end to end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether `entry` still fits.
    pub(super) fn has_room(&self, entry: &Entry<'_>) -> bool {
        let first_id = self.index().map_or(entry.id, |index| index.first_id);
        self.buffer.len() + entry.frame_max() <= self.capacity && entry.counts_from(first_id)
    }

    /// The window's newest time when its first record arrived. `None` while it is empty.
    pub(super) fn opened(&self) -> Option<BootTime> {
        self.started.as_ref().map(|started| started.opened)
    }

    /// What it holds. `None` while it is empty.
    pub(super) fn index(&self) -> Option<&SegmentIndex> {
        self.started.as_ref().map(|started| &started.index)
    }

    /// Memory it keeps allocated, bytes.
    pub(super) fn size(&self) -> usize {
        self.buffer.capacity()
    }

    /// Most bytes [`Held::size`] can come to when it is sealed after one more record that has room.
    pub(super) fn sealed_size_max(&self) -> usize {
        held_size(self.capacity, self.runs.len() + 1)
    }

    /// Appends a frame, for which there [is room](Self::has_room). `mark` is the window's newest time, this
    /// record included.
    pub(super) fn push(&mut self, entry: &Entry<'_>, mark: BootTime) {
        if self.buffer.capacity() == 0 {
            self.buffer = BytesMut::with_capacity(self.capacity);
        }
        let started = self.started.get_or_insert_with(|| Started {
            index: SegmentIndex::starting(entry.id, entry.at),
            opened: mark,
            newest: BootTime(0),
        });
        started.newest = started.newest.max(entry.at.min(mark));
        let index = &mut started.index;
        index.count += 1;
        index.min_at = index.min_at.min(entry.at);
        index.max_at = index.max_at.max(entry.at);
        index.by_class.add_one(entry.class);

        let before = self.buffer.len();
        entry.write(&mut self.buffer, index.first_id);
        if let Some(cgroup) = entry.cgroup {
            let len = (self.buffer.len() - before) as u32;
            match self.runs.last_mut() {
                Some((last, bytes)) if *last == cgroup => *bytes += len,
                _ => self.runs.push((cgroup, len)),
            }
        }
    }

    /// Freezes what it holds and starts anew. `None`: it was empty.
    pub(super) fn seal(&mut self) -> Option<Held> {
        let Started { index, newest, .. } = self.started.take()?;
        // A full buffer is frozen as it is. One that is sealed early (by age, or for a slice) would pin its
        // unused rest for a minute, so its few bytes are copied and the buffer stays here.
        let capacity = self.buffer.capacity();
        let (bytes, allocated) = if self.buffer.len() >= capacity - capacity / 16 {
            (std::mem::take(&mut self.buffer).freeze(), capacity)
        } else {
            let bytes = Bytes::copy_from_slice(&self.buffer);
            self.buffer.clear();
            let len = bytes.len();
            (bytes, len)
        };
        let shares = merge(&mut self.runs);
        let size = held_size(allocated, shares.len());
        let sealed = Sealed { bytes, index };
        Some(Held {
            sealed,
            newest,
            shares,
            size,
            taken: std::mem::take(&mut self.taken),
        })
    }
}

fn held_size(bytes: usize, shares: usize) -> usize {
    bytes + size_of::<Held>() + shares * size_of::<(CgroupId, u32)>()
}

/// One row for each cgroup of `runs`, which is left empty and keeps its memory.
fn merge(runs: &mut Vec<(CgroupId, u32)>) -> Box<[(CgroupId, u32)]> {
    runs.sort_unstable_by_key(|(cgroup, _)| *cgroup);
    runs.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    let merged = runs.as_slice().into();
    runs.clear();
    merged
}

#[cfg(test)]
impl Sealed {
    /// A segment whose bytes are as given, for tests of damage and of size.
    pub(crate) fn with_bytes(&self, bytes: Bytes) -> Self {
        Self {
            bytes,
            index: self.index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, at: u64, encoded: &[u8]) -> Entry<'_> {
        Entry {
            id: RecordId(id),
            at: BootTime(at),
            class: Class::Recorder,
            cgroup: None,
            encoded,
        }
    }

    #[test]
    fn frames_keep_ids_that_are_not_in_a_row() {
        let mut open = Open::new(1 << 20);
        let ids = [5, 6, 300, 70_000, 1 << 32];
        for id in ids {
            open.push(&entry(id, id, &id.to_le_bytes()), BootTime(id));
        }
        let sealed = open.seal().unwrap().sealed;
        let frames: Vec<_> = sealed.frames().collect();
        let expected: Vec<_> = ids.map(|id| (RecordId(id), id.to_le_bytes())).to_vec();
        assert_eq!(
            frames,
            expected
                .iter()
                .map(|(id, b)| (*id, &b[..]))
                .collect::<Vec<_>>()
        );
        assert_eq!(sealed.index().count, 5);
        assert_eq!(sealed.index().first_id, RecordId(5));
        assert_eq!(sealed.index().max_at, BootTime(1 << 32));
        assert_eq!(sealed.index().by_class.of(Class::Recorder), 5);
    }

    #[test]
    fn a_segment_sealed_early_does_not_pin_its_buffer() {
        let mut open = Open::new(65_536);
        open.push(&entry(1, 1, &[0; 100]), BootTime(1));
        let held = open.seal().unwrap();
        assert!(held.size < 500, "{}", held.size);
        assert!(open.seal().is_none());
    }

    #[test]
    fn shares_are_merged_by_cgroup() {
        let mut open = Open::new(65_536);
        for (id, cgroup) in [(1, 8), (2, 9), (3, 8), (4, 8)] {
            let cgroup = Some(CgroupId(cgroup));
            let entry = Entry {
                cgroup,
                ..entry(id, 1, &[0; 10])
            };
            open.push(&entry, BootTime(1));
        }
        let held = open.seal().unwrap();
        assert_eq!(*held.shares, [(CgroupId(8), 45), (CgroupId(9), 15)]);
    }
}
