//! Which memory ran out? From the OOM killer's own mark and the limits above the victim at that instant.
//!
//! A limit that was hit has counted it before the killer chose (`memory.events.local` `oom`), so one that never did
//! is excluded. Of the others it is the lowest whose usage had reached it: a charge climbs from the cgroup to the root
//! and fails at the first full one (mm/page_counter.c, `page_counter_try_charge`). With none, the node had run out.

use std::time::Duration;

use blackbox_common::memory::LEVELS;

use super::{Cause, Grade, Scene, Verdict};
use crate::record::{BootTime, CgroupId, Event, Exit, MemoryLevel, Oom, RecordId};
use crate::words;

const SIGKILL: u32 = 9;

/// A cgroup this close to its limit is at it: charges are made in batches of 64 pages (`MEMCG_CHARGE_BATCH`,
/// include/linux/memcontrol.h), and each CPU may give one back while the killer chooses.
const AT_LIMIT_SLACK: u64 = 2 * 64 * 4096;
/// After a kill the victim's memory takes this long to be freed: a further kill for the same limit finds the usage
/// below it already.
const FREEING: Duration = Duration::from_secs(2);
/// The kernel's own threads that do work for others; SysRq-f kills in one of them, with memory left.
const KERNEL_WORKER: &str = "kworker";

/// What ran out, and how sure that is.
enum Shortage<'a> {
    Limit(&'a MemoryLevel, Grade),
    Node(Grade),
}

fn shortage<'a>(scene: &Scene<'_>, (id, oom): (RecordId, &'a Oom)) -> Shortage<'a> {
    let possible = || {
        let limited = oom.levels.iter().filter(|level| level.limit.is_some());
        limited.filter(|level| level.oom_events != Some(0))
    };
    if let Some(level) = possible().find(|level| at_limit(level)) {
        let outside = allocator_outside(scene, oom, level);
        return Shortage::Limit(
            level,
            if outside {
                Grade::Likely
            } else {
                Grade::Proven
            },
        );
    }
    if let Some(level) = possible().find(|level| was_full(scene, id, level)) {
        return Shortage::Limit(level, Grade::Likely);
    }
    let every_level = oom.levels.len() < LEVELS;
    let asked_for = oom.allocator.comm.to_string().starts_with(KERNEL_WORKER);
    let sure = possible().next().is_none() && every_level && !asked_for;
    Shortage::Node(if sure { Grade::Proven } else { Grade::Likely })
}

/// One OOM kill, by the kernel's record of it.
pub(crate) struct Kill<'a> {
    pub(crate) id: RecordId,
    pub(crate) at: BootTime,
    pub(crate) oom: &'a Oom,
    /// The cgroup whose limit was hit. `None`: the node had run out.
    pub(crate) hit: Option<CgroupId>,
}

impl<'a> Kill<'a> {
    /// The kill that a verdict rests on. `None`: it is another death, or nothing above the victim is recorded.
    pub(crate) fn of(scene: &'a Scene<'_>, verdict: &Verdict) -> Option<Self> {
        let (id, oom) = scene.oom().filter(|(_, oom)| !oom.levels.is_empty())?;
        let hit = match verdict.cause {
            Cause::MemoryLimit | Cause::NodeOom => match shortage(scene, (id, oom)) {
                Shortage::Limit(level, _) => Some(level.cgroup),
                Shortage::Node(_) => None,
            },
            _ => return None,
        };
        let (_, record) = scene.records.iter().find(|(other, _)| *other == id)?;
        Some(Self {
            id,
            at: record.at,
            oom,
            hit,
        })
    }

    /// The levels from the victim's own up to the one that was hit; all, if none was.
    pub(crate) fn line(&self) -> impl DoubleEndedIterator<Item = &'a MemoryLevel> {
        let levels = &self.oom.levels;
        let is_hit = |level: &MemoryLevel| self.hit == Some(level.cgroup);
        let last = levels.iter().position(is_hit);
        let count = last.map_or(levels.len(), |last| last + 1);
        levels[..count].iter()
    }
}

/// Whether another kill shortly before found this cgroup at its limit.
fn was_full(scene: &Scene<'_>, id: RecordId, level: &MemoryLevel) -> bool {
    let at = scene
        .records
        .iter()
        .find(|(other, _)| *other == id)
        .map(|(_, record)| record.at);
    scene
        .records
        .iter()
        .any(|(_, record)| match (&record.event, at) {
            (Event::Oom(oom), Some(at)) if record.at <= at && at.since(record.at) <= FREEING => oom
                .levels
                .iter()
                .any(|other| other.cgroup == level.cgroup && at_limit(other)),
            _ => false,
        })
}

pub(super) fn explain(
    scene: &Scene<'_>,
    exit: Option<(RecordId, &Exit)>,
    (oom_id, oom): (RecordId, &Oom),
) -> Verdict {
    let victim = words::process(&scene.victim);
    let mut verdict = match shortage(scene, (oom_id, oom)) {
        _ if oom.levels.is_empty() => unclear(scene, oom_id),
        Shortage::Limit(level, grade) => memory_limit(scene, oom_id, level, grade),
        Shortage::Node(grade) => node(scene, (oom_id, oom), grade),
    };
    let mut cites = vec![oom_id];
    cites.extend(scene.sent(SIGKILL, None).map(|(id, _)| id));
    cites.extend(exit.map(|(id, _)| id));
    cites.sort_unstable();
    if exit.is_none() {
        verdict.grade = verdict.grade.min(Grade::Likely);
    }
    let (grade, fate) = match exit {
        Some(_) => (Grade::Proven, "and it died of the SIGKILL that followed"),
        None => (Grade::Likely, "; its death is not recorded yet"),
    };
    let text = format!("the kernel's OOM killer chose {victim} {fate}");
    verdict.statements.insert(
        0,
        super::Statement {
            grade,
            text: text.replace(" ;", ";"),
            cites: cites.clone(),
        },
    );
    sizes(&mut verdict, oom_id, oom);
    allocation(scene, &mut verdict, oom_id, oom);
    if let Some((id, exit)) = exit {
        verdict.signal_facts(SIGKILL);
        parent(scene, &mut verdict, id, exit);
    }
    verdict
}

/// The exit carries the OOM mark, and the mark's own record is not in the slice.
pub(super) fn without_record(scene: &Scene<'_>, exit_id: RecordId) -> Verdict {
    let victim = words::process(&scene.victim);
    let headline = format!(
        "{victim} was killed by the kernel's OOM killer; which memory ran out is not recorded"
    );
    let mut verdict = Verdict::new(Cause::Oom, Grade::Proven, headline);
    let text = "the exit carries the OOM killer's mark and SIGKILL".to_owned();
    verdict.state(Grade::Proven, text, vec![exit_id]);
    let text = "which limit was hit: the record of the OOM kill is missing".to_owned();
    verdict.state(Grade::Unknown, text, vec![exit_id]);
    verdict.signal_facts(SIGKILL);
    verdict
}

fn at_limit(level: &MemoryLevel) -> bool {
    level
        .limit
        .is_some_and(|limit| level.usage.saturating_add(AT_LIMIT_SLACK) >= limit)
}

fn memory_limit(scene: &Scene<'_>, id: RecordId, level: &MemoryLevel, grade: Grade) -> Verdict {
    let limit = level.limit.unwrap_or(u64::MAX);
    let place = scene.names.describe(level.cgroup);
    let (limit_text, usage) = (words::bytes(limit), words::bytes(level.usage));
    let victim = words::process(&scene.victim);
    let headline = format!(
        "{victim} was killed by the kernel's OOM killer because {place} reached its memory limit of \
         {limit_text}"
    );
    let mut verdict = Verdict::new(Cause::MemoryLimit, grade, headline);
    let text = format!("{place} used {usage} of its limit of {limit_text} at that instant");
    verdict.state(Grade::Proven, text, vec![id]);
    if let Some(times) = level.oom_events.filter(|times| *times > 0) {
        let often = match times {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let text = format!(
            "by the kernel's own count {place} itself has run out {often}, this kill included"
        );
        verdict.state(Grade::Proven, text, vec![id]);
    }
    if !at_limit(level) {
        let text = "another kill shortly before had found it full, and that victim's memory was being freed";
        verdict.state(Grade::Likely, text.to_owned(), vec![id]);
    }
    if level.oom_group {
        let text =
            format!("memory.oom.group is set on {place}: the kernel kills all of it at once");
        verdict.state(Grade::Proven, text, vec![id]);
    }
    verdict.fact(
        "limit_cgroup",
        scene.path(level.cgroup).unwrap_or("unknown"),
    );
    verdict.fact("limit_bytes", limit);
    verdict.fact("usage_bytes", level.usage);
    verdict.fact("oom_group", level.oom_group);
    verdict
}

/// The task that could not allocate must itself be charged to the full cgroup; else something does not fit.
fn allocator_outside(scene: &Scene<'_>, oom: &Oom, level: &MemoryLevel) -> bool {
    let (Some(full), Some(allocator)) =
        (scene.path(level.cgroup), scene.path(oom.allocator.cgroup))
    else {
        return false;
    };
    let below = allocator.strip_prefix(full.trim_end_matches('/'));
    !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn unclear(scene: &Scene<'_>, id: RecordId) -> Verdict {
    let victim = words::process(&scene.victim);
    let headline =
        format!("{victim} was chosen by the OOM killer; which memory ran out is unknown");
    let mut verdict = Verdict::new(Cause::Oom, Grade::Likely, headline);
    let text = "this kernel did not show the memory cgroups above the victim".to_owned();
    verdict.state(Grade::Unknown, text, vec![id]);
    verdict
}

fn node(scene: &Scene<'_>, (id, oom): (RecordId, &Oom), grade: Grade) -> Verdict {
    let victim = words::process(&scene.victim);
    let limited = oom
        .levels
        .iter()
        .filter(|level| level.limit.is_some())
        .count();
    let headline = format!(
        "{victim} was killed by the kernel's OOM killer because the node ran out of memory"
    );
    let mut verdict = Verdict::new(Cause::NodeOom, grade, headline);
    let text = match limited {
        0 => {
            "no memory cgroup above it has a limit, so the node's own memory had run out".to_owned()
        }
        count => format!("none of the {count} memory limits above it was the one that was hit"),
    };
    verdict.state(grade, text, vec![id]);
    verdict
}

fn sizes(verdict: &mut Verdict, id: RecordId, oom: &Oom) {
    let (Some(rss), Some(anon)) = (oom.rss(), oom.anon_rss) else {
        return;
    };
    verdict.fact("victim_rss_bytes", rss);
    let mut score = String::new();
    if let Some(adjusted) = oom.oom_score_adj {
        verdict.fact("oom_score_adj", adjusted);
        score = format!("; its oom_score_adj was {adjusted}");
    }
    let text = format!(
        "the victim's resident memory was {}: {} anonymous, {} of files and shared memory (which may be \
         charged elsewhere){score}",
        words::bytes(rss),
        words::bytes(anon),
        words::bytes(rss - anon)
    );
    verdict.state(Grade::Proven, text, vec![id]);
}

fn allocation(scene: &Scene<'_>, verdict: &mut Verdict, id: RecordId, oom: &Oom) {
    let own = oom.allocator.key == scene.victim.key;
    let text = if own {
        "its own allocation was the one that could not be met".to_owned()
    } else {
        format!(
            "the allocation that could not be met was that of {}",
            scene.who(&oom.allocator)
        )
    };
    verdict.fact("allocator_pid", oom.allocator.key.tgid);
    verdict.fact("allocator_comm", oom.allocator.comm.to_string());
    verdict.state(Grade::Proven, text, vec![id]);
}

/// A child that is killed while its parent lives is what Kubernetes never shows.
fn parent(scene: &Scene<'_>, verdict: &mut Verdict, id: RecordId, exit: &Exit) {
    if exit.parent.cgroup != scene.victim.cgroup {
        return;
    }
    let parent = words::process(&exit.parent);
    let end = scene
        .records
        .iter()
        .find_map(|(id, record)| match &record.event {
            Event::Exit(end) if record.subject.process()?.key == exit.parent.key => {
                Some((*id, record.at, end))
            }
            _ => None,
        });
    let Some((end_id, at, end)) = end else {
        verdict.fact("parent_alive", true);
        let grade = if scene.complete {
            Grade::Proven
        } else {
            Grade::Likely
        };
        let text = format!(
            "its parent {parent} in the same cgroup lives on: the container itself did not end"
        );
        return verdict.state(grade, text, vec![id]);
    };
    verdict.fact("parent_alive", !end.oom_victim);
    let later = scene.exit().map_or(at, |(_, record, _)| record.at);
    let text = format!(
        "its parent {parent} in the same cgroup outlived it by {} and then {}",
        words::duration(at.since(later)),
        words::ending(end.status)
    );
    verdict.state(Grade::Proven, text, vec![id, end_id]);
}
