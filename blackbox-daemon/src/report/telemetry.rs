//! The telemetry of a report: a slice of the window as v1 entries, by time.
//!
//! Holds the places of its records in the slice, 24 bytes for each, and makes the entries anew whenever they are read, one
//! after the other: however long it is, no more than one record is ever decoded. Of a report that was read from its JSON
//! there is no slice, so it holds the entries. Both are written the same.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::case::Case;
use super::{Entry, entries};
use crate::clock::WallOffset;
use crate::identity::Names;
use crate::record::{Record, RecordId};
use crate::window::{Place, Slice};

/// Entries by time. A clone shares what it is made from.
#[derive(Clone, Debug)]
pub struct Telemetry(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Slice(Arc<Selected>),
    Entries(Vec<Entry>),
}

/// Records of a slice, and what their entries need.
#[derive(Debug)]
struct Selected {
    slice: Slice,
    /// In order of time.
    places: Vec<Place>,
    names: Names,
    wall: WallOffset,
}

impl Telemetry {
    /// The records at `places` of the case's slice, in whatever order these come.
    pub(super) fn of(case: &Case, mut places: Vec<Place>) -> Self {
        places.sort_unstable();
        // It grew by doubling, and may wait for a destination.
        places.shrink_to_fit();
        Self(Kept::Slice(Arc::new(Selected {
            slice: case.slice.clone(),
            places,
            names: case.names.clone(),
            wall: case.wall,
        })))
    }

    /// The entries, made as they are asked for.
    pub fn entries(&self) -> impl Iterator<Item = Cow<'_, Entry>> {
        let (made, held) = match &self.0 {
            Kept::Slice(selected) => (Some(selected.entries()), [].as_slice()),
            Kept::Entries(entries) => (None, entries.as_slice()),
        };
        let made = made.into_iter().flatten().map(Cow::Owned);
        made.chain(held.iter().map(Cow::Borrowed))
    }

    /// Gives the entries that are no system calls, one after the other, and returns how many calls there are. Of a call
    /// no entry is made for that: nearly all of a long report are calls.
    pub fn beside_calls<'a>(&'a self, mut take: impl FnMut(Cow<'a, Entry>)) -> u64 {
        let mut calls = 0;
        match &self.0 {
            Kept::Slice(selected) => {
                for (id, record) in selected.records() {
                    match entries::is_call(&record.event) {
                        true => calls += 1,
                        false => selected
                            .entries_of(id, &record)
                            .into_iter()
                            .for_each(|entry| take(Cow::Owned(entry))),
                    }
                }
            }
            Kept::Entries(held) => {
                for entry in held {
                    match entries::is_of_call(entry) {
                        true => calls += 1,
                        false => take(Cow::Borrowed(entry)),
                    }
                }
            }
        }
        calls
    }

    /// Bytes that it keeps beside the slice.
    pub(super) fn size(&self) -> usize {
        match &self.0 {
            Kept::Slice(selected) => selected.places.capacity() * size_of::<Place>(),
            Kept::Entries(entries) => entries.capacity() * size_of::<Entry>(),
        }
    }

    /// The entries of a report that has no slice.
    #[cfg(test)]
    pub(crate) fn to_mut(&mut self) -> &mut Vec<Entry> {
        match &mut self.0 {
            Kept::Entries(entries) => entries,
            Kept::Slice(_) => panic!("a slice does not change"),
        }
    }
}

impl Selected {
    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.records()
            .flat_map(|(id, record)| self.entries_of(id, &record))
    }

    fn records(&self) -> impl Iterator<Item = (RecordId, Record)> {
        // Each was decoded when its place was noted, and a segment never changes.
        let places = self.places.iter();
        places.filter_map(|place| Some((place.id, self.slice.record(*place)?)))
    }

    fn entries_of(&self, id: RecordId, record: &Record) -> Vec<Entry> {
        entries::project(id, record, &self.names, self.wall)
    }
}

impl From<Vec<Entry>> for Telemetry {
    fn from(entries: Vec<Entry>) -> Self {
        Self(Kept::Entries(entries))
    }
}

impl Serialize for Telemetry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.entries())
    }
}

impl<'de> Deserialize<'de> for Telemetry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BootTime, Event, FailedCall, LaneName, Record, Subject};
    use crate::report::format::tests::sample_report;
    use crate::window::{Config, Window};

    /// Records of both lanes, of which every seventh comes late, and several are of one instant.
    fn slice() -> Slice {
        let mut window = Window::new(Config {
            segment_bytes: 300,
            ..Config::default()
        });
        for number in 0..500_u64 {
            let late = if number % 7 == 0 { 40 } else { 0 };
            let at = BootTime((1_000 + number / 3 - late) * 1_000_000);
            let event = match number % 3 {
                0 => Event::CgroupRemoved {
                    path: format!("/{number}"),
                },
                1 => Event::FailedCall(FailedCall {
                    nr: 257,
                    errno: 2,
                    args: [0; 3],
                    argument: None,
                    compat: false,
                }),
                _ => Event::NodeLoad(crate::record::NodeLoad {
                    one: 0.5,
                    five: 1.0,
                    fifteen: 2.0,
                    processes: Some(number),
                    open_files: None,
                }),
            };
            let subject = Subject::Node;
            window.append(&Record { at, subject, event }, BootTime(u64::MAX));
        }
        window.slice(BootTime(0), BootTime(u64::MAX))
    }

    #[test]
    fn entries_are_in_order_of_time_whatever_the_order_of_arrival() {
        let slice = slice();
        let (names, wall) = (Names::default(), WallOffset::from_nanos(0));
        let lanes = [LaneName::Decisive, LaneName::Bulk];
        let mut places = Vec::new();
        for lane in lanes {
            let mut records = slice.records(lane);
            while let Some((place, _)) = records.next_placed() {
                places.push(place);
            }
        }
        // The same by the simplest way: all in memory.
        let mut records: Vec<_> = lanes
            .map(|lane| slice.records(lane))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(records.len(), 500);
        records.sort_by_key(|(id, record)| (record.at, *id));
        let expected: Vec<Entry> = records
            .iter()
            .flat_map(|(id, record)| entries::project(*id, record, &names, wall))
            .collect();
        assert!(expected.len() > 900);
        places.sort_unstable();
        let telemetry = Telemetry(Kept::Slice(Arc::new(Selected {
            slice,
            places,
            names,
            wall,
        })));
        let json = |telemetry: &Telemetry| serde_json::to_string_pretty(telemetry).unwrap();
        let read: Telemetry = expected.into();
        assert_eq!(json(&telemetry), json(&read));
        let beside_calls = |telemetry: &Telemetry| {
            let mut ids = Vec::new();
            let calls = telemetry.beside_calls(|entry| ids.push(entry.id));
            (calls, ids)
        };
        assert_eq!(beside_calls(&telemetry), beside_calls(&read));
        assert_eq!(beside_calls(&telemetry).0, 167);
        assert_eq!(
            telemetry.entries().count(),
            telemetry.clone().entries().count()
        );
    }

    #[test]
    fn no_entries_are_an_empty_list() {
        let mut report = sample_report();
        let none = Slice {
            decisive: Vec::new(),
            bulk: Vec::new(),
            ..slice()
        };
        let (names, wall) = (Names::default(), WallOffset::from_nanos(0));
        let selected = Selected {
            slice: none,
            places: Vec::new(),
            names,
            wall,
        };
        report.telemetry = Telemetry(Kept::Slice(Arc::new(selected)));
        let streamed = serde_json::to_string_pretty(&report).unwrap();
        report.telemetry = Vec::new().into();
        assert_eq!(streamed, serde_json::to_string_pretty(&report).unwrap());
    }
}
