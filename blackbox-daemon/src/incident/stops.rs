//! Was it meant to end? A pod that is deleted (a roll-out, a scale-down, a drain) is stopped, and that is no incident.
//!
//! What the kernel shows of such an end looks like any other kill. The API server says that the pod was to end, mostly
//! before the kill and sometimes a moment after: an end that may have been a stop waits for its word, for the settle time
//! at most. Deaths that no stop explains (out of memory, a fault, a kill after the grace period ran out) never wait.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Now;
use super::trigger::{self, About, Reason, Trigger};
use crate::record::{BootTime, ContainerState, Deletion, Event, PodFacts, ProcessKey, Record};

/// Ends that may wait at once; one more, and the oldest becomes an incident.
const MAX_WAITING: usize = 256;
/// Processes that were asked to stop and are remembered for it.
const MAX_ASKED: usize = 1024;
/// The API server keeps whole seconds.
const SECOND: i64 = 1_000_000_000;
const SIGKILL: u32 = 9;
/// Signals of a crash, whoever was about to stop the process: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.
const CRASHES: [u32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// Whether an end was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    Yes,
    No,
    /// It may have been; the API server will say.
    NotKnown,
}

/// Ends that wait, and what is known of stops.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stops {
    waiting: VecDeque<(BootTime, Trigger)>,
    /// Processes that were sent a signal to stop; latest last.
    asked: VecDeque<ProcessKey>,
    meant: u64,
}

impl Stops {
    /// Ends that were meant.
    pub(super) fn meant(&self) -> u64 {
        self.meant
    }

    /// Learns who was asked to stop.
    pub(super) fn observe(&mut self, record: &Record) {
        let (Event::Signal(sent), Some(process)) = (&record.event, record.subject.process()) else {
            return;
        };
        let signal = &sent.signal;
        let from_outside = signal.sender.cgroup != process.cgroup && signal.from_user();
        // Of one that would be fatal too: a process that blocks it and waits for it does not die of it.
        if sent.ignored || !from_outside || !signal.asks_to_stop() {
            return;
        }
        self.asked.push_back(process.key);
        let excess = self.asked.len().saturating_sub(MAX_ASKED);
        self.asked.drain(..excess);
    }

    /// Whether the end that `trigger` tells was meant; counts it if it was.
    pub(super) fn judge(&mut self, trigger: &Trigger, now: &Now<'_>) -> Meant {
        if !self.may_be_stop(trigger) {
            return Meant::No;
        }
        let Some(facts) = trigger::facts_of(&trigger.location, now.names) else {
            return Meant::No;
        };
        if is_meant(trigger, facts, now) {
            self.meant += 1;
            return Meant::Yes;
        }
        let told = facts.deletion.is_some() || trigger.about.ended().is_some() || !now.followed;
        match told {
            true => Meant::No,
            false => Meant::NotKnown,
        }
    }

    /// Whether it ended as what is stopped ends: by a signal from outside its container, or with a code of its own
    /// after it was asked to.
    fn may_be_stop(&self, trigger: &Trigger) -> bool {
        match (&trigger.about, trigger.reason) {
            (About::Process(_), Reason::Signal(number)) => {
                trigger.from_outside && !CRASHES.contains(&number)
            }
            (About::Process(process), Reason::ExitCode(_)) => {
                trigger.ends_container && self.asked.contains(&process.key)
            }
            (About::Container(_), Reason::Signal(number)) => !CRASHES.contains(&number),
            (About::Container(_), Reason::ExitCode(_)) => true,
            _ => false,
        }
    }

    /// Lets an end wait. Gives what has to go on for want of room.
    pub(super) fn wait(&mut self, trigger: Trigger, now: &Now<'_>) -> Option<Trigger> {
        self.waiting.push_back((now.at, trigger));
        let full = self.waiting.len() > MAX_WAITING;
        full.then(|| self.waiting.pop_front())?
            .map(|(_, trigger)| trigger)
    }

    /// What need not wait any longer: the API server has spoken of it, or `patience` is over.
    pub(super) fn release(&mut self, now: &Now<'_>, patience: Duration) -> Vec<Trigger> {
        let ready = |(since, trigger): &(BootTime, Trigger)| {
            now.at.since(*since) >= patience || is_told(trigger, now)
        };
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(ready);
        self.waiting = waiting;
        ready.into_iter().map(|(_, trigger)| trigger).collect()
    }
}

/// Whether the API server knows by now that the pod is to end, or that the container has ended.
fn is_told(trigger: &Trigger, now: &Now<'_>) -> bool {
    let facts = trigger::facts_of(&trigger.location, now.names);
    if facts.is_none_or(|facts| facts.deletion.is_some() || facts.disruption.is_some()) {
        return true;
    }
    let id = trigger.location.container.as_deref();
    let told = id.and_then(|id| now.names.container_by_id(id));
    told.is_some_and(|(_, container)| {
        let newest = container.id.as_deref() == id;
        !newest || matches!(container.state, ContainerState::Ended(_))
    })
}

/// Whether the pod was to end when its container did, and the container was given its time to.
fn is_meant(trigger: &Trigger, facts: &PodFacts, now: &Now<'_>) -> bool {
    let Some(deletion) = &facts.deletion else {
        // What disrupts it has been told as an incident of the pod.
        return facts.disruption.is_some();
    };
    let ended = ended_at(trigger, now);
    ended >= deletion.began() - SECOND && !expired(trigger, deletion, ended)
}

/// Whether it was killed because its grace period was over.
fn expired(trigger: &Trigger, deletion: &Deletion, ended: i64) -> bool {
    trigger.reason == Reason::Signal(SIGKILL)
        && deletion.grace_seconds.is_some_and(|grace| grace > 0)
        && ended >= deletion.deadline
}

/// Wall time, ns.
fn ended_at(trigger: &Trigger, now: &Now<'_>) -> i64 {
    let finished = trigger.about.ended().and_then(|ended| ended.end.finished);
    finished.unwrap_or_else(|| {
        let wall = now.wall.wall(trigger.at).as_nanosecond();
        i64::try_from(wall).unwrap_or(i64::MAX)
    })
}
