//! The window: the last minute of records, bounded in time and in bytes.
//!
//! Takes records from the recorder and gives slices to reports. Pure: no clock, no IO, no lock; one task owns it.
//!
//! ```text
//!             append                                              newest - retention, or the cap
//!                │                                                      │
//!  decisive:  [ open ] ──seal──► [ sealed ] ▸ [ sealed ] ▸ [ sealed ] ──┴─► evicted, oldest first
//!  bulk:      [ open ] ──seal──► [ sealed ] ▸ [ sealed ] ▸ [ sealed ] ──┬─► evicted, oldest first
//!                          │          │            │                    │
//!       full (64 KiB), 1 s old,       └── slice ───┘                  a cap of its own
//!       or a slice is taken          clones of `Bytes`
//! ```
//!
//! **Lanes.** A record's class decides its lane. Each lane has its own byte cap, so no flood of bulk records can
//! evict a decisive one. The cap bounds memory, not payload: sealed segments with their indexes and the open
//! buffer are within it at all times. Beside the caps there are only the scratch buffer, the open segments' rows
//! of cgroups and the share counts: some 100 KiB together.
//!
//! **Retention** follows the newest record of both lanes, not the time of day: an outage freezes the window. A
//! sealed segment goes when its newest record is older than that mark minus the retention. Segments go in order
//! of arrival, so a record that comes late stays until those before it have gone. No record can be from
//! the future: the mark never passes the `now` given to [`Window::append`], so an absurd time empties nothing.
//! (A limit on the mark's steps would not do: after a suspend of an hour the first record rightly moves it by one.)
//!
//! **Shares.** While the bulk lane is full, a cgroup that holds more than its share of the cap pays with its own
//! records: of the segments that hold nothing but its records the oldest goes first, so a flood keeps its newest
//! records and evicts nobody else's. Only when it has no segment for itself are its new failing calls shed. While the
//! lane is not full, any cgroup may fill it. Samples and counts are never shed.
//!
//! **Crowds.** Decisive records are never shed, and a fork storm makes as many as the processors can. A cgroup that holds an
//! eighth of the decisive lane goes on in a quarter of it that is for such cgroups alone (the crowd): of a storm its beginning
//! and its newest are kept, and what is evicted between is nobody else's.

mod frame;
mod fresh;
mod lane;
mod segment;
mod share;
mod slice;

use std::time::Duration;

use crate::record::{BootTime, CgroupId, Class, LaneName, Record, RecordId};
use frame::{Entry, Frames, decode, encode};
pub use fresh::{Fresh, Piece};
pub use lane::LaneStats;
use lane::{Lane, Limits};
use segment::Open;
pub use segment::{ByClass, Sealed, SegmentIndex};
pub use slice::{Place, Records, Slice};

/// How much the window holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How far back from the newest record. More than the 60 s of a report, so that one that is asked for a
    /// little later, or starts in the middle of a segment, still has its full minute.
    pub retention: Duration,
    /// Most memory of the decisive lane, bytes.
    pub decisive_bytes: usize,
    /// Most memory of the bulk lane, bytes.
    pub bulk_bytes: usize,
    /// Size of a segment, bytes. More than a quarter of a lane counts as a quarter of it, more than 1 GiB as that.
    pub segment_bytes: usize,
    /// The span of record time after which a segment is sealed although it is not full.
    pub segment_age: Duration,
    /// Share of the bulk lane above which a cgroup's records are shed while the lane is full, 0–100.
    pub bulk_share_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(62),
            decisive_bytes: 16 << 20,
            bulk_bytes: 32 << 20,
            segment_bytes: 64 << 10,
            segment_age: Duration::from_secs(1),
            bulk_share_percent: 50,
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the window, under this id.
    Kept(RecordId),
    /// It is not, and must be counted as lost ([`LossCause::Share`](crate::record::LossCause::Share)): its
    /// cgroup had used up its share of a full bulk lane, or it alone is larger than its lane has room for.
    Shed,
}

/// What the window holds, by lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub decisive: LaneStats,
    pub bulk: LaneStats,
}

/// See the module.
pub struct Window {
    retention: Duration,
    decisive: Lane,
    /// Decisive records of cgroups that have used up their share of the lane above.
    crowd: Lane,
    bulk: Lane,
    /// Newest record time seen. It never goes back.
    mark: BootTime,
    last_id: u64,
    /// Where a record is encoded before its length is known. Kept, so that an append allocates nothing.
    scratch: Vec<u8>,
}

/// Largest segment, bytes, so that the lengths in it fit in 32 bits.
const SEGMENT_MAX: usize = 1 << 30;

/// Of the decisive memory so much is the crowd's: one in this many bytes.
const CROWD: usize = 4;
/// And of the rest, one cgroup's share before it counts among the crowd.
const DECISIVE_SHARE: usize = 8;

/// Scratch memory that is kept between appends, bytes. Only a huge record needs more, once.
const SCRATCH_KEPT: usize = 64 << 10;

impl Window {
    /// An empty window.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let limits = |bytes: usize| Limits {
            bytes,
            segment_bytes: config.segment_bytes.min(bytes / 4).min(SEGMENT_MAX),
            segment_age: config.segment_age,
        };
        let percent = usize::from(config.bulk_share_percent.min(100));
        let share = config.bulk_bytes / 100 * percent;
        let crowd = config.decisive_bytes / CROWD;
        let decisive = config.decisive_bytes - crowd;
        Self {
            retention: config.retention,
            decisive: Lane::new(limits(decisive), Some(decisive / DECISIVE_SHARE)),
            crowd: Lane::of_a_crowd(limits(crowd)),
            bulk: Lane::new(limits(config.bulk_bytes), Some(share)),
            mark: BootTime(0),
            last_id: 0,
            scratch: Vec::new(),
        }
    }

    /// Takes a record in. Ids are 1, 2, 3, … over both lanes, in order of arrival; a record that is shed has
    /// none. `now` is any time that is not before the record was made: one reading for a batch will do.
    pub fn append(&mut self, record: &Record, now: BootTime) -> Appended {
        // Also for a record that is shed: were it not, a lone flooder would never see its old records age out.
        self.advance(record.at.min(now));
        let class = record.event.class();
        let cgroup = record.subject.cgroup();
        let lane = match class.lane() {
            LaneName::Decisive if comes_in_crowds(class) && self.is_crowd(cgroup) => {
                &mut self.crowd
            }
            LaneName::Decisive => &mut self.decisive,
            LaneName::Bulk => &mut self.bulk,
        };
        // Samples and counts are few and tell the most: they always come in.
        let many = matches!(class, Class::FailedCall | Class::Call);
        let sheds = many && lane.sheds(cgroup);
        if sheds || !encode(record, &mut self.scratch) {
            return Appended::Shed;
        }
        let id = RecordId(self.last_id + 1);
        let entry = Entry {
            id,
            at: record.at,
            class,
            cgroup,
            encoded: &self.scratch,
        };
        let kept = lane.append(entry, self.mark);
        if self.scratch.capacity() > SCRATCH_KEPT {
            self.scratch = Vec::new();
        }
        if !kept {
            return Appended::Shed;
        }
        self.last_id = id.0;
        Appended::Kept(id)
    }

    fn is_crowd(&mut self, cgroup: Option<CgroupId>) -> bool {
        cgroup.is_some_and(|cgroup| self.decisive.used_up(cgroup))
    }

    /// The records from `start` to `end`, both included. Seals the open segments, then clones sealed `Bytes`:
    /// the cost grows with the segments, not with the records.
    pub fn slice(&mut self, start: BootTime, end: BootTime) -> Slice {
        let mut evicted = *self.decisive.evicted();
        evicted.add_all(self.crowd.evicted());
        evicted.add_all(self.bulk.evicted());
        let mut decisive = self.decisive.slice(start, end);
        decisive.extend(self.crowd.slice(start, end));
        Slice {
            start,
            end,
            decisive_start: self.decisive.start(),
            bulk_start: self.bulk.start(),
            decisive_gone_to: self.decisive.gone_to(),
            own_gone_to: self.bulk.own_gone_to(),
            crowd_gone_to: self.crowd.own_gone_to(),
            decisive,
            bulk: self.bulk.slice(start, end),
            evicted,
        }
    }

    /// What is not in the journal yet: all that is decisive, and of bulk the newest `bulk_most` bytes.
    pub fn take_fresh(&mut self, bulk_most: usize) -> Fresh {
        let mut fresh = Fresh::default();
        let (decisive, bulk) = (LaneName::Decisive, LaneName::Bulk);
        self.decisive.take_fresh(decisive, usize::MAX, &mut fresh);
        self.crowd.take_fresh(decisive, usize::MAX, &mut fresh);
        self.bulk.take_fresh(bulk, bulk_most, &mut fresh);
        fresh
    }

    /// Everything it holds is in the journal; or nothing is, and all must be taken again.
    pub fn set_taken(&mut self, all: bool) {
        self.decisive.set_taken(all);
        self.crowd.set_taken(all);
        self.bulk.set_taken(all);
    }

    /// The next record has this id, if no later one was given: those between were given before and are not here.
    pub fn resume_at(&mut self, next: RecordId) {
        self.last_id = self.last_id.max(next.0.saturating_sub(1));
    }

    /// The id of the newest record; 0 before the first.
    #[must_use]
    pub fn last_id(&self) -> RecordId {
        RecordId(self.last_id)
    }

    /// What it holds. Walks the segments' indexes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            decisive: self.decisive.stats().and(self.crowd.stats()),
            bulk: self.bulk.stats(),
        }
    }

    fn advance(&mut self, at: BootTime) {
        if at <= self.mark {
            return;
        }
        self.mark = at;
        let cutoff = at.minus(self.retention);
        self.decisive.advance(at, cutoff);
        self.crowd.advance(at, cutoff);
        self.bulk.advance(at, cutoff);
    }
}

/// Whether a process can have as many of these as it likes.
fn comes_in_crowds(class: Class) -> bool {
    matches!(
        class,
        Class::Exec
            | Class::Exit
            | Class::Signal
            | Class::CrashStack
            | Class::Words
            | Class::LastCall
    )
}

/// The records in a piece, under their ids, and how many do not decode.
#[must_use]
pub fn read_piece(first_id: RecordId, count: u32, bytes: &[u8]) -> (Vec<(RecordId, Record)>, u64) {
    let frames = Frames::new(first_id, bytes);
    let records: Vec<_> = frames
        .filter_map(|(id, bytes)| Some((id, decode(bytes)?)))
        .collect();
    let broken = u64::from(count).saturating_sub(records.len() as u64);
    (records, broken)
}

/// Bytes of a segment that records are put back into.
const REBUILT: usize = 1 << 20;

/// Segments of records that were read from elsewhere, in their order and under the ids they had. A record that cannot be
/// encoded is left out.
#[must_use]
pub fn sealed(records: &[(RecordId, Record)]) -> Vec<Sealed> {
    let mut open = Open::new(REBUILT);
    let mut sealed = Vec::new();
    let mut scratch = Vec::new();
    for (id, record) in records {
        if !encode(record, &mut scratch) {
            continue;
        }
        let entry = Entry {
            id: *id,
            at: record.at,
            class: record.event.class(),
            cgroup: record.subject.cgroup(),
            encoded: &scratch,
        };
        if !open.has_room(&entry) {
            sealed.extend(open.seal().map(|held| held.sealed));
            if entry.frame_max() > REBUILT {
                open = Open::new(entry.frame_max());
            }
        }
        open.push(&entry, record.at);
    }
    sealed.extend(open.seal().map(|held| held.sealed));
    sealed
}

#[cfg(test)]
mod tests;
