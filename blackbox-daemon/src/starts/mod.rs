//! How runs of programs start, and how the last healthy run of the same kind started. Pure; owned by the recorder.
//!
//! A run is the life of one cgroup that was seen being made: a container's instance, a unit, a plain cgroup. Its start is
//! kept as [`Run`]; when it turns out to be healthy (it lived for [`SPAN`], or its first process ended with 0), it becomes
//! the one that later runs of its kind are compared with, until the daemon ends. Bounded: [`MOST_RUNS`] starts, and
//! [`MOST_KINDS`] healthy ones, of which the one not needed for longest goes first.

mod kind;
mod run;
mod step;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::step::{Peers, step};
use crate::identity::Names;
use crate::record::{
    BootTime, CgroupId, Class, Event, Exec, Exit, ProcessKey, Record, RecordId, Subject,
    is_counted_by_cgroup,
};
pub use run::{MOST_STEPS, Run, SPAN, Step};

/// Starts that are watched, or remembered for a report.
pub const MOST_RUNS: usize = 1024;
/// Kinds of which a healthy run is remembered.
pub const MOST_KINDS: usize = 256;
/// A start is remembered for this long: a report about its end is made within that time.
const REMEMBERED: Duration = Duration::from_secs(180);
/// What happened last may wait in a queue for this long.
const LATE: Duration = Duration::from_secs(2);

/// A run to compare, and the healthy one to compare it with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// What makes the two alike, in words.
    pub kind: String,
    pub run: Run,
    pub healthy: Run,
}

/// A start that is watched.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Watched {
    run: Run,
    /// The first process that ran a program there.
    main: Option<ProcessKey>,
    /// Its first program that is a file of its own.
    program: Option<String>,
    peers: Peers,
    /// Its first process ended with 0.
    ended_well: bool,
    /// It was remembered as healthy.
    kept: bool,
}

/// Starts that are watched, and healthy ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Starts {
    watched: HashMap<CgroupId, Watched>,
    /// By age, oldest first.
    order: VecDeque<(BootTime, CgroupId)>,
    /// By kind, least recently used first.
    healthy: VecDeque<(String, Run)>,
}

impl Starts {
    /// Learns from a record that the window keeps as `id`.
    pub fn observe(&mut self, record: &Record, id: RecordId) {
        match (&record.event, record.subject) {
            (Event::CgroupCreated { .. }, Subject::Cgroup(cgroup)) => self.begin(cgroup, record.at),
            (Event::Gap(gap), _)
                if matches!(gap.class, Class::FailedCall | Class::Exec)
                    && !is_counted_by_cgroup(gap.class, gap.cause) =>
            {
                let open = self
                    .watched
                    .values_mut()
                    .filter(|it| it.run.ended.is_none());
                open.for_each(|it| it.run.lost = true);
            }
            (event, subject) => {
                let watched = subject.cgroup().and_then(|id| self.watched.get_mut(&id));
                if let Some(watched) = watched {
                    watched.take(event, record, id);
                }
            }
        }
    }

    fn begin(&mut self, cgroup: CgroupId, at: BootTime) {
        if self.order.len() >= MOST_RUNS
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.watched.remove(&oldest);
        }
        self.order.push_back((at, cgroup));
        let fresh = Watched {
            run: Run::new(at),
            main: None,
            program: None,
            peers: Peers::default(),
            ended_well: false,
            kept: false,
        };
        self.watched.insert(cgroup, fresh);
    }

    /// Remembers what turned out to be healthy by `now`, and forgets old starts.
    pub fn turn(&mut self, now: BootTime, names: &Names) {
        let Self {
            watched,
            order,
            healthy,
        } = self;
        for (cgroup, it) in watched.iter_mut().filter(|(_, it)| it.is_healthy(now)) {
            if let Some(kind) = kind::of(*cgroup, it.program.as_deref(), names) {
                it.kept = true;
                keep(healthy, kind, it.run.clone());
            }
        }
        while let Some((started, cgroup)) = order.front().copied()
            && now.since(started) > REMEMBERED
        {
            order.pop_front();
            watched.remove(&cgroup);
        }
    }

    /// The start of the run in `cgroup`, with the healthy one of its kind. `None`: it was not seen, is healthy itself, or no
    /// healthy run of its kind was.
    pub fn compare(&mut self, cgroup: CgroupId, names: &Names) -> Option<Comparison> {
        let it = self.watched.get(&cgroup).filter(|it| !it.kept)?;
        let kind = kind::of(cgroup, it.program.as_deref(), names)?;
        let place = self.healthy.iter().position(|(known, _)| *known == kind)?;
        let (kind, healthy) = self.healthy.remove(place)?;
        let run = it.run.clone();
        self.healthy.push_back((kind.clone(), healthy.clone()));
        Some(Comparison { kind, run, healthy })
    }
}

/// Puts a healthy run in the place of the last one of its kind.
fn keep(healthy: &mut VecDeque<(String, Run)>, kind: String, run: Run) {
    healthy.retain(|(known, _)| *known != kind);
    if healthy.len() >= MOST_KINDS {
        healthy.pop_front();
    }
    healthy.push_back((kind, run));
}

impl Watched {
    fn take(&mut self, event: &Event, record: &Record, id: RecordId) {
        match event {
            Event::Exec(exec) => self.exec(exec, record),
            Event::Exit(exit) => self.exit(exit, record),
            Event::CgroupRemoved { .. } => {
                self.run.ended.get_or_insert(record.at);
            }
            Event::CallCounts(counts) if counts.throttled + counts.ring_full > 0 => {
                self.run.lost = true;
            }
            _ => {}
        }
        // Asked first: a flood of failing calls later on costs no words.
        if self.run.covers(record.at)
            && let Some(text) = step(record, &mut self.peers)
        {
            let at = record.at;
            self.run.take(Step { text, id, at });
        }
    }

    fn exec(&mut self, exec: &Exec, record: &Record) {
        let Some(process) = record.subject.process() else {
            return;
        };
        let own = *self.main.get_or_insert(process.key) == process.key;
        // Runtimes run themselves first, through a link that names nothing.
        if own && self.program.is_none() && !exec.exe.starts_with("/proc/self/") {
            self.program = Some(exec.exe.clone());
        }
    }

    fn exit(&mut self, exit: &Exit, record: &Record) {
        let key = record.subject.process().map(|process| process.key);
        let first = exit.ns_pid == 1 && exit.ns_level > 0;
        if (first || key == self.main) && self.run.ended.is_none() {
            self.run.ended = Some(record.at);
            self.ended_well = exit.status.0 == 0;
        }
    }

    /// Whether it is known by now to be healthy, and not remembered yet.
    fn is_healthy(&self, now: BootTime) -> bool {
        let lived = match self.run.ended {
            Some(ended) => ended.since(self.run.started) >= SPAN,
            None => now.since(self.run.started) >= SPAN + LATE,
        };
        let settled = self.run.ended.is_none_or(|ended| now.since(ended) >= LATE);
        !self.kept && self.main.is_some() && settled && (lived || self.ended_well)
    }
}

#[cfg(test)]
mod tests;
