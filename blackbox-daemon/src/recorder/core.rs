//! The recorder's whole state, pure: records, losses and turns in, closed cases out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::status::{Latest, Status, View};
use crate::arming::{Arming, Order};
use crate::clock::WallOffset;
use crate::identity::{Identities, Names};
use crate::incident::ends::Ends;
use crate::incident::trigger::{self, About, Rules};
use crate::incident::{self, Incident, Incidents};
use crate::memory;
use crate::record::{
    BootTime, CgroupId, Class, Event, Gap, Health, KernelTally, LossCause, Record, SourceName,
    Subject,
};
use crate::report::NodeInfo;
use crate::report::case::Case;
use crate::report::ledger::Ledger;
use crate::starts::Starts;
use crate::window::{self, Appended, Window};

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

/// Closed incidents whose reports are not out that are remembered: twice as many as can be open at once.
const MOST_UNTOLD: usize = 2 * incident::MAX_OPEN;

/// The recorder's whole state.
pub struct Core {
    pub(super) config: Config,
    pub(super) window: Window,
    pub(super) identities: Identities,
    pub(super) incidents: Incidents,
    pub(super) ledger: Ledger,
    /// Records that were shed since the last gap, by class and cause.
    shed: BTreeMap<(Class, LossCause), u64>,
    /// Memory is short: bulk is shed.
    pub(super) short: bool,
    /// The node's latest samples.
    latest: Latest,
    /// How containers ended so far.
    pub(super) ends: Ends,
    arming: Arming,
    /// How runs start, and healthy ones started.
    pub(super) starts: Starts,
    /// Incidents whose reports were out before the recorder began again.
    pub(super) told: BTreeSet<String>,
    /// Incidents that are closed, and whose reports are not out: a recorder that begins again tells them. Kept only where
    /// somebody says which are out.
    pub(super) untold: Option<VecDeque<Incident>>,
    /// Incidents opened so far.
    pub(super) opened: u64,
    /// When this life took over from the one before.
    pub(super) began: BootTime,
    /// The kernel's counts are older than this life: what of them nobody has is settled when they are first told.
    pub(super) unsettled: Option<Unsettled>,
}

/// What the kernel counted, and is in no count of this recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsettled {
    /// It died with a daemon whose counts go on here.
    Lost,
    /// A daemon whose counts are not known had read it.
    Before,
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
            short: false,
            latest: Latest::default(),
            ends: Ends::default(),
            arming: Arming::new(0),
            starts: Starts::default(),
            told: BTreeSet::new(),
            untold: None,
            opened: 0,
            began: BootTime(0),
            unsettled: None,
            identities,
            config,
        }
    }

    /// Arms up to so many containers at once; else none.
    #[must_use]
    pub fn arming_up_to(self, slots: usize) -> Self {
        Self {
            arming: Arming::new(slots),
            ..self
        }
    }

    /// Its kernel programs ran before it, for a daemon whose counts are not known.
    pub fn take_over(&mut self) {
        self.unsettled = Some(Unsettled::Before);
    }

    /// Takes one record: learns names, keeps it, looks whether it is worth an incident.
    pub fn take(&mut self, record: &Record, now: BootTime, wall: WallOffset) {
        self.identities.observe(record);
        if self.is_unwanted(record) {
            return;
        }
        let class = record.event.class();
        if self.short && memory::sheds(class) {
            *self.shed.entry((class, LossCause::Memory)).or_default() += 1;
            return;
        }
        let id = match self.window.append(record, now) {
            Appended::Kept(id) => id,
            Appended::Shed => {
                *self.shed.entry((class, LossCause::Share)).or_default() += 1;
                return;
            }
        };
        *self.ledger.recorded.entry(class).or_default() += 1;
        match &record.event {
            Event::KernelTally(tally) => {
                self.lose_shed(now, wall);
                self.ledger.count(tally);
                if let Some(how) = self.unsettled.take() {
                    self.settle(how, tally, now, wall);
                }
            }
            Event::Source(state) => {
                self.ledger
                    .sources
                    .insert(state.source, state.health.clone());
            }
            event => self.latest.note(event),
        }
        self.incidents.observe(record);
        let names = self.identities.names();
        self.ends.observe(record, names);
        self.arming.observe(record, names, &self.config.rules);
        self.starts.observe(record, id);
        if let Some(trigger) = trigger::inspect(record, id, names, &self.config.rules) {
            let now = incident::Now {
                at: now,
                wall,
                names,
                followed: is_followed(&self.ledger),
            };
            let open = self.incidents.open();
            self.incidents.take(trigger, &now);
            self.opened += u64::from(self.incidents.open() > open);
        }
    }

    /// Accounts for what the kernel had counted before this life, so that the equations are exact again.
    fn settle(&mut self, how: Unsettled, tally: &KernelTally, now: BootTime, wall: WallOffset) {
        let made_by_kernel = |class| tally.rows.iter().any(|row| row.class == class);
        let rows = self.ledger.rows().into_iter();
        let left = rows.filter_map(|row| {
            let count = u64::try_from(row.in_flight).ok()?;
            (count > 0 && made_by_kernel(row.class)).then_some((row.class, count))
        });
        let left: BTreeMap<Class, u64> = left.collect();
        match how {
            Unsettled::Before => self.ledger.before = left,
            Unsettled::Lost => {
                let gap = |(class, count)| Gap {
                    class,
                    cause: LossCause::Died,
                    count,
                };
                self.lose(left.into_iter().map(gap).collect(), now, wall);
            }
        }
        self.ledger.count(tally);
    }

    /// Whether it is the last words of a pod that asks for none to be kept.
    fn is_unwanted(&self, record: &Record) -> bool {
        let (Event::Words(_), Some(id)) = (&record.event, record.subject.cgroup()) else {
            return false;
        };
        let facts = self.identities.names().pod_facts(id);
        facts.is_some_and(|facts| facts.wishes.no_last_words)
    }

    /// The armed containers' cgroups, with their paths.
    #[must_use]
    pub fn armed(&self) -> Vec<(CgroupId, String)> {
        let names = self.identities.names();
        let path = |id| Some((id, names.cgroup(id)?.path.clone()));
        self.arming.armed().into_iter().filter_map(path).collect()
    }

    /// What is to be armed and disarmed, since the last time it was asked.
    pub fn orders(&mut self, now: BootTime) -> Vec<Order> {
        self.arming.turn(now)
    }

    /// Turns counted losses into records, so that reports know when they happened.
    pub fn lose(&mut self, gaps: Vec<Gap>, now: BootTime, wall: WallOffset) {
        for gap in gaps {
            *self.ledger.lost.entry((gap.class, gap.cause)).or_default() += gap.count;
            let record = Record {
                at: now,
                subject: Subject::Node,
                event: Event::Gap(gap),
            };
            self.take(&record, now, wall);
        }
    }

    /// Turns what was shed into gaps, many records into one.
    fn lose_shed(&mut self, now: BootTime, wall: WallOffset) {
        let shed = std::mem::take(&mut self.shed).into_iter();
        let gap = |((class, cause), count)| Gap {
            class,
            cause,
            count,
        };
        self.lose(shed.map(gap).collect(), now, wall);
    }

    /// Closes what has settled at `now` (everything, when the recorder stops) and forgets what is too old.
    pub fn turn(&mut self, now: BootTime, wall: WallOffset, stopping: bool) -> Vec<Case> {
        self.lose_shed(now, wall);
        let horizon = self.config.storage.retention + self.config.incidents.settle;
        self.starts.turn(now, self.identities.names());
        self.identities.forget_before(now.minus(horizon));
        let known = incident::Now {
            at: now,
            wall,
            names: self.identities.names(),
            followed: is_followed(&self.ledger),
        };
        let closed = match stopping {
            true => self.incidents.close_all(&known),
            false => self.incidents.settled(&known),
        };
        let told =
            |incident: &Incident| !self.told.is_empty() && self.told.contains(&incident.id());
        let closed: Vec<Incident> = closed.into_iter().filter(|one| !told(one)).collect();
        if let Some(untold) = &mut self.untold {
            untold.extend(closed.iter().cloned());
            let excess = untold.len().saturating_sub(MOST_UNTOLD);
            untold.drain(..excess);
        }
        closed
            .into_iter()
            .map(|incident| self.case(incident, now, wall))
            .collect()
    }

    /// Whether an incident is closed and its report is not out.
    pub(super) fn is_untold(&self, id: &str) -> bool {
        let mut untold = self.untold.iter().flatten();
        untold.any(|incident| incident.id() == id)
    }

    /// The report of an incident is out.
    pub(super) fn tell(&mut self, id: &str) {
        if let Some(untold) = &mut self.untold {
            untold.retain(|incident| incident.id() != id);
        }
    }

    pub(super) fn case(&mut self, incident: Incident, now: BootTime, wall: WallOffset) -> Case {
        let start = incident.first.at.minus(self.config.window);
        let slice = self.window.slice(start, now);
        let mut ledger = self.ledger.clone();
        ledger.evicted = Class::ALL
            .into_iter()
            .map(|class| (class, slice.evicted.of(class)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let uid = incident.first.location.pod_uid.as_deref();
        let names = self.identities.names();
        let place = place(&incident, names);
        Case {
            again: incident.opened < self.began,
            start: place.and_then(|id| self.starts.compare(id, names)),
            ends: uid.map(|uid| self.ends.of(uid)).unwrap_or_default(),
            log: None,
            stack: None,
            durability: Vec::new(),
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
    pub(super) fn is_tally(batch: &[Record]) -> bool {
        batch
            .iter()
            .any(|record| matches!(record.event, Event::KernelTally(_)))
    }

    /// The records from `start` to `end`, with the names they need.
    pub fn view(&mut self, start: BootTime, end: BootTime, wall: WallOffset) -> View {
        View {
            slice: self.window.slice(start, end),
            names: self.identities.names().clone(),
            wall,
        }
    }

    /// What it holds and has counted.
    #[must_use]
    pub fn status(&self, now: BootTime) -> Status {
        Status {
            at: now,
            window: self.window.stats(),
            storage: self.config.storage.clone(),
            ledger: self.ledger.clone(),
            open_incidents: self.incidents.open(),
            armed: self.arming.armed().len(),
            ends_meant: self.incidents.meant(),
            latest: self.latest.clone(),
            decisive_queued: 0,
            bulk_queued: 0,
        }
    }

    /// A case that could not be handed on: its report will not be made.
    pub fn drop_report(&mut self) {
        self.ledger.reports_dropped += 1;
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

/// The cgroup it happened in.
fn place(incident: &Incident, names: &Names) -> Option<CgroupId> {
    let About::Container(ended) = &incident.first.about else {
        return incident.process().map(|process| process.cgroup);
    };
    let cgroups = names.cgroups_of(ended.end.container_id.as_deref()?);
    cgroups.into_iter().find(|id| {
        let known = names.cgroup(*id);
        known.is_some_and(|it| it.place.container_id() == ended.end.container_id.as_deref())
    })
}

/// Whether the API server's word on the pods comes in.
fn is_followed(ledger: &Ledger) -> bool {
    let kube = ledger.sources.get(&SourceName::Kube);
    // Degraded: events are missing, or what was told is not remembered; the pods are followed.
    matches!(kube, Some(Health::Ok | Health::Degraded(_)))
}
