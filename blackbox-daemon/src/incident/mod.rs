//! Incidents: one thing that went wrong. Several triggers about one death join one incident.
//!
//! ```text
//!   trigger ─┬─► joins an open incident
//!            ├─► stops: was it meant to end? ── yes ─► counted, no incident
//!            │          └ not known yet ─► waits for the cluster's word
//!            └─► Open ── settle time over (or the end) ──► Closed: a report is made
//!                 │ ▲
//!                 └─┘ further triggers about the same death join; others of its signature count as repeats
//! ```
//!
//! Pure: time and names come in as arguments; triggers in, closed incidents out.

pub mod ends;
mod kinship;
mod stops;
pub mod throttle;
pub mod trigger;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::kinship::Kinship;
use self::stops::{Meant, Stops};
use self::throttle::{Decision, Released, Throttle};
use self::trigger::{About, Identity, Reason, Trigger, Trouble};
use crate::clock::WallOffset;
use crate::identity::Names;
use crate::record::{BootTime, ContainerFacts, ContainerState, Process, Record};

/// Incidents open at once; beyond, deaths are held back like repeats.
pub const MAX_OPEN: usize = 256;
/// How much longer than to settle an incident waits for the death itself (an OOM victim can take seconds to die), and for
/// the kubelet's word about the end of a container, which takes a second or two.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Deaths that were told or counted, remembered so that a further record of it does neither again.
const MAX_TOLD: usize = 4096;
/// Deaths that may yet turn out to be part of an incident.
const MAX_STRAYS: usize = 64;

/// When incidents close, and how often a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// How long after its death an incident stays open for what belongs to it.
    pub settle: Duration,
    /// One full report per signature in this time.
    pub throttle: Duration,
}

/// What is known at the moment, beyond the trigger.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    pub at: BootTime,
    pub wall: WallOffset,
    pub names: &'a Names,
    /// The API server is being followed: it will say what became of a container.
    pub followed: bool,
}

/// One thing that went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// What opened it, and what the report is about.
    pub first: Trigger,
    /// What joined it.
    pub joined: Vec<Trigger>,
    /// Deaths of the same signature that have no report of their own.
    pub repeats: u64,
    /// Of these, deaths of other signatures: so much died at once that no further incident could be opened.
    pub crowd: u64,
    /// When it was opened, by the recorder's clock.
    pub opened: BootTime,
    /// It was closed before its settle time was over.
    pub cut_short: bool,
}

impl Incident {
    fn new(first: Trigger, opened: BootTime) -> Self {
        Self {
            first,
            joined: Vec::new(),
            repeats: 0,
            crowd: 0,
            opened,
            cut_short: false,
        }
    }

    /// Everything it is made of, the first thing first.
    pub fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        std::iter::once(&self.first).chain(&self.joined)
    }

    /// The process the report is about, if it is about one.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.first.about.process()
    }

    /// The reporter's id, whoever reported; or one that no other incident has. Of a process: kind, pid, and the start of
    /// that process in hex. Of what the API server told: v1's names, made unique by container id or pod uid.
    #[must_use]
    pub fn id(&self) -> String {
        let reported = self.triggers().find_map(|trigger| match &trigger.about {
            About::Reported(reported) => Some(reported),
            _ => None,
        });
        if let Some(reported) = reported {
            return reported.id.clone();
        }
        let at = self.first.at.0;
        match &self.first.about {
            About::Process(process) => {
                let kind = match self.first.reason {
                    Reason::Oom => "oom",
                    Reason::Signal(_) => "signal",
                    _ => "exit",
                };
                format!("{kind}-{}-{:x}", process.key.tgid, process.key.start.0)
            }
            About::Container(ended) => {
                // v1: a container that ended, and one that has been started again since.
                let kind = match self.first.reason {
                    Reason::Restarts(_) => "container-restart",
                    _ => "container-failed",
                };
                let seconds = ended.end.finished.unwrap_or(0) / 1_000_000_000;
                let (pod, container) = (&ended.pod.pod.name, &ended.container);
                let id = ended.end.container_id.as_ref();
                let id = short(id.map_or(&ended.pod.uid, |id| id));
                format!("{kind}-{pod}-{container}-{seconds}-{id}")
            }
            About::Pod(condition) => {
                let kind = match self.first.reason {
                    Reason::Trouble(trouble) => trouble.name(),
                    _ => "pod",
                };
                let (pod, uid) = (&condition.pod.pod.name, short(&condition.pod.uid));
                format!("{kind}-{pod}-{uid}-{at:x}")
            }
            About::Node(event) => format!("node-{}-{at:x}", event.reason),
            About::Reported(reported) => reported.id.clone(),
            About::Recorder(began) => {
                let kind = match self.first.reason {
                    Reason::Trouble(trouble) => trouble.name(),
                    _ => "recorder",
                };
                format!("{kind}-{:x}-{at:x}", began.last.0)
            }
        }
    }

    fn identity(&self) -> Identity {
        self.first.about.identity()
    }

    fn is_settled(&self, settle: Duration, now: &Now<'_>) -> bool {
        let own = |trigger: &&Trigger| trigger.about.identity() == self.identity();
        let dead = self.triggers().filter(own).any(|trigger| trigger.dead);
        let complete = dead && !self.waits_for_kubelet(now) && !self.waits_for_containers(now);
        let patience = match complete {
            true => settle,
            false => settle + PATIENCE,
        };
        now.at.since(self.opened) >= patience
    }

    /// Whether the kubelet has yet to say how a container ended that the kernel saw ending.
    fn waits_for_kubelet(&self, now: &Now<'_>) -> bool {
        let ends = self.triggers().find(|trigger| trigger.ends_container);
        let container = ends.and_then(|trigger| trigger.location.container.as_deref());
        let known = container.is_some_and(|id| now.names.container_by_id(id).is_some());
        let said = |trigger: &Trigger| trigger.about.ended().is_some();
        now.followed && known && !self.triggers().any(said)
    }

    /// Whether a pod is to end and its containers still run: their ends are part of it.
    fn waits_for_containers(&self, now: &Now<'_>) -> bool {
        let About::Pod(condition) = &self.first.about else {
            return false;
        };
        let runs = |it: &ContainerFacts| matches!(it.state, ContainerState::Running { .. });
        let facts = now.names.pod_by_uid(&condition.pod.uid);
        let running = facts.is_some_and(|facts| facts.containers.iter().any(runs));
        now.followed && ends_pod(self.first.reason) && running
    }

    /// Adds a trigger. What says more of it takes the first place: what the kernel saw, before what the kubelet says,
    /// before what a sidecar reports; that it was the OOM killer's victim may be told after a process's death.
    fn join(&mut self, mut trigger: Trigger) {
        if kinship::says_more(&trigger, &self.first) {
            std::mem::swap(&mut self.first, &mut trigger);
        }
        self.joined.push(trigger);
    }
}

/// The first digits of an id: enough beside names and times.
fn short(id: &str) -> &str {
    const DIGITS: usize = 12;
    id.get(..DIGITS).unwrap_or(id)
}

/// All open incidents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incidents {
    config: Config,
    open: Vec<Incident>,
    throttle: Throttle,
    stops: Stops,
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
            stops: Stops::default(),
            told: VecDeque::new(),
            strays: VecDeque::new(),
        }
    }

    /// The same, told by `config` from now on.
    #[must_use]
    pub fn configured(self, config: Config) -> Self {
        Self {
            config,
            throttle: self.throttle.paced(config.throttle),
            ..self
        }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Deaths that were meant: of pods that were being deleted.
    #[must_use]
    pub fn meant(&self) -> u64 {
        self.stops.meant()
    }

    /// Learns from a record that is no trigger: who was asked to stop.
    pub fn observe(&mut self, record: &Record) {
        self.stops.observe(record);
    }

    /// Takes a trigger: it joins an open incident, repeats one, opens one, is held back, or was meant.
    pub fn take(&mut self, trigger: Trigger, now: &Now<'_>) {
        if let Some(incident) = self.kin(&trigger) {
            incident.join(trigger);
            return;
        }
        if trigger.only_joins {
            self.strays.push_back(trigger);
            self.strays
                .drain(..self.strays.len().saturating_sub(MAX_STRAYS));
            return;
        }
        if self.is_told(&trigger) {
            self.throttle.renew(trigger);
            return;
        }
        match self.stops.judge(&trigger, now) {
            Meant::Yes => self.remember(&trigger),
            Meant::NotKnown => {
                if let Some(trigger) = self.stops.wait(trigger, now) {
                    self.admit(trigger, now);
                }
            }
            Meant::No => self.admit(trigger, now),
        }
    }

    /// The open incident that is nearest to a trigger, if it is part of one.
    fn kin(&mut self, trigger: &Trigger) -> Option<&mut Incident> {
        let near = |incident: &Incident| Kinship::of(incident, trigger);
        let kin = self.open.iter_mut().filter(|open| near(open).is_some());
        kin.max_by_key(|open| near(open))
    }

    fn is_told(&self, trigger: &Trigger) -> bool {
        kinship::identities(trigger).any(|identity| self.told.contains(&identity))
    }

    /// Takes a trigger that is part of no incident and not meant.
    fn admit(&mut self, trigger: Trigger, now: &Now<'_>) {
        // Something that waited may be part of what was opened meanwhile.
        if let Some(incident) = self.kin(&trigger) {
            incident.join(trigger);
            return;
        }
        let signature = &trigger.signature;
        let same = |open: &Incident| open.first.signature == *signature;
        if let Some(incident) = self.open.iter_mut().find(|open| same(open)) {
            incident.repeats += 1;
        } else if self.open.len() >= MAX_OPEN
            && let Some(incident) = self.open.last_mut()
        {
            // Nothing is forgotten: the incident opened last speaks for it.
            incident.repeats += 1;
            incident.crowd += 1;
        } else if self.throttle.decide(&trigger, now.at) == Decision::Open {
            return self.push(trigger, 0, now.at);
        }
        self.remember(&trigger);
    }

    fn push(&mut self, first: Trigger, repeats: u64, now: BootTime) {
        let mut incident = Incident::new(first, now);
        incident.repeats = repeats;
        let strays = std::mem::take(&mut self.strays).into_iter();
        let (own, others) =
            strays.partition(|stray: &Trigger| Kinship::of(&incident, stray).is_some());
        self.strays = others;
        incident.joined = Vec::from(own);
        self.open.push(incident);
    }

    /// Incidents that are settled now, oldest first.
    pub fn settled(&mut self, now: &Now<'_>) -> Vec<Incident> {
        for trigger in self.stops.release(now, self.config.settle) {
            match self.stops.judge(&trigger, now) {
                Meant::Yes => self.remember(&trigger),
                Meant::No | Meant::NotKnown => self.admit(trigger, now),
            }
        }
        for Released { trigger, others } in self.throttle.release(now.at, false) {
            self.push(trigger, others, now.at);
        }
        let settle = self.config.settle;
        let (closed, open): (Vec<_>, _) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|incident: &Incident| incident.is_settled(settle, now));
        self.open = open;
        for trigger in closed.iter().flat_map(Incident::triggers) {
            self.remember(trigger);
        }
        closed
    }

    fn remember(&mut self, trigger: &Trigger) {
        self.told.extend(kinship::identities(trigger));
        let excess = self.told.len().saturating_sub(MAX_TOLD);
        self.told.drain(..excess);
    }

    /// Everything that is still open or held back: the recorder is about to stop.
    pub fn close_all(&mut self, now: &Now<'_>) -> Vec<Incident> {
        for trigger in self.stops.release(now, Duration::ZERO) {
            self.admit(trigger, now);
        }
        for Released { trigger, others } in self.throttle.release(now.at, true) {
            self.push(trigger, others, now.at);
        }
        let mut closed = std::mem::take(&mut self.open);
        for incident in &mut closed {
            incident.cut_short = now.at.since(incident.first.at) < self.config.settle;
        }
        closed
    }
}

/// Whether this is about a pod's end by somebody's decision.
fn ends_pod(reason: Reason) -> bool {
    matches!(reason, Reason::Trouble(trouble) if Trouble::ends_pod(trouble))
}
