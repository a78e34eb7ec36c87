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

mod frame;
mod lane;
mod segment;
mod share;
mod slice;

use std::time::Duration;

use crate::record::{BootTime, Class, LaneName, Record, RecordId};
use frame::{Entry, encode};
pub use lane::LaneStats;
use lane::{Lane, Limits};
pub use segment::{ByClass, Sealed, SegmentIndex};
pub use slice::{Records, Slice};

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
    bulk: Lane,
    /// Newest record time seen. It never goes back.
    mark: BootTime,
    last_id: u64,
    /// Where a record is encoded before its length is known. Kept, so that an append allocates nothing.
    scratch: Vec<u8>,
}

/// Largest segment, bytes, so that the lengths in it fit in 32 bits.
const SEGMENT_MAX: usize = 1 << 30;

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
        Self {
            retention: config.retention,
            decisive: Lane::new(limits(config.decisive_bytes), None),
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
            LaneName::Decisive => &mut self.decisive,
            LaneName::Bulk => &mut self.bulk,
        };
        // Samples and counts are few and tell the most: they always come in.
        let sheds = class == Class::FailedCall && lane.sheds(cgroup);
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

    /// The records from `start` to `end`, both included. Seals the open segments, then clones sealed `Bytes`:
    /// the cost grows with the segments, not with the records.
    pub fn slice(&mut self, start: BootTime, end: BootTime) -> Slice {
        let mut evicted = *self.decisive.evicted();
        evicted.add_all(self.bulk.evicted());
        Slice {
            start,
            end,
            decisive_start: self.decisive.start(),
            bulk_start: self.bulk.start(),
            decisive_gone_to: self.decisive.gone_to(),
            own_gone_to: self.bulk.own_gone_to(),
            decisive: self.decisive.slice(start, end),
            bulk: self.bulk.slice(start, end),
            evicted,
        }
    }

    /// What it holds. Walks the segments' indexes.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            decisive: self.decisive.stats(),
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
        self.bulk.advance(at, cutoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{
        CallCounts, CgroupId, Comm, Event, FailedCall, NodeMemory, Process, ProcessKey, Subject,
    };

    const SECOND: u64 = 1_000_000_000;

    fn death(seconds: u64) -> Record {
        let path = "/kubepods/pod1/c1".to_owned();
        Record {
            at: BootTime(seconds * SECOND),
            subject: Subject::Cgroup(CgroupId(1)),
            event: Event::CgroupRemoved { path },
        }
    }

    fn bulk(seconds: u64, cgroup: u64) -> Record {
        Record {
            at: BootTime(seconds * SECOND),
            subject: Subject::Cgroup(CgroupId(cgroup)),
            event: Event::CallCounts(CallCounts {
                by_errno: vec![(2, 1); 20],
                ..CallCounts::default()
            }),
        }
    }

    fn small() -> Config {
        Config {
            bulk_bytes: 64 << 10,
            decisive_bytes: 64 << 10,
            segment_bytes: 2 << 10,
            ..Config::default()
        }
    }

    fn append(window: &mut Window, record: &Record) -> Appended {
        window.append(record, record.at)
    }

    fn everything(window: &mut Window, lane: LaneName) -> Vec<Record> {
        let slice = window.slice(BootTime(0), BootTime(u64::MAX));
        slice.records(lane).map(|(_, record)| record).collect()
    }

    #[test]
    fn ids_count_over_both_lanes() {
        let mut window = Window::new(Config::default());
        assert_eq!(append(&mut window, &death(1)), Appended::Kept(RecordId(1)));
        assert_eq!(
            append(&mut window, &bulk(1, 7)),
            Appended::Kept(RecordId(2))
        );
        assert_eq!(append(&mut window, &death(1)), Appended::Kept(RecordId(3)));
    }

    #[test]
    fn an_empty_window_gives_an_empty_slice() {
        let mut window = Window::new(Config::default());
        let slice = window.slice(BootTime(0), BootTime(u64::MAX));
        assert_eq!(slice.decisive_start, None);
        assert_eq!(slice.bulk_start, None);
        assert!(slice.decisive.is_empty() && slice.bulk.is_empty());
        assert_eq!(window.stats(), Stats::default());
    }

    #[test]
    fn a_slice_takes_the_segments_it_needs_and_no_others() {
        let mut window = Window::new(Config::default());
        for second in 1..=9 {
            append(&mut window, &death(second));
        }
        let (second, sixth) = (BootTime(2 * SECOND), BootTime(6 * SECOND));
        assert_eq!(window.slice(second, sixth).decisive.len(), 5);
        let instant = window.slice(sixth, sixth);
        assert_eq!(instant.records(LaneName::Decisive).count(), 1);
    }

    #[test]
    fn the_lane_that_rests_ages_with_the_other() {
        let mut window = Window::new(Config::default());
        append(&mut window, &death(1));
        append(&mut window, &bulk(63, 7));
        assert_eq!(window.stats().decisive.records, 1);
        append(&mut window, &bulk(64, 7));
        let stats = window.stats();
        assert_eq!(stats.decisive.records, 0);
        assert_eq!(stats.decisive.evicted.total(), 0, "age is no loss");
        assert_eq!(stats.decisive.sealed, 1);
    }

    #[test]
    fn a_record_from_the_future_empties_nothing_and_ages_like_any_other() {
        let mut window = Window::new(Config::default());
        for second in 1..=10 {
            append(&mut window, &death(second));
        }
        let now = BootTime(11 * SECOND);
        window.append(&death(1_000_000), now);
        assert_eq!(window.stats().decisive.records, 11);
        // It counts as made at 11 s, so it goes after 73 s and does not hold up those behind it.
        for second in 12..=80 {
            append(&mut window, &death(second));
        }
        let held = everything(&mut window, LaneName::Decisive);
        assert_eq!(
            held.first().map(|record| record.at),
            Some(BootTime(18 * SECOND))
        );
        assert_eq!(held.len(), 63);
    }

    #[test]
    fn a_stray_old_record_does_not_make_the_lane_look_whole() {
        let mut window = Window::new(Config::default());
        for second in 1..=100 {
            append(&mut window, &death(second));
        }
        window.append(&death(2), BootTime(100 * SECOND));
        let slice = window.slice(BootTime(0), BootTime(u64::MAX));
        assert_eq!(slice.decisive_start, Some(BootTime(37 * SECOND)));
    }

    #[test]
    fn a_record_larger_than_a_segment_gets_its_own_and_one_larger_than_the_lane_is_shed() {
        let mut window = Window::new(small());
        let mut large = death(1);
        append(&mut window, &large);
        large.event = Event::CgroupRemoved {
            path: "x".repeat(10_000),
        };
        assert_eq!(append(&mut window, &large), Appended::Kept(RecordId(2)));
        append(&mut window, &death(1));
        let held = everything(&mut window, LaneName::Decisive);
        assert_eq!(held, [death(1), large.clone(), death(1)]);
        large.event = Event::CgroupRemoved {
            path: "x".repeat(70_000),
        };
        assert_eq!(append(&mut window, &large), Appended::Shed);
        assert_eq!(append(&mut window, &death(1)), Appended::Kept(RecordId(4)));
        assert_eq!(window.stats().decisive.evicted.total(), 0);
    }

    /// The `n`th failing call of a process of this cgroup.
    fn call(n: u64, cgroup: u64) -> Record {
        let key = ProcessKey {
            tgid: 1,
            start: BootTime(0),
        };
        let process = Process {
            key,
            tid: 1,
            comm: Comm::from_text("x"),
            cgroup: CgroupId(cgroup),
        };
        let call = FailedCall {
            nr: 1,
            errno: 2,
            args: [n, 0, 0],
            compat: false,
        };
        Record {
            at: BootTime(SECOND + n),
            subject: Subject::Process(process),
            event: Event::FailedCall(call),
        }
    }

    #[test]
    fn a_flooder_keeps_its_newest_calls_and_all_its_counts() {
        let mut window = Window::new(small());
        append(&mut window, &bulk(1, 7));
        for n in 0..5_000 {
            assert_ne!(append(&mut window, &call(n, 7)), Appended::Shed);
        }
        let stats = window.stats().bulk;
        assert!(stats.bytes <= 64 << 10);
        assert!(stats.bytes > (64 << 10) * 7 / 10, "most of it is used");
        assert_eq!(stats.records + stats.evicted.total(), 5_001);
        assert_eq!(stats.evicted.of(Class::CallCounts), 0);
        let slice = window.slice(BootTime(0), BootTime(u64::MAX));
        let held: Vec<Record> = slice
            .records(LaneName::Bulk)
            .map(|(_, record)| record)
            .collect();
        assert_eq!(held.first(), Some(&bulk(1, 7)));
        assert_eq!(held.last(), Some(&call(4_999, 7)));
        let lost_to = slice.own_gone_to[&CgroupId(7)];
        assert!(
            lost_to > call(1_000, 7).at && lost_to < call(4_999, 7).at,
            "{lost_to:?}"
        );
        assert_eq!(
            slice.bulk_start,
            Some(BootTime(SECOND)),
            "nobody else lost anything"
        );
    }

    #[test]
    fn a_flooder_without_a_segment_for_itself_is_shed_and_others_come_in() {
        let mut window = Window::new(small());
        let mut shed = 0;
        for n in 0..2_000 {
            shed += u64::from(append(&mut window, &call(n, 7)) == Appended::Shed);
            if n % 4 == 0 {
                assert_ne!(append(&mut window, &call(n, 100 + n)), Appended::Shed);
            }
        }
        assert!(shed > 0, "its records lie among others'");
        let memory = NodeMemory {
            total: 1,
            free: 1,
            available: None,
            buffers: 0,
            cached: 0,
            swap_total: 0,
            swap_free: 0,
        };
        let record = Record {
            at: BootTime(SECOND),
            subject: Subject::Node,
            event: Event::NodeMemory(memory),
        };
        assert_ne!(append(&mut window, &record), Appended::Shed);
        assert_ne!(
            append(&mut window, &bulk(1, 7)),
            Appended::Shed,
            "counts always come in"
        );
    }

    #[test]
    fn any_config_holds() {
        for bytes in [0, 1, 100, 1_000, 5_000] {
            let mut window = Window::new(Config {
                retention: Duration::ZERO,
                decisive_bytes: bytes,
                bulk_bytes: bytes,
                segment_bytes: bytes * 2,
                segment_age: Duration::ZERO,
                bulk_share_percent: 255,
            });
            for second in 0..200 {
                append(&mut window, &death(second / 2));
                append(&mut window, &bulk(second / 2, second % 3));
                let stats = window.stats();
                assert!(stats.decisive.bytes <= bytes && stats.bulk.bytes <= bytes);
            }
            window.slice(BootTime(0), BootTime(u64::MAX));
        }
    }
}
