//! The newest records of many, in bounded memory. Pure.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::record::{BootTime, Record, RecordId};

/// The newest records of many, at most a number of them.
pub(in crate::api) struct Newest {
    most: usize,
    held: BinaryHeap<Reverse<Held>>,
    /// Records that were too many.
    pub(in crate::api) left_out: u64,
}

struct Held(RecordId, Record);

impl Held {
    fn key(&self) -> (BootTime, RecordId) {
        (self.1.at, self.0)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Newest {
    pub(in crate::api) fn new(most: usize) -> Self {
        Self {
            most,
            held: BinaryHeap::new(),
            left_out: 0,
        }
    }

    pub(in crate::api) fn push(&mut self, id: RecordId, record: Record) {
        self.held.push(Reverse(Held(id, record)));
        if self.held.len() > self.most {
            self.held.pop();
            self.left_out += 1;
        }
    }

    /// Newest first.
    pub(in crate::api) fn into_records(self) -> impl Iterator<Item = (RecordId, Record)> {
        let newest_first = self.held.into_sorted_vec().into_iter();
        newest_first.map(|Reverse(Held(id, record))| (id, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Event, Subject};

    #[test]
    fn the_newest_stay_whatever_their_order() {
        let mut newest = Newest::new(3);
        for (id, at) in [(1, 50), (2, 10), (3, 40), (4, 20), (5, 30)] {
            let path = String::new();
            let record = Record {
                at: BootTime(at),
                subject: Subject::Node,
                event: Event::CgroupRemoved { path },
            };
            newest.push(RecordId(id), record);
        }
        assert_eq!(newest.left_out, 2);
        let ids: Vec<u64> = newest.into_records().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [1, 3, 5]);
    }
}
