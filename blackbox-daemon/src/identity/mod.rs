//! Who is who: cgroup id → container, systemd unit or plain cgroup; process → executable. Kept past death.
//!
//! Fed by the walk at start and by lifecycle records, so a name is known before anything runs inside and
//! stays known as long as the window can speak of it. Pure: no file is read here.

mod cluster;
mod names;
mod paths;
mod place;
mod pods;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::cluster::Leavings;
use self::paths::Paths;
use self::pods::{Claim, Seen};
use crate::record::{BootTime, CgroupId, Event, ProcessKey, Record};
pub use names::{Known, Names};
pub use place::Place;
pub use pods::Named;

/// Most processes whose executable is remembered; beyond, the one that has been dead for longest is forgotten, and with more
/// live ones than that, later ones have none. Some 3 MiB.
const MAX_EXES: usize = 32_768;

/// Most removed cgroups whose names are remembered; beyond, the one that has been gone for longest is forgotten. Some 3 MiB.
/// (Those that exist cost the kernel more than their names cost here.)
const MAX_GONE: usize = 8192;

/// The names, kept up to date.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Identities {
    names: Names,
    /// What is gone, and since when.
    cgroups_gone: VecDeque<(BootTime, CgroupId)>,
    processes_gone: VecDeque<(BootTime, ProcessKey)>,
    /// The paths in `names.exes`, each once.
    #[serde(skip)]
    paths: Paths,
    /// When each sidecar was last heard of.
    seen: Seen,
    /// Pods and containers that are gone.
    leavings: Leavings,
}

impl Identities {
    /// Adds a cgroup found by the walk at start.
    pub fn add(&mut self, id: CgroupId, path: &str) {
        let known = Known {
            path: path.to_owned(),
            place: Place::of(path),
        };
        Arc::make_mut(&mut self.names.cgroups).insert(id, known);
    }

    /// Without the executables of processes: they are many, and most come again in records.
    #[must_use]
    pub fn without_exes(&self) -> Self {
        let mut rest = self.clone();
        rest.names.exes = Arc::default();
        rest.processes_gone.clear();
        rest
    }

    /// Of the cgroups it knows, those that are not among `found` were removed while nobody looked, by `now` at the latest.
    pub fn reconcile(
        &mut self,
        found: impl IntoIterator<Item = (CgroupId, String)>,
        now: BootTime,
    ) {
        let found: HashMap<CgroupId, String> = found.into_iter().collect();
        let gone: Vec<CgroupId> = {
            let known = self.names.cgroups.keys();
            let marked = |id: &CgroupId| self.cgroups_gone.iter().any(|(_, gone)| gone == id);
            let gone = known.filter(|id| !found.contains_key(id) && !marked(id));
            gone.copied().collect()
        };
        self.cgroups_gone
            .extend(gone.into_iter().map(|id| (now, id)));
        for (id, path) in found {
            self.add(id, &path);
        }
    }

    /// Learns from a record.
    pub fn observe(&mut self, record: &Record) {
        match (
            &record.event,
            record.subject.cgroup(),
            record.subject.process(),
        ) {
            (Event::CgroupCreated { path }, Some(id), _) => self.add(id, path),
            (Event::CgroupRemoved { path }, Some(id), _) => {
                if self.names.cgroup(id).is_none() {
                    self.add(id, path);
                }
                self.cgroups_gone.push_back((record.at, id));
                if self.cgroups_gone.len() > MAX_GONE {
                    self.forget_longest_gone();
                }
            }
            (Event::Exec(exec), _, Some(process)) => self.run(process.key, &exec.exe),
            (Event::Telemetry(telemetry), ..) => {
                self.hear(Claim::of(telemetry), record.at);
            }
            (Event::Pod(_) | Event::LoggedPod(_) | Event::PodCondition(_), ..) => {
                self.leavings.observe(&mut self.names.cluster, record);
            }
            (Event::Exit(_), _, Some(process)) if self.names.exes.contains_key(&process.key) => {
                self.processes_gone.push_back((record.at, process.key));
            }
            _ => {}
        }
    }

    /// Learns what a process runs.
    fn run(&mut self, process: ProcessKey, exe: &str) {
        let exes = Arc::make_mut(&mut self.names.exes);
        if exes.len() >= MAX_EXES
            && let Some((_, longest_dead)) = self.processes_gone.pop_front()
        {
            exes.remove(&longest_dead);
        }
        match self.paths.once(exe) {
            Some(exe) if exes.len() < MAX_EXES => drop(exes.insert(process, exe)),
            // What it ran before must not be taken for what it runs now.
            _ => drop(exes.remove(&process)),
        }
    }

    /// Learns what a sidecar says of its pod. Copies the table only when it changes: reports may hold it.
    fn hear(&mut self, claim: Claim<'_>, at: BootTime) {
        let uid = claim.container.and_then(|container| {
            let mut places = self.names.places().map(|(_, place)| place);
            places
                .find(|place| place.is_container(container))?
                .pod_uid()
        });
        if claim.contradicts(uid) || !self.seen.note(&claim, at) {
            return;
        }
        if !self.names.pods.has(&claim) {
            Arc::make_mut(&mut self.names.pods).learn(&claim);
        }
    }

    /// Forgets what was gone, or last heard of, before `horizon`.
    pub fn forget_before(&mut self, horizon: BootTime) {
        self.leavings
            .forget_before(&mut self.names.cluster, horizon);
        if self.seen.take_silent(horizon) {
            let seen = &self.seen;
            Arc::make_mut(&mut self.names.pods).retain(seen);
        }
        while self
            .cgroups_gone
            .front()
            .is_some_and(|(at, _)| *at < horizon)
        {
            self.forget_longest_gone();
        }
        while self
            .processes_gone
            .front()
            .is_some_and(|(at, _)| *at < horizon)
        {
            if let Some((_, key)) = self.processes_gone.pop_front() {
                Arc::make_mut(&mut self.names.exes).remove(&key);
            }
        }
        self.paths.forget_unused();
    }

    fn forget_longest_gone(&mut self) {
        if let Some((_, id)) = self.cgroups_gone.pop_front() {
            Arc::make_mut(&mut self.names.cgroups).remove(&id);
        }
    }

    /// The names as they are now.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_executables_the_longest_dead_goes_first() {
        let mut identities = Identities::default();
        let key = |pid| ProcessKey {
            tgid: pid,
            start: BootTime(1),
        };
        for pid in 0..u32::try_from(MAX_EXES).unwrap() {
            identities.run(key(pid), "/bin/sh");
        }
        identities.run(key(u32::MAX), "/bin/late");
        assert_eq!(identities.names().exe(key(u32::MAX)), None);
        for pid in [7, 3] {
            identities.processes_gone.push_back((BootTime(1), key(pid)));
        }
        identities.run(key(u32::MAX), "/bin/late");
        assert_eq!(identities.names().exe(key(u32::MAX)), Some("/bin/late"));
        assert_eq!(identities.names().exe(key(7)), None);
        assert_eq!(identities.names().exe(key(3)), Some("/bin/sh"));
        assert_eq!(identities.names().exes.len(), MAX_EXES);
    }

    #[test]
    fn cgroups_that_come_and_go_without_end_take_no_more_than_allowed() {
        let mut identities = Identities::default();
        let record = |id, event| Record {
            at: BootTime(id),
            subject: crate::record::Subject::Cgroup(CgroupId(id)),
            event,
        };
        let path = || "/a".to_owned();
        identities.observe(&record(1, Event::CgroupCreated { path: path() }));
        for id in 2..MAX_GONE as u64 + 100 {
            identities.observe(&record(id, Event::CgroupCreated { path: path() }));
            identities.observe(&record(id, Event::CgroupRemoved { path: path() }));
        }
        let cgroups = &identities.names().cgroups;
        assert_eq!(cgroups.len(), MAX_GONE + 1);
        assert!(cgroups.contains_key(&CgroupId(1)), "it is there");
        assert!(!cgroups.contains_key(&CgroupId(2)), "it went first");
    }

    #[test]
    fn names_outlive_their_cgroup_until_the_horizon() {
        let mut identities = Identities::default();
        let id = CgroupId(7);
        let record = |at, event| Record {
            at: BootTime(at),
            subject: crate::record::Subject::Cgroup(id),
            event,
        };
        identities.observe(&record(
            10,
            Event::CgroupCreated {
                path: "/a".to_owned(),
            },
        ));
        identities.observe(&record(
            20,
            Event::CgroupRemoved {
                path: "/a".to_owned(),
            },
        ));
        identities.forget_before(BootTime(20));
        assert_eq!(identities.names().describe(id), "cgroup /a");
        let kept = identities.names().clone();
        identities.forget_before(BootTime(21));
        assert!(identities.names().cgroup(id).is_none());
        assert_eq!(kept.describe(id), "cgroup /a");
    }
}
