//! The tail: what the decisive lane has got since the last look, told to every stream.
//!
//! Runs while somebody follows. Asks the recorder for a view of the last seconds, passes over the records it has told,
//! and makes each of the others into JSON once, for all streams.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::broadcast;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::selection::{Selection, Whereabouts};
use crate::api::views::Selected;
use crate::clock;
use crate::record::{BootTime, Class, Record, RecordId};
use crate::recorder::status::{Handle, View};
use crate::report::sentence::sentence;
use crate::report::{Entry, entries};
use crate::words;

/// How often the tail looks.
const LOOK: Duration = Duration::from_millis(250);
/// How late a record may arrive and still be told.
const LATE: Duration = Duration::from_secs(10);
/// Events that a stream may be behind, and most that one look can tell.
const MAX_NEWS: usize = 1024;

/// What every stream gets.
#[derive(Debug)]
pub(super) enum News {
    Record {
        class: Class,
        place: Arc<Whereabouts>,
        json: String,
    },
    /// More records at once than streams can be told.
    Lost(u64),
}

/// A record as streams show it.
#[derive(Debug, Serialize)]
struct Shown {
    id: RecordId,
    class: Class,
    timestamp: Timestamp,
    sentence: String,
    entries: Vec<Entry>,
}

/// The tail and who follows it.
#[derive(Debug)]
pub(super) struct Tail {
    recorder: Handle,
    news: broadcast::Sender<Arc<News>>,
    /// Whether its task runs. Locked by whoever begins to follow, so that no follower finds it about to end.
    running: Mutex<bool>,
    stop: CancellationToken,
}

impl Tail {
    pub(super) fn new(recorder: Handle, stop: CancellationToken) -> Self {
        Self {
            recorder,
            news: broadcast::Sender::new(MAX_NEWS),
            running: Mutex::new(false),
            stop,
        }
    }

    /// Hears of records from `now` on.
    pub(super) fn follow(self: &Arc<Self>, now: BootTime) -> broadcast::Receiver<Arc<News>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.news.subscribe();
        if !*running {
            *running = true;
            tokio::spawn(Arc::clone(self).run(now));
        }
        receiver
    }

    async fn run(self: Arc<Self>, from: BootTime) {
        let mut told = RecordId(0);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.stop.run_until_cancelled(look.tick()).await.is_some() {
            if self.is_alone() {
                return;
            }
            let start = from.max(clock::boot_now().minus(LATE));
            // Up to any time: what arrives in between is told now or by the next look, never left out.
            let Some(view) = self.recorder.view(start, BootTime(u64::MAX)).await else {
                continue;
            };
            match tokio::task::spawn_blocking(move || read(view, told)).await {
                Ok((news, newest)) => {
                    told = newest;
                    for news in news {
                        // An error says that the last stream has just ended.
                        self.news.send(Arc::new(news)).unwrap_or_default();
                    }
                }
                Err(error) => tracing::error!(%error, "streams could not be told of records"),
            }
        }
    }

    /// Whether nobody follows any more; if so, the task must end.
    fn is_alone(&self) -> bool {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running = self.news.receiver_count() > 0;
        !*running
    }
}

/// The records of a view after `told`, oldest first, and the newest id among them.
fn read(mut view: View, told: RecordId) -> (Vec<News>, RecordId) {
    view.slice.bulk.clear();
    // Segments hold ids in order: what comes before the last one that starts with a told id is told.
    let segments = &mut view.slice.decisive;
    let known = segments
        .iter()
        .rposition(|segment| segment.index().first_id <= told);
    segments.drain(..known.unwrap_or_default());
    let (mut found, mut lost, mut newest) = (VecDeque::new(), 0, told);
    let everything = Selection::default();
    for (id, record, place) in Selected::of(&view, &everything) {
        if id <= told {
            continue;
        }
        newest = newest.max(id);
        if found.len() == MAX_NEWS {
            found.pop_front();
            lost += 1;
        }
        found.push_back((id, record, place));
    }
    let mut news = Vec::with_capacity(found.len() + 1);
    if lost > 0 {
        news.push(News::Lost(lost));
    }
    for (id, record, place) in found {
        news.push(News::Record {
            class: record.event.class(),
            place,
            json: serde_json::to_string(&shown(id, &record, &view)).unwrap_or_default(),
        });
    }
    (news, newest)
}

fn shown(id: RecordId, record: &Record, view: &View) -> Shown {
    Shown {
        id,
        class: record.event.class(),
        timestamp: view.wall.wall(record.at),
        sentence: words::printable(&sentence(record, &view.names)).into_owned(),
        entries: entries::project(id, record, &view.names, view.wall),
    }
}
