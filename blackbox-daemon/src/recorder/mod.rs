//! The recorder: the one task that owns the window. Records in, closed cases out.
//!
//! [`Core`] is the whole state and is pure (`now` is an argument); [`Recorder::run`] is the loop around it: take
//! batches, decisive ones first, and look for what has settled: when something comes after a pause, and each 50 ms while more
//! does or an incident is open. It never waits for a report: a case goes to a bounded queue, and one that does not fit is
//! counted.
//! Others know it by its [`Status`].

mod backlog;
mod checkpoint;
mod core;
mod keeping;
mod resume;
pub mod status;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::status::{Desk, Handle, Request, Status};
use crate::clock::{self, WallOffset};
use crate::incident;
use crate::memory::Memory;
use crate::record::{BootTime, Event, Record};
use crate::report::case::Case;
use crate::sources::Intake;
use crate::sources::cgroup::closely::Armed;
use crate::sources::ebpf::orders::Orders;
pub use backlog::Backlog;
pub use core::{Config, Core};
pub use keeping::Keeper;
pub use resume::Former;

/// From one look for what has settled, and for what is new to be written, to the next, while there may be some; …
const TURN: Duration = Duration::from_millis(50);
/// … and while nothing comes: a look that finds nothing wakes a processor all the same.
const IDLE_TURN: Duration = Duration::from_millis(500);
/// How often it publishes its status: at the first turn of each second, which may come a little sooner than the one before.
const STATUS: Duration = Duration::from_secs(1).saturating_sub(TURN);
/// Cases that may wait for the reporter: as many as can be closed at once.
pub const MAX_CASES: usize = incident::MAX_OPEN;

/// The task around the core.
pub struct Recorder {
    core: Core,
    intake: Intake,
    cases: mpsc::Sender<Case>,
    desk: Desk,
    handle: Handle,
    published: BootTime,
    /// By which containers are armed, if the kernel programs run.
    hands: Option<Hands>,
    /// Who keeps the window on disk, if it is kept there.
    keeper: Option<Keeper>,
    /// What a former life left.
    backlog: Backlog,
    /// How the daemon stands to its soft limit, if it has one.
    memory: Option<Memory>,
}

/// How containers are armed.
#[derive(Clone, Debug)]
pub struct Hands {
    /// Where orders for the kernel source go.
    pub orders: Orders,
    /// Where it is told which are armed.
    pub armed: watch::Sender<Armed>,
}

impl Recorder {
    #[must_use]
    pub fn new(core: Core, intake: Intake, cases: mpsc::Sender<Case>) -> Self {
        let (desk, handle) = status::desk(core.status(clock::boot_now()));
        Self {
            core,
            intake,
            cases,
            desk,
            handle,
            published: BootTime(0),
            hands: None,
            keeper: None,
            backlog: Backlog::default(),
            memory: None,
        }
    }

    /// Keeps the window on disk.
    #[must_use]
    pub fn with_keeper(mut self, keeper: Keeper) -> Self {
        self.core.untold.get_or_insert_default();
        Self {
            keeper: Some(keeper),
            ..self
        }
    }

    /// Arms and disarms containers by these.
    #[must_use]
    pub fn with_hands(self, hands: Hands) -> Self {
        Self {
            hands: Some(hands),
            ..self
        }
    }

    /// Hands on, beside its own, the cases that a former life left.
    #[must_use]
    pub fn with_backlog(self, cases: Vec<Case>) -> Self {
        Self {
            backlog: Backlog::new(cases),
            ..self
        }
    }

    /// Sheds bulk while this is short.
    #[must_use]
    pub fn sparing(self, memory: Memory) -> Self {
        Self {
            memory: Some(memory),
            ..self
        }
    }

    /// For those who want to know what it holds.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Records until `stop`, then takes what the sources left in the queues, and closes every incident.
    /// Cancel `stop` after the sources have ended.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut next = pin!(tokio::time::sleep(TURN));
        let (mut turned, mut idle) = (clock::boot_now(), false);
        loop {
            let timed = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut next => true,
                Some(batch) = self.intake.decisive.recv() => {
                    self.decisive(&batch);
                    false
                }
                // Before bulk: in a flood its queue is never empty. They are few; the API limits them.
                Some(request) = self.desk.requests.recv() => {
                    self.answer(request);
                    continue;
                }
                Some(batch) = self.intake.bulk.recv() => {
                    self.bulk(&batch);
                    false
                }
            };
            let left = TURN.saturating_sub(clock::boot_now().since(turned));
            let wait = match (timed, idle) {
                (false, false) => continue,
                // Soon after a turn: what comes until the next is for it.
                (false, true) if !left.is_zero() => {
                    idle = false;
                    left
                }
                // It is time; or the first in a while came, and no timer need wake once more for it.
                (true, _) | (false, true) => {
                    self.turn(false);
                    turned = clock::boot_now();
                    idle = !self.is_waiting();
                    if idle { IDLE_TURN } else { TURN }
                }
            };
            next.set(tokio::time::sleep(wait));
        }
        while let Ok(batch) = self.intake.decisive.try_recv() {
            self.decisive(&batch);
        }
        self.catch_up();
        self.turn(true);
        let (now, wall) = (clock::boot_now(), WallOffset::now());
        if let Some(keeper) = &mut self.keeper {
            keeper.finish(&mut self.core, now, wall);
        }
    }

    /// Whether something comes of time alone: an incident settles, or a case of a former life is next.
    fn is_waiting(&self) -> bool {
        self.core.incidents.open() > 0 || !self.backlog.is_empty()
    }

    fn decisive(&mut self, batch: &[Record]) {
        // A source that fails must not look well for another second.
        if batch
            .iter()
            .any(|record| matches!(record.event, Event::Source(_)))
        {
            self.published = BootTime(0);
        }
        // The tally must be compared with everything that was drained before it was read.
        if Core::is_tally(batch) {
            self.catch_up();
            self.core.lose(
                self.intake.lost.take(),
                clock::boot_now(),
                WallOffset::now(),
            );
        }
        self.bulk(batch);
    }

    fn catch_up(&mut self) {
        // Only what waits now: in a flood the queue is never empty, and decisive records would wait for its end.
        for _ in 0..self.intake.bulk.len() {
            if let Ok(batch) = self.intake.bulk.try_recv() {
                self.bulk(&batch);
            }
        }
    }

    fn bulk(&mut self, batch: &[Record]) {
        let (now, wall) = (clock::boot_now(), WallOffset::now());
        self.core.short = self.memory.as_ref().is_some_and(Memory::is_short);
        for record in batch {
            self.core.take(record, now, wall);
        }
    }

    fn answer(&mut self, Request { start, end, answer }: Request) {
        let view = self.core.view(start, end, WallOffset::now());
        if answer.send(view).is_err() {
            tracing::debug!("nobody waits for a view any more");
        }
    }

    fn publish(&mut self, now: BootTime) {
        if now.since(self.published) < STATUS {
            return;
        }
        self.published = now;
        let status = Status {
            decisive_queued: self.intake.decisive.len(),
            bulk_queued: self.intake.bulk.len(),
            ..self.core.status(now)
        };
        self.desk.status.send_replace(Arc::new(status));
    }

    fn arm(&mut self, now: BootTime) {
        let orders = self.core.orders(now);
        let Some(hands) = &self.hands else { return };
        for order in orders {
            if let Err(error) = hands.orders.give(order) {
                tracing::warn!(%error, "an order to keep every call of a container was not taken");
            }
        }
        hands.armed.send_if_modified(|told| {
            let armed = self.core.armed();
            let changed = **told != *armed;
            if changed {
                *told = armed.into();
            }
            changed
        });
    }

    fn turn(&mut self, stopping: bool) {
        let now = clock::boot_now();
        self.publish(now);
        let wall = WallOffset::now();
        self.arm(now);
        self.core.lose(self.intake.lost.take(), now, wall);
        let mut cases: Vec<Case> = self.backlog.next(&self.core, now).into_iter().collect();
        if stopping {
            cases.extend(self.backlog.rest());
        }
        cases.extend(self.core.turn(now, wall, stopping));
        for case in cases {
            let id = case.incident.id();
            if self.cases.try_send(case).is_err() {
                self.core.drop_report();
                tracing::error!(incident = id, "no report: the queue of cases is full");
            }
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.turn(&mut self.core, now, wall);
        }
    }
}
