//! Lives of a daemon on one disk: each writes, syncs now and then, and ends by a kill or a power cut; the next one reads
//! what is left, which is compared with what was written, and goes on.

use std::collections::{BTreeMap, BTreeSet};

use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::journal::layout::{FORMAT, Head, Key, PAGE, Section, head, next_life};
use blackbox_daemon::journal::ring::{Ring, Start, When};
use blackbox_daemon::journal::scan::{Scan, scan};
use blackbox_daemon::record::BootTime;

use crate::dice::Dice;
use crate::disk::Disk;

/// Pages of the ring: few, so that it goes round often.
const PAGES: u64 = 24;
/// Most lives on one disk.
const LIVES: u64 = 3;
/// Most blocks of one life.
const BLOCKS: u64 = 60;

/// What was met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Played {
    /// Blocks that were read after a crash.
    pub(crate) found: u64,
    /// Of these, blocks that had been synced: each one was demanded.
    pub(crate) synced: u64,
    pub(crate) unsynced: u64,
    /// Blocks that had not been synced, and were lost.
    pub(crate) lost: u64,
    /// Lives in which the ring went round.
    pub(crate) wrapped: u64,
    /// Writes and syncs that the disk refused.
    pub(crate) failed: u64,
}

impl Played {
    pub(crate) fn add(&mut self, other: &Self) {
        self.found += other.found;
        self.synced += other.synced;
        self.unsynced += other.unsynced;
        self.lost += other.lost;
        self.wrapped += other.wrapped;
        self.failed += other.failed;
    }
}

/// A block that was handed to the ring.
struct Written {
    place: std::ops::Range<u64>,
    synced: bool,
}

/// What became of everything so far.
#[derive(Default)]
struct History {
    /// What should be there.
    written: BTreeMap<u64, Written>,
    /// Everything that was ever handed to the disk, by sequence.
    ever: BTreeMap<u64, String>,
}

/// Plays one seed.
pub(crate) fn play(seed: u64) -> Played {
    let mut dice = Dice::new(seed);
    let size = PAGES * PAGE;
    let key = Key(dice.next());
    let first = head(&Head {
        format: FORMAT,
        size,
        key,
    });
    let disk = Disk::new(&first, size as usize, Dice::new(dice.next()));
    let mut played = Played::default();
    let mut history = History::default();
    let mut start = Start {
        key,
        size,
        at: PAGE,
        sequence: next_life(0, 1),
        chain: 0,
        life: 0,
        boot: [1; 16],
    };
    for life in 1..=1 + dice.below(LIVES) {
        start.life = life;
        disk.0.borrow_mut().fails = dice.once_in(2);
        played.wrapped += live(&disk, start, &mut dice, &mut history);
        let cut = dice.once_in(2);
        let image = if cut { disk.cut() } else { disk.kill() };
        disk.again(image.clone());
        let read = scan(&image).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        compare(seed, (&image, &read), &history, &mut played);
        let last = read.blocks.last();
        start = Start {
            at: read.end() as u64,
            sequence: next_life(
                last.map_or(0, |found| found.stamp.sequence),
                life as u32 + 1,
            ),
            chain: last.map_or(0, |found| found.crc),
            ..start
        };
        // What came back is there for good, and nothing else.
        let found: BTreeSet<u64> = read
            .blocks
            .iter()
            .map(|found| found.stamp.sequence)
            .collect();
        let written = &mut history.written;
        written.retain(|sequence, _| found.contains(sequence));
        written.values_mut().for_each(|block| block.synced = true);
    }
    played.failed += disk.0.borrow().refused;
    played
}

/// Writes until it has had enough, or the disk refuses. How often the ring went round.
fn live(disk: &Disk, start: Start, dice: &mut Dice, history: &mut History) -> u64 {
    let History { written, ever } = history;
    let (mut wrapped, mut sequence) = (0, start.sequence);
    let mut ring = Ring::new(disk.clone(), start);
    let mut last_at = 0;
    for number in 0..dice.below(BLOCKS) {
        let longest = if dice.once_in(10) { 9000 } else { 700 };
        let told: String = (0..dice.below(longest))
            .map(|_| char::from(b'a' + dice.below(26) as u8))
            .collect();
        let when = When {
            at: BootTime(number),
            wall: WallOffset::from_nanos(7),
            skipped: 0,
            ended: false,
        };
        // A write that is refused may be there all the same.
        sequence += 1;
        ever.insert(sequence, told.clone());
        let appended = ring.append(when, &[Section::Told(vec![told.clone()])]);
        let Some((at, len)) = disk.0.borrow().writes.last().copied() else {
            continue;
        };
        if at < last_at {
            wrapped += 1;
        }
        last_at = at;
        let place = at..at + len as u64;
        // Also a write that was refused may have destroyed what was there.
        overwrite(&place, written);
        if appended.is_err() {
            return wrapped;
        }
        let block = Written {
            place,
            synced: false,
        };
        written.insert(sequence, block);
        if dice.once_in(8) {
            if ring.sync().is_err() {
                return wrapped;
            }
            written.values_mut().for_each(|block| block.synced = true);
        }
    }
    wrapped
}

/// Forgets what a write destroyed: blocks it touches, and of older ones those behind them that do not begin a page, for a
/// reader comes to them from the one before only.
fn overwrite(place: &std::ops::Range<u64>, written: &mut BTreeMap<u64, Written>) {
    let starts = written.values().map(|block| block.place.start);
    let next = starts
        .filter(|at| *at >= place.end && at.is_multiple_of(PAGE))
        .min()
        .unwrap_or(u64::MAX);
    written.retain(|_, old| old.place.end <= place.start || old.place.start >= next);
}

fn compare(
    seed: u64,
    (image, read): (&[u8], &Scan),
    History { written, ever }: &History,
    played: &mut Played,
) {
    let mut found = BTreeSet::new();
    for block in &read.blocks {
        let sequence = block.stamp.sequence;
        assert!(
            found.insert(sequence),
            "seed {seed}: block {sequence:#x} twice"
        );
        let sections: Vec<_> = block.sections(image, &read.head).collect();
        let Some(told) = ever.get(&sequence) else {
            panic!("seed {seed}: block {sequence:#x} was never written");
        };
        let expected = [Section::Told(vec![told.clone()])];
        assert_eq!(
            sections, expected,
            "seed {seed}: block {sequence:#x} is another one"
        );
    }
    played.found += found.len() as u64;
    for (sequence, block) in written {
        match (found.contains(sequence), block.synced) {
            (true, true) => played.synced += 1,
            (true, false) => played.unsynced += 1,
            (false, false) => played.lost += 1,
            (false, true) => panic!("seed {seed}: synced block {sequence:#x} is lost"),
        }
    }
}
