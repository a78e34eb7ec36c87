//! A look right after an OOM kill: who is left in the cgroup that ran out, and what each has.
//!
//! Memory may be used up within milliseconds, and then no tick saw the processes that used it. The reader of the kernel's
//! rings asks here, by the levels of the kernel's own record, and never waits. What the victim had only that record
//! tells; its neighbours are as they were. One record for each cgroup, made at once, with the time of the look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Hierarchies;
use super::files::Files;
use super::resident::Look;
use crate::clock;
use crate::record::{
    BootTime, CgroupId, Event, LaneName, MemoryLevel, MemoryUse, Oom, Record, Subject,
};
use crate::sources::Feed;

/// Kills that may wait to be looked at: those of one group come together, and one look is for all of them.
const MOST_WAITING: usize = 64;
/// From one look to the next: a storm of kills must not make one of walks.
const PAUSE: Duration = Duration::from_millis(200);

/// Whoever hears of a kill.
#[derive(Clone, Debug)]
pub struct Kills(mpsc::Sender<Vec<CgroupId>>);

/// Whoever looks.
pub struct Looker {
    kills: mpsc::Receiver<Vec<CgroupId>>,
    hierarchies: Hierarchies,
    proc_root: PathBuf,
    feed: Feed,
}

impl Looker {
    /// One that looks below `proc_root`, and the other end of its queue.
    #[must_use]
    pub fn new(hierarchies: Hierarchies, proc_root: PathBuf, feed: Feed) -> (Kills, Self) {
        let (asks, kills) = mpsc::channel(MOST_WAITING);
        let looker = Self {
            kills,
            hierarchies,
            proc_root,
            feed,
        };
        (Kills(asks), looker)
    }

    /// Looks after each kill, off the async threads, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(first)) = stop.run_until_cancelled(self.kills.recv()).await {
            let mut cgroups: BTreeSet<CgroupId> = first.into_iter().collect();
            while let Ok(more) = self.kills.try_recv() {
                cgroups.extend(more);
            }
            let (hierarchies, proc_root) = (self.hierarchies.clone(), self.proc_root.clone());
            let at = clock::boot_now();
            let looked =
                tokio::task::spawn_blocking(move || look(&hierarchies, &proc_root, &cgroups, at));
            match looked.await {
                Ok(records) => self.feed.offer(LaneName::Bulk, records),
                Err(error) => tracing::error!(%error, "no look after an OOM kill"),
            }
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }
}

impl Kills {
    /// Asks for a look after this kill; one too many is left out.
    pub fn tell(&self, oom: &Oom) {
        if self.0.try_send(worth_a_look(&oom.levels)).is_err() {
            tracing::debug!("too many OOM kills at once: no look after this one");
        }
    }
}

/// The levels that were near their limits; with none (the node had run out), the victim's own.
fn worth_a_look(levels: &[MemoryLevel]) -> Vec<CgroupId> {
    let is_near = |level: &&MemoryLevel| {
        let memory = MemoryUse {
            current: level.usage,
            max: level.limit,
            ..MemoryUse::default()
        };
        memory.is_near()
    };
    let near: Vec<_> = levels.iter().filter(is_near).map(|it| it.cgroup).collect();
    match near.is_empty() {
        true => levels.iter().take(1).map(|it| it.cgroup).collect(),
        false => near,
    }
}

fn look(
    hierarchies: &Hierarchies,
    proc_root: &Path,
    cgroups: &BTreeSet<CgroupId>,
    at: BootTime,
) -> Vec<Record> {
    // Unreadable: the sampler says so each second.
    let Ok(survey) = hierarchies.survey() else {
        return Vec::new();
    };
    let mut files = Files::default();
    let mut look = Look::new(&survey, hierarchies.watched_root(), proc_root);
    let wanted = survey.found.iter().filter(|it| cgroups.contains(&it.id));
    let records = wanted.filter_map(|found| {
        let processes = look.within(found, &mut files)?;
        Some(Record {
            at,
            subject: Subject::Cgroup(found.id),
            event: Event::ProcessMemory(Box::new(processes)),
        })
    });
    records.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_near_their_limits_or_the_first() {
        let level = |id, usage, limit| MemoryLevel {
            cgroup: CgroupId(id),
            usage,
            limit,
            oom_group: false,
            oom_events: None,
        };
        let some = [
            level(1, 50, Some(100)),
            level(2, 90, Some(100)),
            level(3, 99, None),
        ];
        assert_eq!(worth_a_look(&some), [CgroupId(2)]);
        assert_eq!(worth_a_look(&some[..1]), [CgroupId(1)]);
        assert_eq!(worth_a_look(&[]), []);
    }
}
