//! Views of the window for the API: a few readers at a time, each with a share of memory it cannot exceed.
//!
//! Asks the recorder for a slice and reads it off the async threads. Names and slice go as soon as the records have
//! been read: the recorder copies what somebody else still holds.

mod newest;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{ApiError, Code};
use super::selection::{Places, Selection, Whereabouts};
use crate::record::{BootTime, Class, Event, LaneName, Record, RecordId};
use crate::recorder::status::{Handle, View};
use crate::window::{Records, Slice};
pub(super) use newest::Newest;

/// Readers at once: decoding keeps a core busy, and cores are for what is recorded.
const READERS: usize = 2;
/// How long a further reader waits for one of them, and is told to wait when it was in vain.
const PATIENCE: Duration = Duration::from_secs(2);

/// The readers of the window. Clones share the seats.
#[derive(Clone, Debug)]
pub struct Views {
    seats: Arc<Semaphore>,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            seats: Arc::new(Semaphore::new(READERS)),
        }
    }
}

/// A view, and the seat of whoever reads it.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) view: View,
    pub(super) seat: OwnedSemaphorePermit,
}

impl Views {
    /// The records from `start` to `end`.
    ///
    /// # Errors
    /// Others read, or the recorder is busy or has ended.
    pub(super) async fn take(
        &self,
        recorder: &Handle,
        start: BootTime,
        end: BootTime,
    ) -> Result<Seated, ApiError> {
        let seat = Arc::clone(&self.seats).acquire_owned();
        let seat = tokio::time::timeout(PATIENCE, seat).await;
        let busy = |what: &str| ApiError::new(Code::ServiceUnavailable, what).retry_after(PATIENCE);
        let Ok(Ok(seat)) = seat else {
            return Err(busy("the window is being read by others; try again"));
        };
        match recorder.view(start, end).await {
            Some(view) => Ok(Seated { view, seat }),
            None => Err(busy("the recorder is busy or stopping; try again")),
        }
    }
}

/// Leaves out the segments that hold nothing of the wanted kinds, so that they are not decoded.
pub(super) fn skip_unwanted(slice: &mut Slice, selection: &Selection) {
    let mut wanted = Class::ALL.to_vec();
    wanted.retain(|class| selection.wants(*class));
    for segments in [&mut slice.decisive, &mut slice.bulk] {
        segments.retain(|segment| {
            let held = &segment.index().by_class;
            wanted.iter().any(|class| held.of(*class) > 0)
        });
    }
}

/// What a selection takes of a view: both lanes merged, by time as far as records arrived by it.
pub(super) struct Selected<'a> {
    decisive: Lane<'a>,
    bulk: Lane<'a>,
    selection: &'a Selection,
    places: Places<'a>,
}

/// A lane and its next record.
struct Lane<'a> {
    records: Records<'a>,
    next: Option<(RecordId, Record)>,
}

impl<'a> Lane<'a> {
    fn of(slice: &'a Slice, lane: LaneName) -> Self {
        let mut records = slice.records(lane);
        let next = records.next();
        Self { records, next }
    }

    fn take(&mut self) -> Option<(RecordId, Record)> {
        std::mem::replace(&mut self.next, self.records.next())
    }

    fn key(&self) -> Option<(BootTime, RecordId)> {
        self.next.as_ref().map(|(id, record)| (record.at, *id))
    }
}

impl<'a> Selected<'a> {
    pub(super) fn of(view: &'a View, selection: &'a Selection) -> Self {
        Self {
            decisive: Lane::of(&view.slice, LaneName::Decisive),
            bulk: Lane::of(&view.slice, LaneName::Bulk),
            selection,
            places: Places::new(&view.names),
        }
    }

    /// Records passed so far that do not decode.
    pub(super) fn unreadable(&self) -> u64 {
        self.decisive.records.malformed() + self.bulk.records.malformed()
    }

    fn next_record(&mut self) -> Option<(RecordId, Record)> {
        match (self.decisive.key(), self.bulk.key()) {
            (Some(decisive), Some(bulk)) if bulk < decisive => self.bulk.take(),
            (None, _) => self.bulk.take(),
            (Some(_), _) => self.decisive.take(),
        }
    }
}

impl Iterator for Selected<'_> {
    type Item = (RecordId, Record, Arc<Whereabouts>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (id, record) = self.next_record()?;
            // The recorder's own counts are told by its status.
            let wanted = self.selection.wants(record.event.class())
                && !matches!(record.event, Event::KernelTally(_));
            if !wanted {
                continue;
            }
            let place = self.places.of(&record);
            if self.selection.covers(&place) {
                return Some((id, record, place));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{self, Core, Recorder};

    /// The handle of a recorder that has ended.
    fn ended() -> Handle {
        let (_, intake) = crate::sources::feed::feed();
        let config = recorder::Config {
            window: Duration::from_secs(60),
            storage: crate::window::Config::default(),
            incidents: crate::incident::Config {
                settle: Duration::ZERO,
                throttle: Duration::ZERO,
            },
            rules: crate::incident::trigger::Rules::default(),
            node: crate::report::NodeInfo::default(),
        };
        let (cases, _) = tokio::sync::mpsc::channel(1);
        Recorder::new(Core::new(config, []), intake, cases).handle()
    }

    #[tokio::test]
    async fn a_reader_too_many_is_told_to_wait() {
        let (views, recorder) = (Views::default(), ended());
        let take = || views.take(&recorder, BootTime(0), BootTime(1));
        let all = Arc::clone(&views.seats);
        let taken = all.acquire_many_owned(READERS as u32).await.unwrap();
        let error = take().await.unwrap_err();
        assert_eq!(error.code, Code::ServiceUnavailable);
        assert_eq!(error.retry_after, Some(PATIENCE));
        assert!(error.message.contains("others"));
        drop(taken);
        let error = take().await.unwrap_err();
        assert!(error.message.contains("recorder"));
        assert_eq!(views.seats.available_permits(), READERS);
    }
}
