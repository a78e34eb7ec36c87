//! Tails: the calls of armed containers, which the kernel keeps by overwriting, made into records when a process of theirs
//! ends badly.
//!
//! Takes orders to arm and disarm; reads the kernel's places; makes records, each call once. Guarantee: no more containers
//! are armed than there are slots, and what was overwritten before it was read is counted and told.

mod govern;
mod maps;

use std::collections::VecDeque;
use std::time::Duration;

pub(super) use self::maps::Maps;
use super::governor::Governor;
use super::spending::Spending;
use super::switch::Switch;
use crate::arming::Order;
use crate::privileges::Kept;
use crate::record::{Arming, BootTime, CgroupId, Event, Record, Subject};
use crate::sources::feed::BATCH;

/// The calls of one container are read at most so often, unless its first process ended or one was killed: a script whose
/// every second child ends with 1 would have them read without end.
const READ_EVERY: Duration = Duration::from_secs(5);

/// An armed container.
#[derive(Clone, Copy, Debug)]
struct Slot {
    cgroup: CgroupId,
    /// Number of the last call that was read, or that was there before.
    read_to: u64,
    read_at: BootTime,
    /// Number of the last call at the previous look at what it costs.
    seen: u64,
}

/// See the module.
pub(super) struct Tails {
    maps: Maps,
    slots: Vec<Option<Slot>>,
    switch: Switch,
    /// Why the programs cannot be attached at all.
    unable: Option<String>,
    governor: Governor,
    spending: Spending,
    /// Records of calls for which the feed had no room yet.
    waiting: VecDeque<Vec<Record>>,
}

impl Tails {
    /// Tails of so many containers; the whole recorder may cost so many percent of a processor. `unable`: why there will be
    /// none.
    pub(super) fn new(
        maps: Maps,
        (slots, budget): (u32, u32),
        switch: Switch,
        unable: Option<String>,
    ) -> Self {
        Self {
            maps,
            slots: vec![None; slots as usize],
            governor: Governor::new(budget),
            spending: Spending::new(budget),
            switch,
            unable,
            waiting: VecDeque::new(),
        }
    }

    /// What the thread that attaches has given up.
    pub(super) fn kept(&self) -> &Kept {
        self.switch.kept()
    }

    /// What the recorder costs.
    pub(super) fn spending(&self) -> &Spending {
        &self.spending
    }

    /// Arms or disarms a container; tells how that went. `None`: it was so already.
    pub(super) fn follow(&mut self, order: Order, now: BootTime) -> Option<Record> {
        let Order { cgroup, until, why } = order;
        let told = |until, why| Record {
            at: now,
            subject: Subject::Cgroup(cgroup),
            event: Event::Arming(Arming { until, why }),
        };
        if until.is_none() {
            return self.disarm(cgroup).then(|| told(None, why));
        }
        if self.slot_of(cgroup).is_some() {
            return None;
        }
        match self.arm(cgroup, now) {
            Ok(()) => Some(told(until, why)),
            Err(error) => {
                self.disarm(cgroup);
                Some(told(None, format!("{why}, but {error}")))
            }
        }
    }

    fn slot_of(&self, cgroup: CgroupId) -> Option<usize> {
        let own = |slot: &Option<Slot>| slot.is_some_and(|slot| slot.cgroup == cgroup);
        self.slots.iter().position(own)
    }

    fn arm(&mut self, cgroup: CgroupId, now: BootTime) -> Result<(), String> {
        let refused = self.unable.clone().or_else(|| self.governor.refuses(now));
        if let Some(why) = refused {
            return Err(why);
        }
        let free = self.slots.iter().position(Option::is_none);
        let place = free.ok_or_else(|| format!("{} others are armed", self.slots.len()))?;
        let number = place as u32;
        let head = self.maps.head(number).map_err(|e| e.to_string())?;
        self.slots[place] = Some(Slot {
            cgroup,
            read_to: head,
            read_at: BootTime(0),
            seen: head,
        });
        self.maps.arm(cgroup, number)?;
        tracing::debug!(cgroup = cgroup.0, at = now.0, "armed");
        self.switch.tail(true)
    }

    /// Whether it was armed.
    fn disarm(&mut self, cgroup: CgroupId) -> bool {
        let Some(place) = self.slot_of(cgroup) else {
            return false;
        };
        self.slots[place] = None;
        if let Err(error) = self.maps.disarm(cgroup) {
            tracing::warn!(cgroup = cgroup.0, %error, "it stays armed in the kernel");
        }
        if self.slots.iter().all(Option::is_none)
            && let Err(error) = self.switch.tail(false)
        {
            tracing::warn!(error, "the programs that keep every call stay attached");
        }
        true
    }

    /// A cgroup is gone: its slot is free again.
    pub(super) fn forget(&mut self, cgroup: CgroupId) {
        self.disarm(cgroup);
    }

    /// A process died: if that was an end worth asking about, the calls of its armed container become records. Returns the
    /// record of the reading; the calls wait for their place in the feed.
    pub(super) fn at_death(&mut self, record: &Record) -> Option<Record> {
        let (Event::Exit(exit), Some(cgroup)) = (&record.event, record.subject.cgroup()) else {
            return None;
        };
        let place = self.slot_of(cgroup)?;
        let slot = self.slots.get_mut(place)?.as_mut()?;
        let decisive = exit.status.signal().is_some() || (exit.ns_pid == 1 && exit.ns_level > 0);
        if exit.status.0 == 0 || (!decisive && record.at.since(slot.read_at) < READ_EVERY) {
            return None;
        }
        slot.read_at = record.at;
        let slot = *slot;
        let (read, calls) = {
            // There are as many places as a u32 said.
            let number = place as u32;
            self.maps.read(number, slot.read_to, slot.cgroup)
        };
        if let Some(slot) = self.slots.get_mut(place).and_then(Option::as_mut) {
            slot.read_to += read.calls;
        }
        let mut calls = calls.into_iter().peekable();
        while calls.peek().is_some() {
            self.waiting.push_back(calls.by_ref().take(BATCH).collect());
        }
        (read.calls > 0).then_some(Record {
            at: record.at,
            subject: Subject::Cgroup(cgroup),
            event: Event::TailRead(read),
        })
    }

    /// Calls that wait for a place in the feed, a batch.
    pub(super) fn next_batch(&mut self) -> Option<Vec<Record>> {
        self.waiting.pop_front()
    }

    /// Whether any wait.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
