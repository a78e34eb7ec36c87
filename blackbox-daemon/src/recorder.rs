//! The recorder: the one task that owns the window. Records in, closed cases out.
//!
//! [`Core`] is the whole state and is pure (`now` is an argument); [`Recorder::run`] is the loop around it: take
//! batches, decisive ones first, and look every 50 ms for what has settled. It never waits for a report: a
//! case goes to a bounded queue, and one that does not fit is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, WallOffset};
use crate::identity::Identities;
use crate::incident::trigger::{self, Rules};
use crate::incident::{self, Incident, Incidents};
use crate::record::{BootTime, CgroupId, Class, Event, Gap, LossCause, Record, Subject};
use crate::report::NodeInfo;
use crate::report::case::Case;
use crate::report::ledger::Ledger;
use crate::sources::Intake;
use crate::window::{self, Appended, Window};

/// How often the recorder looks for what has settled.
const TURN: Duration = Duration::from_millis(50);
/// Cases that may wait for the reporter.
pub const MAX_CASES: usize = 64;

/// What the recorder is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The window the user asked for; a report reaches back this far from the death.
    pub window: Duration,
    pub storage: window::Config,
    pub incidents: incident::Config,
    pub rules: Rules,
    pub node: NodeInfo,
}

/// The recorder's whole state.
pub struct Core {
    config: Config,
    window: Window,
    identities: Identities,
    incidents: Incidents,
    ledger: Ledger,
    /// Records the window shed since its last gap, by class.
    shed: BTreeMap<Class, u64>,
}

impl Core {
    /// A recorder that knows the cgroups found at start.
    #[must_use]
    pub fn new(config: Config, cgroups: impl IntoIterator<Item = (CgroupId, String)>) -> Self {
        let mut identities = Identities::default();
        for (id, path) in cgroups {
            identities.add(id, &path);
        }
        Self {
            window: Window::new(config.storage.clone()),
            incidents: Incidents::new(config.incidents),
            ledger: Ledger::default(),
            shed: BTreeMap::new(),
            identities,
            config,
        }
    }

    /// Takes one record: learns names, keeps it, looks whether it is worth an incident.
    pub fn take(&mut self, record: &Record, now: BootTime) {
        self.identities.observe(record);
        let class = record.event.class();
        let id = match self.window.append(record, now) {
            Appended::Kept(id) => id,
            Appended::Shed => {
                *self.shed.entry(class).or_default() += 1;
                return;
            }
        };
        *self.ledger.recorded.entry(class).or_default() += 1;
        match &record.event {
            Event::KernelTally(tally) => {
                self.lose_shed(now);
                self.ledger.count(tally);
            }
            Event::Source(state) => {
                self.ledger
                    .sources
                    .insert(state.source, state.health.clone());
            }
            _ => {}
        }
        let names = self.identities.names();
        if let Some(trigger) = trigger::inspect(record, id, names, &self.config.rules) {
            self.incidents.take(trigger, now);
        }
    }

    /// Turns counted losses into records, so that reports know when they happened.
    pub fn lose(&mut self, gaps: Vec<Gap>, now: BootTime) {
        for gap in gaps {
            *self.ledger.lost.entry((gap.class, gap.cause)).or_default() += gap.count;
            let record = Record {
                at: now,
                subject: Subject::Node,
                event: Event::Gap(gap),
            };
            self.take(&record, now);
        }
    }

    /// Turns what the window shed into gaps, many records into one.
    fn lose_shed(&mut self, now: BootTime) {
        let shed = std::mem::take(&mut self.shed).into_iter();
        let gap = |(class, count)| Gap {
            class,
            cause: LossCause::Share,
            count,
        };
        self.lose(shed.map(gap).collect(), now);
    }

    /// Closes what has settled at `now` (everything, when the recorder stops) and forgets what is too old.
    pub fn turn(&mut self, now: BootTime, wall: WallOffset, stopping: bool) -> Vec<Case> {
        self.lose_shed(now);
        let horizon = self.config.storage.retention + self.config.incidents.settle;
        self.identities.forget_before(now.minus(horizon));
        let closed = match stopping {
            true => self.incidents.close_all(now),
            false => self.incidents.settled(now),
        };
        closed
            .into_iter()
            .map(|incident| self.case(incident, now, wall))
            .collect()
    }

    fn case(&mut self, incident: Incident, now: BootTime, wall: WallOffset) -> Case {
        let start = incident.first.at.minus(self.config.window);
        let slice = self.window.slice(start, now);
        let mut ledger = self.ledger.clone();
        ledger.evicted = Class::ALL
            .into_iter()
            .map(|class| (class, slice.evicted.of(class)))
            .filter(|(_, count)| *count > 0)
            .collect();
        Case {
            slice,
            names: self.identities.names().clone(),
            ledger,
            node: self.config.node.clone(),
            wall,
            closed: now,
            window: self.config.window,
            incident,
        }
    }

    /// Whether a tally just arrived: bulk records it speaks of may still wait in their queue.
    fn is_tally(batch: &[Record]) -> bool {
        batch
            .iter()
            .any(|record| matches!(record.event, Event::KernelTally(_)))
    }

    /// What was counted so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Records that reached the window, by class.
    #[must_use]
    pub fn recorded(&self) -> &BTreeMap<Class, u64> {
        &self.ledger.recorded
    }
}

/// The task around the core.
pub struct Recorder {
    core: Core,
    intake: Intake,
    cases: mpsc::Sender<Case>,
}

impl Recorder {
    #[must_use]
    pub fn new(core: Core, intake: Intake, cases: mpsc::Sender<Case>) -> Self {
        Self {
            core,
            intake,
            cases,
        }
    }

    /// Records until `stop`, then takes what the sources left in the queues, and closes every incident.
    /// Cancel `stop` after the sources have ended.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut turn = tokio::time::interval(TURN);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = turn.tick() => self.turn(false),
                Some(batch) = self.intake.decisive.recv() => self.decisive(&batch),
                Some(batch) = self.intake.bulk.recv() => self.bulk(&batch),
            }
        }
        while let Ok(batch) = self.intake.decisive.try_recv() {
            self.decisive(&batch);
        }
        self.catch_up();
        self.turn(true);
    }

    fn decisive(&mut self, batch: &[Record]) {
        // The tally must be compared with everything that was drained before it was read.
        if Core::is_tally(batch) {
            self.catch_up();
            self.core.lose(self.intake.lost.take(), clock::boot_now());
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
        let now = clock::boot_now();
        for record in batch {
            self.core.take(record, now);
        }
    }

    fn turn(&mut self, stopping: bool) {
        let now = clock::boot_now();
        self.core.lose(self.intake.lost.take(), now);
        for case in self.core.turn(now, WallOffset::now(), stopping) {
            let id = case.incident.id();
            if self.cases.try_send(case).is_err() {
                self.core.ledger.reports_dropped += 1;
                tracing::error!(incident = id, "no report: the queue of cases is full");
            }
        }
    }
}
