//! Which records of a slice are in a report: all that concern the incident, except its older failed calls beyond a bound.
//!
//! Reads the slice once a lane and notes the places of what it selects; of other processes' calls, which are most of a busy
//! node's minute, it reads whose they are and no more. Decoded it keeps only what decisions weigh of the
//! bulk lane: samples of cgroups and their processes, the failed calls, and the newest calls of an armed container.

use std::collections::{BTreeSet, VecDeque};

use super::case::Case;
use super::cast::Cast;
use super::completeness::Unread;
use super::telemetry::Telemetry;
use crate::record::{Event, LaneName, Record, RecordId};
use crate::window::Place;

/// Most failed calls in one report; beyond, the newest are kept and a note says so.
///
/// It bounds what is written: with so many, a report is some 10 MiB of JSON, which any reader and the API can take as a
/// whole, and of which a directory keeps dozens. A busy minute in full would be 1 to 2 GiB and push out every other report;
/// the bundle has every call there is. It also bounds what is decoded at once, for those shown are those weighed: so each
/// call that a verdict or a diagnosis cites is there.
pub(super) const MAX_CALLS: usize = 20_000;

/// Most calls of an armed container that are folded into its tail: those of two readings. All are written.
const MAX_TAIL: usize = 2 * 2048;

/// The bulk records that concern an incident.
pub(super) struct Selection {
    /// Where they lie, in no order.
    places: Vec<Place>,
    /// Samples of cgroups, and of the processes in them, in order of arrival.
    pub(super) samples: Vec<(RecordId, Record)>,
    /// The failed calls among them, in order of arrival.
    pub(super) calls: Vec<(RecordId, Record)>,
    /// The newest calls of an armed container among them, in order of arrival.
    pub(super) tail: VecDeque<(RecordId, Record)>,
}

impl Selection {
    /// Reads the bulk lane.
    pub(super) fn of_bulk(case: &Case, cast: &Cast, unread: &mut Unread) -> Self {
        let (mut places, mut samples) = (Vec::new(), Vec::new());
        let mut tail = VecDeque::new();
        // As large as they get: growing by doubling they would take twice the memory in a busy minute.
        let mut calls = VecDeque::with_capacity(MAX_CALLS);
        let mut call_places = VecDeque::with_capacity(MAX_CALLS);
        let mut records = case.slice.records(LaneName::Bulk);
        while let Some((place, record)) = records.next_about(|subject| cast.may_concern(subject)) {
            if !cast.concerns(&record) {
                continue;
            }
            match &record.event {
                Event::FailedCall(_) => {
                    if calls.len() == MAX_CALLS {
                        calls.pop_front();
                        call_places.pop_front();
                        unread.calls_left_out += 1;
                    }
                    calls.push_back((place.id, record));
                    call_places.push_back(place);
                    continue;
                }
                Event::CallCounts(counts) => {
                    unread.own_calls_lost += counts.throttled + counts.ring_full;
                }
                Event::Cgroup(_) | Event::ProcessMemory(_) => samples.push((place.id, record)),
                Event::Call(_) => {
                    if tail.len() == MAX_TAIL {
                        tail.pop_front();
                    }
                    tail.push_back((place.id, record));
                }
                _ => {}
            }
            places.push(place);
        }
        unread.bulk = records.malformed();
        places.extend(call_places);
        Self {
            places,
            samples,
            calls: calls.into(),
            tail,
        }
    }

    /// With the decisive records that concern the incident or are cited.
    pub(super) fn telemetry(
        self,
        case: &Case,
        cast: &Cast,
        cited: &BTreeSet<RecordId>,
    ) -> Telemetry {
        let mut places = self.places;
        let mut records = case.slice.records(LaneName::Decisive);
        while let Some((place, record)) = records.next_placed() {
            if cited.contains(&place.id) || cast.concerns(&record) {
                places.push(place);
            }
        }
        Telemetry::of(case, places)
    }
}
