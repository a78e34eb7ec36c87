//! The processes inside of the cgroup that ran out: victims as the kernel measured them, the others by the look right
//! after the kill, and whoever that one did not find (any more) by the last look before it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::super::case::Case;
use super::LedgerProcess;
use crate::record::{
    BootTime, CgroupId, Event, Process, ProcessKey, ProcessMemory, Record, RecordId, Resident,
};
use crate::verdict::Kill;

/// Victims of one group are killed within this time.
const AT_ONCE: Duration = Duration::from_millis(100);
/// A look within this time is one right after the kill; other kills within it are looked at, too.
const TOGETHER: Duration = Duration::from_secs(2);
/// Older looks tell nothing of a kill.
const OLDEST: Duration = Duration::from_secs(10);
/// A process's start as `/proc` has it is cut to whole clock ticks of at most this (`USER_HZ` is 100).
const TICK: Duration = Duration::from_millis(10);

/// What is known of the processes.
#[derive(Default)]
pub(super) struct Inside {
    pub(super) processes: Vec<LedgerProcess>,
    pub(super) others: Option<u64>,
    pub(super) others_rss: Option<u64>,
}

type Records<'a> = &'a [(RecordId, Record)];

/// A look at the processes of a cgroup.
#[derive(Clone, Copy)]
struct Look<'a> {
    id: RecordId,
    at: BootTime,
    found: &'a ProcessMemory,
}

/// Everybody inside of the highest level of the line that anybody looked into.
pub(super) fn inside(
    case: &Case,
    kill: &Kill<'_>,
    decisive: Records<'_>,
    bulk: Records<'_>,
) -> Inside {
    let line = kill.line().rev().map(|level| level.cgroup);
    let looks = line.map(|level| looks(bulk, level, kill.at));
    let (before, after) = looks
        .into_iter()
        .find(|(before, after)| before.is_some() || after.is_some())
        .unwrap_or_default();
    let victims = victims(decisive, kill);
    let mut rows: BTreeMap<u32, LedgerProcess> = BTreeMap::new();
    let mut add = |one: &Resident, (id, at): (RecordId, BootTime), victim: bool| {
        rows.entry(one.tgid).or_insert_with(|| LedgerProcess {
            pid: one.tgid,
            comm: one.comm.to_string(),
            rss_bytes: one.rss,
            victim,
            id,
            timestamp: case.wall.wall(at),
        });
    };
    for victim in victims.iter().filter(|victim| victim.same) {
        if let Some(rss) = victim.rss {
            let process = victim.process;
            let resident = Resident {
                tgid: process.key.tgid,
                start: process.key.start,
                comm: process.comm,
                rss,
            };
            add(&resident, (victim.id, victim.at), true);
        }
    }
    for look in [after, before].into_iter().flatten() {
        for one in &look.found.largest {
            let victim = victims.iter().find(|it| is_of(one, it.process.key));
            // What it had left while it was dying is not what it had.
            let too_late = victim.is_some_and(|victim| look.at > victim.at);
            if !too_late && !ended(decisive, one, kill.at) {
                let same = victim.is_some_and(|victim| victim.same);
                add(one, (look.id, look.at), same);
            }
        }
    }
    let mut processes: Vec<LedgerProcess> = rows.into_values().collect();
    processes.sort_by_key(|one| (Reverse(one.rss_bytes), one.pid));
    let counted = after.or(before).map(|look| look.found);
    Inside {
        processes,
        others: counted.map(|it| u64::from(it.others) + u64::from(it.unread)),
        others_rss: counted.filter(|it| it.others > 0).map(|it| it.others_rss),
    }
}

/// The last look at a level before the kill, and the first one after it.
fn looks<'a>(
    bulk: Records<'a>,
    level: CgroupId,
    kill: BootTime,
) -> (Option<Look<'a>>, Option<Look<'a>>) {
    let looks = bulk.iter().filter_map(|(id, record)| match &record.event {
        Event::ProcessMemory(found) if record.subject.cgroup() == Some(level) => Some(Look {
            id: *id,
            at: record.at,
            found,
        }),
        _ => None,
    });
    let (mut before, mut after): (Option<Look<'_>>, Option<Look<'_>>) = (None, None);
    for look in looks {
        if look.at <= kill && kill.since(look.at) <= OLDEST {
            before = before.filter(|it| it.at > look.at).or(Some(look));
        } else if look.at > kill && look.at.since(kill) <= TOGETHER {
            after = after.filter(|it| it.at < look.at).or(Some(look));
        }
    }
    (before, after)
}

/// A process that the OOM killer killed.
struct Victim<'a> {
    id: RecordId,
    at: BootTime,
    /// By this very kill; else by another one shortly before or after.
    same: bool,
    process: &'a Process,
    rss: Option<u64>,
}

/// The victims below the highest level of the line.
fn victims<'a>(decisive: Records<'a>, kill: &Kill<'_>) -> Vec<Victim<'a>> {
    let top = kill.line().next_back().map(|level| level.cgroup);
    // `memory.oom.group`: all of it at once, a record for each.
    let group = kill.oom.levels.iter().any(|level| level.oom_group);
    let victims = decisive
        .iter()
        .filter_map(|(id, record)| match &record.event {
            Event::Oom(oom) if oom.killed => {
                let apart = record.at.since(kill.at).max(kill.at.since(record.at));
                let inside = oom.levels.iter().any(|level| Some(level.cgroup) == top);
                let victim = Victim {
                    id: *id,
                    at: record.at,
                    same: *id == kill.id || group && apart <= AT_ONCE,
                    process: record.subject.process()?,
                    rss: oom.rss(),
                };
                (inside && apart <= TOGETHER).then_some(victim)
            }
            _ => None,
        });
    victims.collect()
}

/// Whether a process had ended before the kill.
fn ended(decisive: Records<'_>, one: &Resident, kill: BootTime) -> bool {
    decisive.iter().any(|(_, record)| {
        let process = record.subject.process();
        matches!(record.event, Event::Exit(_))
            && record.at < kill
            && process.is_some_and(|process| is_of(one, process.key))
    })
}

/// Whether a row of `/proc` is of this process: its start is that of the process, cut.
fn is_of(one: &Resident, key: ProcessKey) -> bool {
    one.tgid == key.tgid && one.start <= key.start && key.start.since(one.start) < TICK
}
