//! What a container's samples say of its near future: memory and tasks that grow, throttling, stalls.
//!
//! Remembers one earlier sample of each cgroup, a few seconds old. Thresholds are ours: below them a container is ordinary.

use std::collections::HashMap;
use std::time::Duration;

use super::MOST;
use super::reason::Reason;
use crate::record::{BootTime, CgroupId, CgroupSample, MemoryUse, Throttling};

/// How old the sample is that growth is measured from.
const SPAN: Duration = Duration::from_secs(5);
/// Used share of a limit from which on it is near.
const NEAR: u64 = 90;
/// Growth counts from this share of the limit on …
const GROWS_FROM: u64 = 50;
/// … if it leads to the limit within this time.
const GROWS_TO: u64 = 30;
/// More tasks within [`SPAN`], if they also are half as many again.
const MORE_TASKS: u64 = 50;
/// Share of periods throttled, of at least [`PERIODS`] in [`SPAN`].
const THROTTLED: u64 = 50;
const PERIODS: u64 = 10;
/// Share of time stalled.
const STALLED: f32 = 40.0;

/// An earlier sample.
#[derive(Clone, Copy, Debug)]
struct Before {
    at: BootTime,
    memory: Option<u64>,
    tasks: Option<u64>,
    throttling: Option<Throttling>,
}

/// Earlier samples, by cgroup.
#[derive(Debug, Default)]
pub(super) struct Growth {
    before: HashMap<CgroupId, Before>,
}

impl Growth {
    /// The best reason that this sample gives.
    pub(super) fn look(
        &mut self,
        id: CgroupId,
        at: BootTime,
        sample: &CgroupSample,
    ) -> Option<Reason> {
        let now = Before {
            at,
            memory: sample.memory.as_ref().map(used),
            tasks: sample.pids.map(|pids| pids.current),
            throttling: sample.throttling,
        };
        let before = self.before.get(&id).copied();
        let old = before.is_none_or(|before| at.since(before.at) >= SPAN);
        if old && (self.before.len() < MOST || before.is_some()) {
            self.before.insert(id, now);
        }
        let before = before.filter(|before| at.since(before.at) >= Duration::from_secs(1));
        let reasons = [
            sample.memory.and_then(|memory| memory_near(&memory)),
            sample.pids.and_then(|pids| {
                let max = pids.max?;
                (pids.current * 100 >= max * NEAR)
                    .then_some(Reason::TasksNearLimit(pids.current, max))
            }),
            before.and_then(|before| memory_grows(sample.memory.as_ref()?, before, at)),
            before.and_then(|before| tasks_grow(before, now)),
            before.and_then(|before| throttled(before, now)),
            stalled(sample),
        ];
        // The first of the best: `max_by_key` would take the last.
        reasons.into_iter().flatten().rev().max_by_key(Reason::rank)
    }

    pub(super) fn forget(&mut self, id: CgroupId) {
        self.before.remove(&id);
    }
}

/// What the kernel cannot take back by itself, where that is known: the page cache is no danger.
fn used(memory: &MemoryUse) -> u64 {
    memory.anon.unwrap_or(memory.current)
}

fn memory_near(memory: &MemoryUse) -> Option<Reason> {
    let percent = used(memory).saturating_mul(100) / memory.max.filter(|max| *max > 0)?;
    let percent = u8::try_from(percent.min(100)).unwrap_or(100);
    (u64::from(percent) >= NEAR).then_some(Reason::MemoryNearLimit(percent))
}

fn memory_grows(memory: &MemoryUse, before: Before, at: BootTime) -> Option<Reason> {
    let (max, now) = (memory.max?, used(memory));
    if now.saturating_mul(100) < max.saturating_mul(GROWS_FROM) {
        return None;
    }
    let grown = now.checked_sub(before.memory?).filter(|grown| *grown > 0)?;
    let left = u128::from(max.saturating_sub(now));
    let seconds = left * at.since(before.at).as_nanos() / u128::from(grown) / 1_000_000_000;
    let seconds = u64::try_from(seconds).ok()?;
    (seconds <= GROWS_TO).then_some(Reason::MemoryGrows(seconds))
}

fn tasks_grow(before: Before, now: Before) -> Option<Reason> {
    let (then, now) = (before.tasks?, now.tasks?);
    let more = now.checked_sub(then)?;
    (more >= MORE_TASKS && more * 2 >= then).then_some(Reason::TasksGrow(more))
}

fn throttled(before: Before, now: Before) -> Option<Reason> {
    let (then, now) = (before.throttling?, now.throttling?);
    let periods = now.periods.checked_sub(then.periods)?;
    let throttled = now.throttled_periods.checked_sub(then.throttled_periods)?;
    let percent = throttled.saturating_mul(100).checked_div(periods)?;
    let percent_told = u8::try_from(percent.min(100)).unwrap_or(100);
    (periods >= PERIODS && percent >= THROTTLED).then_some(Reason::Throttled(percent_told))
}

fn stalled(sample: &CgroupSample) -> Option<Reason> {
    let pressure = sample.pressure?;
    let stalls = [("memory", pressure.memory), ("disks", pressure.io)];
    stalls.into_iter().find_map(|(what, stall)| {
        let share = stall?.some_avg10;
        (share >= STALLED).then_some(Reason::Stalled(what, share as u8))
    })
}
