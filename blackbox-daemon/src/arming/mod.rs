//! Which containers are worth more attention than others, and for how long: those are armed, and every call of theirs is
//! kept (`sources/ebpf/tail`).
//!
//! Reads every record; makes orders for the kernel source. Pure. Guarantee: never more are armed than there are slots; of
//! more that deserve it the better reason has the slot, and nothing is armed for longer than its reason is renewed.

mod growth;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use self::growth::Growth;
pub use self::reason::Reason;
use crate::identity::{Names, Place};
use crate::incident::trigger::Rules;
use crate::record::{
    BootTime, CgroupId, Condition, ContainerState, Event, Exit, PodFacts, Record, WaitCause,
};

/// How long a container stays armed after its last reason.
const LASTS: Duration = Duration::from_secs(120);
/// How long a place is remembered whose process ended badly: longer than the longest pause of CrashLoopBackOff (5 min).
const CRASH_REMEMBERED: Duration = Duration::from_secs(900);
/// How long one stays disarmed that cost too much, or that the kernel refused.
const REFUSED: Duration = Duration::from_secs(300);
/// Signals by which processes end in an ordinary way: HUP, INT, PIPE, TERM.
const ENDS: [u32; 4] = [1, 2, 13, 15];
/// Most places and cgroups remembered of each sort.
const MOST: usize = 4096;

/// What the kernel source is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub cgroup: CgroupId,
    /// Arm it until then; `None`: disarm it.
    pub until: Option<BootTime>,
    /// Why, for the record of it.
    pub why: String,
}

/// An armed container.
#[derive(Clone, Debug)]
struct Armed {
    until: BootTime,
    reason: Reason,
}

/// See the module.
#[derive(Debug)]
pub struct Arming {
    slots: usize,
    armed: HashMap<CgroupId, Armed>,
    /// Disarmed against our will, and until when they stay so.
    refused: HashMap<CgroupId, BootTime>,
    /// Where a first process ended badly, and when: a pod by uid, else a cgroup by path.
    crashed: HashMap<String, BootTime>,
    growth: Growth,
    orders: Vec<Order>,
}

impl Arming {
    /// Nothing armed, and room for so many; 0: nothing ever is.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            slots,
            armed: HashMap::new(),
            refused: HashMap::new(),
            crashed: HashMap::new(),
            growth: Growth::default(),
            orders: Vec::new(),
        }
    }

    /// Looks whether a record is a reason.
    pub fn observe(&mut self, record: &Record, names: &Names, rules: &Rules) {
        if self.slots == 0 {
            return;
        }
        let at = record.at;
        match (&record.event, record.subject.cgroup()) {
            (Event::Exit(exit), Some(id)) => self.exited(exit, (id, at), names),
            (Event::CgroupCreated { .. }, Some(id)) => {
                if let Some(key) = key(id, names)
                    && self.crashed_lately(&key, at)
                {
                    self.want(id, at, Reason::Crashed);
                }
            }
            (Event::CgroupRemoved { .. }, Some(id)) => {
                self.growth.forget(id);
                self.refused.remove(&id);
                if self.armed.remove(&id).is_some() {
                    self.order(id, None, "it is gone".to_owned());
                }
            }
            (Event::Cgroup(sample), Some(id)) => {
                if let Some(reason) = self.growth.look(id, at, sample)
                    && is_watched(id, names, rules)
                {
                    self.want(id, at, reason);
                }
            }
            (Event::CallCounts(counts), Some(id)) => {
                if let Some(reason) = reason::of_calls(counts)
                    && is_watched(id, names, rules)
                {
                    self.want(id, at, reason);
                }
            }
            (Event::Pod(facts), _) => self.pod(facts, at, names),
            (Event::PodCondition(condition), _) => {
                if let Condition::Waiting {
                    cause: WaitCause::CrashLoopBackOff,
                    ..
                } = condition.what
                {
                    self.remember(condition.pod.uid.clone(), at);
                }
            }
            (Event::Arming(told), Some(id)) if told.until.is_none() => self.refused(id, at),
            _ => {}
        }
    }

    /// The kernel source disarmed it. Those we wanted disarmed are gone from the list already.
    fn refused(&mut self, id: CgroupId, at: BootTime) {
        if self.armed.remove(&id).is_some() && self.refused.len() < MOST {
            self.refused.insert(id, at.plus(REFUSED));
        }
    }

    /// The first process of a container ended badly; or, where there is no container, a process crashed: the next life at its
    /// place is armed.
    fn exited(&mut self, exit: &Exit, (id, at): (CgroupId, BootTime), names: &Names) {
        let first = exit.ns_pid == 1 && exit.ns_level > 0;
        let signal = exit.status.signal();
        let crashed = exit.ns_level == 0 && signal.is_some_and(|signal| !ENDS.contains(&signal));
        if exit.status.0 == 0 || !(first || crashed) {
            return;
        }
        if let Some(key) = key(id, names) {
            self.remember(key, at);
        }
    }

    fn remember(&mut self, key: String, at: BootTime) {
        if self.crashed.len() < MOST || self.crashed.contains_key(&key) {
            self.crashed.insert(key, at);
        }
    }

    fn crashed_lately(&self, key: &str, at: BootTime) -> bool {
        let crashed = self.crashed.get(key);
        crashed.is_some_and(|crashed| at.since(*crashed) < CRASH_REMEMBERED)
    }

    /// Its annotation wants it, or one of its containers runs again after a bad end.
    fn pod(&mut self, facts: &PodFacts, at: BootTime, names: &Names) {
        for container in &facts.containers {
            let (Some(id), ContainerState::Running { .. }) = (&container.id, &container.state)
            else {
                continue;
            };
            let reason = match (facts.wishes.every_call, &container.last_end) {
                (true, _) => Reason::Annotation,
                (false, Some(end)) if end.exit_code != 0 => Reason::Crashed,
                _ => continue,
            };
            for cgroup in names.cgroups_where(|place| place.is_container(id)) {
                self.want(cgroup, at, reason.clone());
            }
        }
    }

    /// Arms it, or keeps it armed.
    fn want(&mut self, id: CgroupId, at: BootTime, reason: Reason) {
        if self.refused.get(&id).is_some_and(|until| at < *until) {
            return;
        }
        let until = match reason.lasts() {
            true => BootTime(u64::MAX),
            false => at.plus(LASTS),
        };
        if let Some(armed) = self.armed.get_mut(&id) {
            armed.until = armed.until.max(until);
            if reason.rank() > armed.reason.rank() {
                armed.reason = reason;
            }
            return;
        }
        if self.armed.len() >= self.slots && !self.make_room(&reason) {
            return;
        }
        self.order(id, Some(until), reason.in_words());
        self.armed.insert(id, Armed { until, reason });
    }

    /// Disarms the one with the worst reason, if that is worse than `reason`; of several, the one that would be first.
    fn make_room(&mut self, reason: &Reason) -> bool {
        let worst = self
            .armed
            .iter()
            .min_by_key(|(id, armed)| (armed.reason.rank(), armed.until, **id));
        let Some((id, armed)) = worst else {
            return false;
        };
        if armed.reason.rank() >= reason.rank() {
            return false;
        }
        let id = *id;
        self.armed.remove(&id);
        self.order(id, None, "another one needs its place".to_owned());
        true
    }

    fn order(&mut self, cgroup: CgroupId, until: Option<BootTime>, why: String) {
        self.orders.push(Order { cgroup, until, why });
    }

    /// What the kernel source is to do now.
    pub fn turn(&mut self, now: BootTime) -> Vec<Order> {
        let over: Vec<CgroupId> = self
            .armed
            .iter()
            .filter(|(_, armed)| armed.until <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.armed.remove(&id);
            self.order(id, None, "its reason is over".to_owned());
        }
        self.refused.retain(|_, until| now < *until);
        self.crashed
            .retain(|_, at| now.since(*at) < CRASH_REMEMBERED);
        std::mem::take(&mut self.orders)
    }

    /// The armed cgroups, in order of their ids.
    #[must_use]
    pub fn armed(&self) -> Vec<CgroupId> {
        let mut armed: Vec<CgroupId> = self.armed.keys().copied().collect();
        armed.sort_unstable();
        armed
    }
}

/// By what a container's next life is known: its pod, else its cgroup's path.
fn key(id: CgroupId, names: &Names) -> Option<String> {
    let known = names.cgroup(id)?;
    match &known.place {
        Place::Root => None,
        place => Some(place.pod_uid().unwrap_or(&known.path).to_owned()),
    }
}

/// Containers and units are, and the cgroups the user names.
fn is_watched(id: CgroupId, names: &Names, rules: &Rules) -> bool {
    let Some(known) = names.cgroup(id) else {
        return false;
    };
    match &known.place {
        Place::Container { .. } | Place::Unit(_) => true,
        Place::Root => false,
        Place::Plain(path) => rules.watches(path),
    }
}
