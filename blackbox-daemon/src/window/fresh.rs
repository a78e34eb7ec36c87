//! What of the window is not in its journal yet: taken piece by piece, each frame once.
//!
//! Each segment knows up to where it was taken, so the window itself is the queue to the journal: what a slow disk cannot
//! take yet stays here, and is counted as skipped only when it is evicted first. Of bulk no more is taken at once than is
//! allowed; the newest records then, for they tell most about an end, and the older ones count as skipped.

use bytes::Bytes;

use super::frame::Frames;
use super::lane::Lane;
use super::segment::Taken;
use crate::record::{LaneName, RecordId};

/// Frames of one segment, as the segment holds them.
#[derive(Clone, Debug)]
pub struct Piece {
    pub lane: LaneName,
    /// What the ids in the frames count from.
    pub first_id: RecordId,
    /// Records in it.
    pub count: u32,
    pub bytes: Bytes,
}

/// What is new since the last time.
#[derive(Debug, Default)]
pub struct Fresh {
    pub pieces: Vec<Piece>,
    /// Records that are not among the pieces and never will be.
    pub skipped: u64,
}

impl Lane {
    /// Takes what is new, at most `most` bytes of it.
    pub(super) fn take_fresh(&mut self, lane: LaneName, most: usize, fresh: &mut Fresh) {
        fresh.skipped += std::mem::take(&mut self.untaken);
        let Self { sealed, open, .. } = self;
        let left = |len: usize, taken: &Taken| len - taken.bytes as usize;
        let new: usize = sealed
            .iter()
            .map(|held| left(held.sealed.bytes().len(), &held.taken))
            .sum::<usize>()
            + left(open.bytes().len(), &open.taken);
        let mut excess = new.saturating_sub(most);
        let mut take = |first_id, all: &[u8], count: u32, taken: &mut Taken| {
            let skipped = skip(first_id, &all[taken.bytes as usize..], excess);
            excess = excess.saturating_sub(skipped.bytes as usize);
            fresh.skipped += u64::from(skipped.records);
            let from = (taken.bytes + skipped.bytes) as usize;
            let records = count - taken.records - skipped.records;
            *taken = Taken {
                bytes: all.len() as u32,
                records: count,
            };
            (records > 0).then_some((from, records))
        };
        for held in sealed.iter_mut() {
            let (index, bytes) = (*held.sealed.index(), held.sealed.bytes().clone());
            if held.taken.bytes as usize == bytes.len() {
                continue;
            }
            if let Some((from, count)) = take(index.first_id, &bytes, index.count, &mut held.taken)
            {
                fresh.pieces.push(Piece {
                    lane,
                    first_id: index.first_id,
                    count,
                    bytes: bytes.slice(from..),
                });
            }
        }
        let Some(index) = open.index().copied() else {
            return;
        };
        let mut taken = open.taken;
        if let Some((from, count)) = take(index.first_id, open.bytes(), index.count, &mut taken) {
            fresh.pieces.push(Piece {
                lane,
                first_id: index.first_id,
                count,
                // The open buffer goes on being written: what is new of it is copied.
                bytes: Bytes::copy_from_slice(&open.bytes()[from..]),
            });
        }
        open.taken = taken;
    }

    /// Everything it holds was taken; or nothing was.
    pub(super) fn set_taken(&mut self, all: bool) {
        // Segments are smaller than 4 GiB (`SEGMENT_MAX`).
        for held in &mut self.sealed {
            let sealed = &held.sealed;
            held.taken = Taken {
                bytes: sealed.bytes().len() as u32,
                records: sealed.index().count,
            }
            .or_none(all);
        }
        self.open.taken = Taken {
            bytes: self.open.bytes().len() as u32,
            records: self.open.index().map_or(0, |index| index.count),
        }
        .or_none(all);
        self.untaken = 0;
    }
}

impl Taken {
    fn or_none(self, all: bool) -> Self {
        if all { self } else { Self::default() }
    }
}

/// How many whole frames at the beginning make up at least `excess` bytes.
fn skip(first_id: RecordId, bytes: &[u8], excess: usize) -> Taken {
    let mut skipped = Taken::default();
    let mut frames = Frames::new(first_id, bytes);
    while (skipped.bytes as usize) < excess && frames.next().is_some() {
        skipped.bytes = (bytes.len() - frames.left()) as u32;
        skipped.records += 1;
    }
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BootTime, Event, FailedCall, Record, Subject};
    use crate::window::{Config, Window};

    fn window() -> Window {
        Window::new(Config::default())
    }

    fn add(window: &mut Window, at: u64) {
        let event = Event::CgroupRemoved {
            path: format!("/{at}"),
        };
        let (at, subject) = (BootTime(at), Subject::Node);
        window.append(&Record { at, subject, event }, at);
    }

    fn add_bulk(window: &mut Window, at: u64) {
        let event = Event::FailedCall(FailedCall {
            nr: 1,
            errno: 2,
            args: [0; 3],
            argument: None,
            compat: false,
        });
        let (at, subject) = (BootTime(at), Subject::Node);
        window.append(&Record { at, subject, event }, at);
    }

    fn ids(fresh: &Fresh) -> Vec<u64> {
        let frames = |piece: &Piece| {
            let frames: Vec<_> = Frames::new(piece.first_id, &piece.bytes).collect();
            assert_eq!(frames.len(), piece.count as usize);
            frames.into_iter().map(|(id, _)| id.0).collect::<Vec<_>>()
        };
        fresh.pieces.iter().flat_map(frames).collect()
    }

    #[test]
    fn each_frame_is_taken_once() {
        let mut window = window();
        add(&mut window, 1);
        add(&mut window, 2);
        assert_eq!(ids(&window.take_fresh(usize::MAX)), [1, 2]);
        assert_eq!(ids(&window.take_fresh(usize::MAX)), [0; 0]);
        add(&mut window, 3);
        // Sealed in between.
        window.slice(BootTime(0), BootTime(9));
        add(&mut window, 4);
        assert_eq!(ids(&window.take_fresh(usize::MAX)), [3, 4]);
        window.set_taken(false);
        assert_eq!(ids(&window.take_fresh(usize::MAX)), [1, 2, 3, 4]);
    }

    #[test]
    fn of_too_much_bulk_the_newest_is_taken_and_the_rest_counted() {
        let mut window = window();
        for at in 1..=10 {
            add_bulk(&mut window, at);
        }
        let fresh = window.take_fresh(usize::MAX);
        let all: usize = fresh.pieces.iter().map(|piece| piece.bytes.len()).sum();
        window.set_taken(false);
        let fresh = window.take_fresh(all / 2);
        assert_eq!(ids(&fresh), [6, 7, 8, 9, 10]);
        assert_eq!(fresh.skipped, 5);
        assert_eq!(window.take_fresh(0).skipped, 0);
    }

    #[test]
    fn what_was_evicted_untaken_is_counted() {
        let mut window = window();
        add(&mut window, 1);
        window.slice(BootTime(0), BootTime(9));
        add(&mut window, 1 << 40);
        let fresh = window.take_fresh(usize::MAX);
        assert_eq!((ids(&fresh), fresh.skipped), (vec![2], 1));
    }
}
