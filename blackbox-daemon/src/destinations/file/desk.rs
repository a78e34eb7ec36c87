//! The desk: the task of one directory. Writes what comes in, and keeps what cannot be written for when the disk heals.
//!
//! ```text
//!  queue ─► take ─┬─► a file                      the disk works, and nobody waits
//!                 ├─► the reserve ──► a file      no room: it is safe; it moves out when room is back
//!                 └─► late (memory) ─► a file     neither: tried again, after 1, 2, 4, 8, 10, 10 … s
//! ```
//!
//! What is in the reserve moves out first, then what waits in memory, each in the order it came. As many documents wait in
//! memory as in the queue, bundles giving way to reports; behind them the queue fills, and what comes then is dropped and
//! counted as always. What waits keeps its room. Each second the directory is looked at, and the part `reports` of
//! [`Durability`](crate::durability) says how it fares.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{interval, timeout};

use super::backoff::Backoff;
use super::keeper::{Keeper, Outcome};
use super::{Config, Error, usable};
use crate::clock;
use crate::destinations::inbox::Inbox;
use crate::destinations::room::Taken;
use crate::destinations::state::State;
use crate::destinations::target::Written;
use crate::destinations::{Document, Kind, QUEUE};
use crate::durability::{Durability, Part};

/// How often the directory is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A disk that has not answered for so long does not work, whatever it says later.
const PATIENCE: Duration = Duration::from_secs(5);

/// A document that waits in memory.
struct Late {
    document: Document,
    _room: Taken,
    /// Whether room was looked for once while it waited.
    tried: bool,
}

/// The task of one directory.
pub(in crate::destinations) struct Desk {
    keeper: Arc<Mutex<Keeper>>,
    directory: PathBuf,
    late: VecDeque<Late>,
    again: Backoff,
    part: Part,
    /// What was wrong when the directory was last looked at.
    wrong: Option<String>,
}

impl Desk {
    /// # Errors
    /// The directory cannot be used, and that is not because its disk is full or broken.
    pub(in crate::destinations) fn open(
        config: Config,
        durability: &Durability,
    ) -> Result<Self, Error> {
        let (directory, path) = (config.directory.clone(), usable(&config.directory)?);
        let mut keeper = Keeper::new(config, path);
        let part = durability.part("reports");
        let wrong = keeper.probe(clock::boot_now()).err();
        if let Some(why) = &wrong {
            part.degraded(why);
        }
        Ok(Self {
            keeper: Arc::new(Mutex::new(keeper)),
            directory,
            late: VecDeque::new(),
            again: Backoff::default(),
            part,
            wrong,
        })
    }

    /// Writes until the inbox is closed and empty, and then tries what waits once more.
    pub(in crate::destinations) async fn work(mut self, mut inbox: Inbox) {
        let mut looks = interval(LOOK);
        let state = Arc::clone(&inbox.state);
        loop {
            let closing = inbox.closing.clone();
            let full = self.is_full() && !closing.is_cancelled();
            // First of all the look: a flood of reports must not hide that the disk is broken.
            tokio::select! {
                biased;
                _ = looks.tick() => {
                    self.look(&state).await;
                    looks.reset_after(clock::until_next(clock::boot_now(), LOOK));
                }
                next = inbox.next(), if !full => match next {
                    Some((document, room)) => self.take(document, room, &state).await,
                    None => break,
                },
                () = closing.cancelled(), if full => {}
            }
        }
        self.finish(&state).await;
    }

    async fn take(&mut self, document: Document, room: Taken, state: &State) {
        let (behind, taken) = (!self.late.is_empty(), document.clone());
        let started = clock::boot_now();
        let outcome = self.at(move |keeper| keeper.take(&taken, behind)).await;
        let took = clock::boot_now().since(started);
        if let Some(error) = self.note(outcome, took, state) {
            state.waits(error.into(), took);
            self.give_up_a_bundle(state);
            self.late.push_back(Late {
                document,
                _room: room,
                tried: false,
            });
        }
    }

    /// Whether no more may wait. A bundle gives its place to what comes later: reports tell more in less.
    fn is_full(&self) -> bool {
        self.late.len() >= QUEUE && self.oldest_bundle().is_none()
    }

    fn oldest_bundle(&self) -> Option<usize> {
        let mut late = self.late.iter();
        late.position(|late| late.document.kind == Kind::Bundle)
    }

    fn give_up_a_bundle(&mut self, state: &State) {
        if self.late.len() < QUEUE {
            return;
        }
        let oldest = self.oldest_bundle();
        if oldest.and_then(|at| self.late.remove(at)).is_some() {
            let why = io::Error::other("reports that came later need its place");
            let error = self.failed("keep a bundle that waits", why);
            state.note(Err(error.into()), Duration::ZERO);
        }
    }

    /// Counts what is done with; otherwise returns why it waits.
    fn note(
        &self,
        outcome: Result<Outcome, JoinError>,
        took: Duration,
        state: &State,
    ) -> Option<Error> {
        let result = match outcome {
            Ok(Outcome::Written(None)) => Ok(Written::default()),
            Ok(Outcome::Written(Some(error))) => Ok(self.trouble("remove old reports", error)),
            Ok(Outcome::Reserved(error)) => {
                self.part.degraded(super::directory::why(&error));
                Ok(self.trouble("write a report", error))
            }
            Ok(Outcome::Failed(error)) => Err(self.failed("write a report", error)),
            Ok(Outcome::Waits(error)) => {
                self.part.degraded(super::directory::why(&error));
                return Some(self.failed("write a report", error));
            }
            Err(error) => Err(Error::Ended(error)),
        };
        state.note(result.map_err(Into::into), took);
        None
    }

    fn trouble(&self, doing: &'static str, error: io::Error) -> Written {
        Written {
            trouble: Some(self.failed(doing, error).into()),
        }
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Failed {
            doing,
            directory: self.directory.clone(),
            source,
        }
    }

    /// Looks at the directory, and writes what waits if it is time or if the disk has healed.
    async fn look(&mut self, state: &State) {
        let now = clock::boot_now();
        let looked = self.at(move |keeper| (keeper.probe(now), keeper.holds_some()));
        let Ok((found, reserved)) = looked.await else {
            return;
        };
        let before = std::mem::replace(&mut self.wrong, found.err());
        if let Some(why) = &self.wrong {
            self.part.degraded(why);
        } else if before.is_some() {
            self.again.reset();
        }
        let waiting = reserved || !self.late.is_empty();
        if waiting && self.again.due(now) {
            match self.catch_up(reserved, state).await {
                true => {
                    self.again.reset();
                    state.healed();
                }
                false => {
                    self.again.failed(clock::boot_now());
                    return;
                }
            }
        } else if waiting {
            return;
        }
        if self.wrong.is_none() {
            self.part.works();
        }
    }

    /// Writes what waits, in order. `false`: something still does.
    async fn catch_up(&mut self, reserved: bool, state: &State) -> bool {
        if reserved {
            let emptied = self.at(Keeper::empty_reserve).await;
            if let Ok(Err(error)) = emptied {
                self.part.degraded(super::directory::why(&error));
                return false;
            }
        }
        while let Some(late) = self.late.front_mut() {
            let (document, free) = (late.document.clone(), !late.tried);
            late.tried = true;
            let started = clock::boot_now();
            let outcome = self.at(move |keeper| keeper.write(&document, free)).await;
            let took = clock::boot_now().since(started);
            if let Some(error) = self.note(outcome, took, state) {
                state.waits(error.into(), took);
                return false;
            }
            self.late.pop_front();
        }
        true
    }

    /// The last attempt at what waits: a file, or the reserve. What still waits then has failed.
    async fn finish(&mut self, state: &State) {
        while let Some(Late { document, .. }) = self.late.pop_front() {
            let started = clock::boot_now();
            let write = move |keeper: &mut Keeper| match keeper.write(&document, false) {
                Outcome::Waits(error) => keeper.set_aside(&document, error),
                outcome => outcome,
            };
            let outcome = self.at(write).await;
            let took = clock::boot_now().since(started);
            if let Some(error) = self.note(outcome, took, state) {
                state.note(Err(error.into()), took);
            }
        }
    }

    /// Does something with the disk, off the async threads. A disk that does not answer is said to be broken meanwhile.
    async fn at<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Keeper) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let keeper = Arc::clone(&self.keeper);
        let mut working = tokio::task::spawn_blocking(move || {
            work(&mut keeper.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match timeout(PATIENCE, &mut working).await {
            Ok(done) => done,
            Err(_) => {
                self.part.degraded("the disk does not answer");
                working.await
            }
        }
    }
}
