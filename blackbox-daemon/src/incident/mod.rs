//! Incidents: one thing that went wrong. Several triggers about one death join one incident.
//!
//! ```text
//!   trigger ──► Open ── settle time over (or the end) ──► Closed: a report is made
//!                │ ▲
//!                └─┘ further triggers about the same death join; others of its signature count as repeats
//! ```
//!
//! Pure: time comes in as an argument; triggers in, closed incidents out.

pub mod throttle;
pub mod trigger;

use std::collections::VecDeque;
use std::time::Duration;

use self::throttle::{Decision, Released, Throttle};
use self::trigger::{About, Identity, Reason, Trigger};
use crate::record::{BootTime, Process};

/// Incidents open at once; beyond, deaths are held back like repeats.
const MAX_OPEN: usize = 64;
/// How much longer than to settle an incident waits for the death itself: an OOM victim can take seconds to die.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Deaths that were told or counted, remembered so that a further record of it does neither again.
const MAX_TOLD: usize = 1024;
/// Deaths that may yet turn out to be part of an incident.
const MAX_STRAYS: usize = 64;

/// When incidents close, and how often a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long after its death an incident stays open for what belongs to it.
    pub settle: Duration,
    /// One full report per signature in this time.
    pub throttle: Duration,
}

/// One thing that went wrong.
#[derive(Clone, Debug)]
pub struct Incident {
    /// What opened it, and what the report is about.
    pub first: Trigger,
    /// What joined it.
    pub joined: Vec<Trigger>,
    /// Deaths of the same signature that have no report of their own.
    pub repeats: u64,
    /// When it was opened, by the recorder's clock.
    pub opened: BootTime,
    /// It was closed before its settle time was over.
    pub cut_short: bool,
}

impl Incident {
    /// The process the report is about, if it is about one.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.first.about.process()
    }

    /// The reporter's id, or one that no other incident has: kind, pid, and the start of that process in hex.
    #[must_use]
    pub fn id(&self) -> String {
        let kind = match self.first.reason {
            Reason::Oom => "oom",
            Reason::Signal(_) => "signal",
            Reason::ExitCode(_) => "exit",
            Reason::Reported => "manual",
        };
        match &self.first.about {
            About::Process(process) => {
                format!("{kind}-{}-{:x}", process.key.tgid, process.key.start.0)
            }
            About::Reported(reported) => reported.id.clone(),
        }
    }

    fn identity(&self) -> Identity {
        self.first.about.identity()
    }

    fn is_settled(&self, settle: Duration, now: BootTime) -> bool {
        let all = || std::iter::once(&self.first).chain(&self.joined);
        let dead = all().any(|trigger| trigger.dead && trigger.about.identity() == self.identity());
        let patience = if dead { settle } else { settle + PATIENCE };
        now.since(self.opened) >= patience
    }

    /// Adds a trigger. That a process was the OOM killer's victim may be told after its death: it is the better
    /// reason, and takes the first place.
    fn join(&mut self, mut trigger: Trigger) {
        let same_death = self.identity() == trigger.about.identity();
        if same_death && trigger.reason == Reason::Oom && self.first.reason == Reason::Signal(9) {
            std::mem::swap(&mut self.first, &mut trigger);
        }
        self.joined.push(trigger);
    }

    fn belongs(&self, trigger: &Trigger) -> bool {
        let all = || std::iter::once(&self.first).chain(&self.joined);
        let identity = trigger.about.identity();
        let same_death = all().any(|known| known.about.identity() == identity);
        let cgroup = |about: &About| about.process().map(|process| process.cgroup);
        let same_oom = self.first.reason == Reason::Oom
            && trigger.reason == Reason::Oom
            && cgroup(&self.first.about) == cgroup(&trigger.about);
        // When pid 1 of a namespace dies, the kernel kills the rest of it in its context.
        let dragged_along = trigger
            .killed_by_kernel_for
            .is_some_and(|by| all().any(|known| known.about.identity() == Identity::Process(by)))
            && trigger.reason == Reason::Signal(9);
        same_death || same_oom || dragged_along
    }
}

/// All open incidents.
#[derive(Debug)]
pub struct Incidents {
    config: Config,
    open: Vec<Incident>,
    throttle: Throttle,
    /// What closed incidents were about and what is counted elsewhere, latest last.
    told: VecDeque<Identity>,
    /// Deaths that are part of another, which was no incident so far: the OOM killer's mark may come after the death.
    strays: VecDeque<Trigger>,
}

impl Incidents {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            open: Vec::new(),
            throttle: Throttle::new(config.throttle),
            told: VecDeque::new(),
            strays: VecDeque::new(),
        }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes a trigger: it joins an open incident, repeats one, opens one, or is held back.
    pub fn take(&mut self, trigger: Trigger, now: BootTime) {
        if let Some(incident) = self.open.iter_mut().find(|open| open.belongs(&trigger)) {
            incident.join(trigger);
            return;
        }
        if trigger.only_joins {
            self.strays.push_back(trigger);
            self.strays
                .drain(..self.strays.len().saturating_sub(MAX_STRAYS));
            return;
        }
        let identity = trigger.about.identity();
        if self.told.contains(&identity) {
            self.throttle.renew(trigger);
            return;
        }
        let signature = &trigger.signature;
        let same = |open: &Incident| open.first.signature == *signature;
        let speaker = match self.open.iter().position(same) {
            // Nothing is forgotten: the incident opened last speaks for it.
            None if self.open.len() >= MAX_OPEN => self.open.last_mut(),
            None => None,
            Some(index) => self.open.get_mut(index),
        };
        if let Some(incident) = speaker {
            incident.repeats += 1;
        } else if self.throttle.decide(&trigger, now) == Decision::Open {
            return self.push(trigger, 0, now);
        }
        self.remember([identity]);
    }

    fn push(&mut self, first: Trigger, repeats: u64, now: BootTime) {
        let identity = first.about.identity();
        let own = |stray: &Trigger| stray.about.identity() == identity;
        let joined = self
            .strays
            .iter()
            .filter(|stray| own(stray))
            .cloned()
            .collect();
        self.open.push(Incident {
            first,
            joined,
            repeats,
            opened: now,
            cut_short: false,
        });
    }

    /// Incidents that are settled at `now`, oldest first.
    pub fn settled(&mut self, now: BootTime) -> Vec<Incident> {
        for Released { trigger, others } in self.throttle.release(now, false) {
            self.push(trigger, others, now);
        }
        let settle = self.config.settle;
        let (closed, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|incident| incident.is_settled(settle, now));
        self.open = open;
        self.remember(closed.iter().flat_map(|incident| {
            let joined = incident
                .joined
                .iter()
                .map(|trigger| trigger.about.identity());
            std::iter::once(incident.identity()).chain(joined)
        }));
        closed
    }

    fn remember(&mut self, identities: impl IntoIterator<Item = Identity>) {
        self.told.extend(identities);
        let excess = self.told.len().saturating_sub(MAX_TOLD);
        self.told.drain(..excess);
    }

    /// Everything that is still open or held back: the recorder is about to stop.
    pub fn close_all(&mut self, now: BootTime) -> Vec<Incident> {
        for Released { trigger, others } in self.throttle.release(now, true) {
            self.push(trigger, others, now);
        }
        let mut closed = std::mem::take(&mut self.open);
        for incident in &mut closed {
            incident.cut_short = now.since(incident.first.at) < self.config.settle;
        }
        closed
    }
}
