//! The bounded way from the sources to the recorder. A source never waits here; a client's request may.
//!
//! Two queues, so that a flood of bulk records cannot delay or displace a decisive one. A batch that finds its
//! queue full is dropped whole and counted by class; the recorder turns the counts into `Gap` records. Secrets are hidden
//! here: nothing reaches the recorder by another way.
//! Bounds: [`DECISIVE_BATCHES`] and [`BULK_BATCHES`] batches of at most [`BATCH`] records; of those whose records wait in a
//! kernel ring as well as here, [`FROM_RINGS`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::record::{Class, Gap, LaneName, LossCause, Record};
use crate::redact::Redactor;

/// Most records a source puts in one batch.
pub const BATCH: usize = 512;
/// Batches that may wait in a queue when a source that can leave its records where they are asks for a place: at some 200
/// bytes a record 1.6 MiB. The rest of a queue is for those that cannot.
pub const FROM_RINGS: usize = 16;
/// Batches of decisive records that may wait.
pub const DECISIVE_BATCHES: usize = 128;
/// Batches of bulk records that may wait.
pub const BULK_BATCHES: usize = 64;

/// The sources' end.
#[derive(Clone, Debug)]
pub struct Feed {
    decisive: mpsc::Sender<Vec<Record>>,
    bulk: mpsc::Sender<Vec<Record>>,
    lost: Arc<Losses>,
    redactor: Redactor,
}

/// The recorder's end.
#[derive(Debug)]
pub struct Intake {
    pub decisive: mpsc::Receiver<Vec<Record>>,
    pub bulk: mpsc::Receiver<Vec<Record>>,
    pub lost: Arc<Losses>,
}

/// A place in a queue that is already the caller's.
#[derive(Debug)]
pub struct Place<'a> {
    permit: mpsc::Permit<'a, Vec<Record>>,
    redactor: &'a Redactor,
}

impl Place<'_> {
    /// Fills the place; hides secrets.
    pub fn send(self, mut batch: Vec<Record>) {
        hide(self.redactor, &mut batch);
        self.permit.send(batch);
    }

    /// Fills the place with records whose secrets the caller has hidden with [`Feed::redactor`].
    pub(super) fn send_hidden(self, batch: Vec<Record>) {
        self.permit.send(batch);
    }
}

fn hide(redactor: &Redactor, batch: &mut [Record]) {
    for record in batch {
        redactor.event(&mut record.event);
    }
}

/// Makes a feed that hides secrets with the built-in rules.
#[must_use]
pub fn feed() -> (Feed, Intake) {
    let (decisive, decisive_out) = mpsc::channel(DECISIVE_BATCHES);
    let (bulk, bulk_out) = mpsc::channel(BULK_BATCHES);
    let lost = Arc::new(Losses::default());
    let intake = Intake {
        decisive: decisive_out,
        bulk: bulk_out,
        lost: Arc::clone(&lost),
    };
    (
        Feed {
            decisive,
            bulk,
            lost,
            redactor: Redactor::default(),
        },
        intake,
    )
}

impl Feed {
    /// Hides secrets with `redactor`.
    #[must_use]
    pub fn redacting(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// What hides secrets in everything that comes this way.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    fn lane(&self, lane: LaneName) -> &mpsc::Sender<Vec<Record>> {
        match lane {
            LaneName::Decisive => &self.decisive,
            LaneName::Bulk => &self.bulk,
        }
    }

    /// Offers a batch, secrets hidden. If its queue is full (or the recorder is gone) every record in it is counted as lost.
    pub fn offer(&self, lane: LaneName, mut batch: Vec<Record>) {
        if batch.is_empty() {
            return;
        }
        hide(&self.redactor, &mut batch);
        if let Err(error) = self.lane(lane).try_send(batch) {
            for record in error.into_inner() {
                self.lose(record.event.class(), LossCause::FeedFull, 1);
            }
        }
    }

    /// A place in the queue, for a source that can leave its records where they are until there is one.
    /// `None`: [`FROM_RINGS`] batches wait already.
    #[must_use]
    pub fn place(&self, lane: LaneName) -> Option<Place<'_>> {
        let queue = self.lane(lane);
        if queue.max_capacity() - queue.capacity() >= FROM_RINGS {
            return None;
        }
        let permit = queue.try_reserve().ok()?;
        Some(self.of(permit))
    }

    /// A place in the queue, waited for: for those that can wait where the sources cannot. `None`: the recorder is gone.
    pub async fn next_place(&self, lane: LaneName) -> Option<Place<'_>> {
        let permit = self.lane(lane).reserve().await.ok()?;
        Some(self.of(permit))
    }

    fn of<'a>(&'a self, permit: mpsc::Permit<'a, Vec<Record>>) -> Place<'a> {
        Place {
            permit,
            redactor: &self.redactor,
        }
    }

    /// Counts records that were lost before they could be offered.
    pub fn lose(&self, class: Class, cause: LossCause, count: u64) {
        self.lost.add(class, cause, count);
    }
}

/// Losses not yet turned into records, by cause and class.
#[derive(Debug, Default)]
pub struct Losses([[AtomicU64; Class::ALL.len()]; LossCause::ALL.len()]);

impl Losses {
    fn add(&self, class: Class, cause: LossCause, count: u64) {
        self.0[cause as usize][class as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Takes every count that is not zero, leaving zero.
    #[must_use]
    pub fn take(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (cause, row) in LossCause::ALL.into_iter().zip(&self.0) {
            for (class, count) in Class::ALL.into_iter().zip(row) {
                let count = count.swap(0, Ordering::Relaxed);
                if count > 0 {
                    gaps.push(Gap {
                        class,
                        cause,
                        count,
                    });
                }
            }
        }
        gaps
    }
}
