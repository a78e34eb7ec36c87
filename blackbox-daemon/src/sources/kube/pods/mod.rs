//! The pods of this node as they are known: takes what a watch tells, gives the records of what is new. Pure.
//!
//! By uid: a pod that has the name of a former one is another. A fresh list tells who is gone; a change that is older
//! than what is known, or of a pod that is gone, is nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::edges::{self, Sight};
use super::facts::Look;
use super::object::Pod;
use super::seen::{Key, Seen};
use crate::clock::WallOffset;
use crate::record::{
    BootTime, Condition, ContainerFacts, ContainerState, Event, Phase, PodFacts, PodIdentity,
    Record, Subject,
};

/// Most pods known at once; a kubelet runs 110 by default.
const MOST: usize = 16_384;
/// As many gone pods are remembered, for what is told of them late.
const GONE: usize = 1024;

/// The time of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: BootTime,
    pub(super) wall: WallOffset,
}

/// A pod that is known.
#[derive(Debug)]
struct Known {
    facts: PodFacts,
    /// What it was when it was last told of; grows with every change.
    version: Option<u64>,
    pending_since: BootTime,
    pending_told: bool,
    /// The ends its statuses show.
    shown: Vec<Key>,
}

/// The pods, and what was recorded of them.
#[derive(Debug)]
pub(super) struct Pods {
    node: String,
    /// How long a pod may be pending.
    patience: Duration,
    known: HashMap<String, Known>,
    gone: VecDeque<PodIdentity>,
    pub(super) seen: Seen,
    /// How the first list is to be taken; later ones are news.
    first: Option<Sight>,
}

impl Pods {
    /// `seen`: what an earlier daemon recorded; without it, what the first list shows is taken as recorded, but for
    /// what ended after `started`.
    pub(super) fn new(
        node: String,
        patience: Duration,
        seen: Option<Seen>,
        started: Moment,
    ) -> Self {
        let wall = started.wall.wall(started.now).as_nanosecond();
        let first = match &seen {
            Some(_) => Sight::News,
            None => Sight::Old {
                but_since: i64::try_from(wall).unwrap_or(i64::MAX),
            },
        };
        Self {
            node,
            patience,
            known: HashMap::new(),
            gone: VecDeque::new(),
            seen: seen.unwrap_or_default(),
            first: Some(first),
        }
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The pod of that uid, also for a while after it is gone.
    pub(super) fn identity(&self, uid: &str) -> Option<PodIdentity> {
        let known = self.known.get(uid).map(|known| known.facts.identity());
        known.or_else(|| self.gone.iter().find(|gone| gone.uid == uid).cloned())
    }

    /// Takes a list of everything there is.
    pub(super) fn listed(&mut self, pods: &[Pod], at: Moment) -> Vec<Record> {
        let sight = self.first.take().unwrap_or(Sight::News);
        let there: HashSet<&str> = pods.iter().map(|pod| &*pod.metadata.uid).collect();
        let missing = self.known.keys().filter(|uid| !there.contains(&***uid));
        let mut missing: Vec<String> = missing.cloned().collect();
        missing.sort_unstable();
        let mut records = Vec::new();
        for uid in missing {
            records.extend(self.end(&uid, true, at));
        }
        for pod in pods {
            // Whatever was known: a list is the truth, also after the API server's data were restored.
            if let Some(known) = self.known.get_mut(&pod.metadata.uid) {
                known.version = None;
            }
            self.gone.retain(|gone| gone.uid != pod.metadata.uid);
            records.extend(self.take(pod, sight, at));
        }
        records
    }

    /// Takes a pod that was added or changed.
    pub(super) fn applied(&mut self, pod: &Pod, at: Moment) -> Vec<Record> {
        let uid = &pod.metadata.uid;
        if self.gone.iter().any(|gone| gone.uid == *uid) {
            return Vec::new();
        }
        self.take(pod, Sight::News, at)
    }

    /// Takes a pod's last state.
    pub(super) fn deleted(&mut self, pod: &Pod, at: Moment) -> Vec<Record> {
        let mut records = self.applied(pod, at);
        records.extend(self.end(&pod.metadata.uid, false, at));
        records
    }

    /// Records which pods have been pending for too long.
    pub(super) fn tick(&mut self, at: Moment) -> Vec<Record> {
        let mut records = Vec::new();
        for known in self.known.values_mut() {
            let pending = at.now.since(known.pending_since);
            if known.facts.phase != Phase::Pending || known.pending_told || pending < self.patience
            {
                continue;
            }
            known.pending_told = true;
            let what = Condition::PendingLong {
                seconds: pending.as_secs(),
            };
            if self.seen.note(Key::of_condition(&known.facts, &what)) {
                records.push(record(
                    at,
                    edges::condition(&look(&known.facts), what, false),
                ));
            }
        }
        records
    }

    fn take(&mut self, pod: &Pod, sight: Sight, at: Moment) -> Vec<Record> {
        let uid = &pod.metadata.uid;
        let elsewhere = pod
            .spec
            .node_name
            .as_ref()
            .is_some_and(|name| *name != self.node);
        let version = pod
            .metadata
            .resource_version
            .as_ref()
            .and_then(|v| v.parse().ok());
        let known = self.known.get(uid);
        let stale = known
            .and_then(|known| known.version)
            .zip(version)
            .is_some_and(|(a, b)| b < a);
        let no_room = known.is_none() && self.known.len() >= MOST;
        if uid.is_empty() || elsewhere || stale || no_room {
            return Vec::new();
        }
        let mut look = Look::of(pod);
        let old = known.map(|known| &known.facts);
        if let Some(first) = old.and_then(|old| old.deletion)
            && is_finished(&look.facts)
        {
            // The last step of a deletion sets the grace period to 0; what the containers were given was another one.
            look.facts.deletion = Some(first);
        }
        let events = edges::edges(old, &look, sight, &mut self.seen);
        let shown = look.ends.iter().map(Key::of_end).collect();
        let (since, told) = match known {
            Some(known) if known.facts.phase == look.facts.phase => {
                (known.pending_since, known.pending_told)
            }
            Some(_) => (at.now, false),
            None => {
                let created = look.facts.created.and_then(|wall| at.wall.boot(wall));
                let since = created.unwrap_or(at.now).min(at.now);
                let old = matches!(sight, Sight::Old { .. });
                (since, old && at.now.since(since) >= self.patience)
            }
        };
        let known = Known {
            facts: look.facts,
            version,
            pending_since: since,
            pending_told: told,
            shown,
        };
        self.known.insert(uid.clone(), known);
        self.forget();
        events.into_iter().map(|event| record(at, event)).collect()
    }

    /// Takes leave of a pod. `unseen`: nobody said so, it is just not there any more.
    fn end(&mut self, uid: &str, unseen: bool, at: Moment) -> Option<Record> {
        let known = self.known.remove(uid)?;
        if self.gone.len() >= GONE {
            self.gone.pop_front();
        }
        self.gone.push_back(known.facts.identity());
        let what = Condition::Gone { unseen };
        Some(record(
            at,
            edges::condition(&look(&known.facts), what, false),
        ))
    }

    fn forget(&mut self) {
        if self.seen.is_full() {
            let shown = self
                .known
                .values()
                .flat_map(|known| known.shown.iter().cloned());
            self.seen.forget(&shown.collect());
        }
    }
}

/// Whether the kubelet has ended its containers and takes the pod away. One that is deleted by force still runs.
fn is_finished(facts: &PodFacts) -> bool {
    let forced = facts.deletion.is_some_and(|it| it.grace_seconds == Some(0));
    let runs = |it: &ContainerFacts| matches!(it.state, ContainerState::Running { .. });
    forced && !facts.containers.iter().any(runs)
}

/// A pod of which nothing is told at the moment.
fn look(facts: &PodFacts) -> Look {
    Look {
        facts: facts.clone(),
        ends: Vec::new(),
        waits: Vec::new(),
    }
}

/// When it was told, not when the kubelet says it happened: its seconds are whole, and its clock another one.
fn record(at: Moment, event: Event) -> Record {
    Record {
        at: at.now,
        subject: Subject::Pod,
        event,
    }
}

#[cfg(test)]
mod tests;
