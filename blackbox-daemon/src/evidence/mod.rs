//! Evidence from the node that no record holds: looked for when an incident has closed, before its report is made.
//!
//! Reads the kubelet's log directories, and executables and libraries; makes the parts of a [`Case`] that are files of the node. Never fails: what cannot
//! be read is said in the report. Off the recorder's loop; a report is still a function of its case alone.

pub mod logs;
pub mod stack;

use std::path::PathBuf;
use std::time::Duration;

use crate::identity::Place;
use crate::incident::trigger::{About, Trigger};
use crate::record::{
    BootTime, Condition, CrashStack, Event, LaneName, PodName, ProcessKey, RecordId,
};
use crate::redact::Redactor;
use crate::report::case::Case;
use crate::report::{LogTail, Stack};
use crate::window::Slice;

/// Where the node keeps it, and how much of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The kubelet's directory of logs, `/var/log/pods`.
    pub pod_logs: PathBuf,
    /// Most bytes of a log that are kept; 0 for none.
    pub log_bytes: usize,
    /// Where the files of processes outside of containers are.
    pub root: PathBuf,
    /// Where the container runtime has a directory for each container, with its `rootfs`.
    pub containers: Vec<PathBuf>,
}

/// Whose log is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub pod: PodName,
    /// The uid in the names of directories: a static pod's is not the API server's.
    pub uid: String,
    pub container: String,
    /// When it ended, wall time, ns.
    pub ended: i64,
}

/// Looks for evidence.
#[derive(Clone, Debug)]
pub struct Finder {
    config: Config,
    redactor: Redactor,
}

impl Finder {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            redactor: Redactor::default(),
        }
    }

    /// Hides secrets with `redactor`; by default, with the built-in rules.
    #[must_use]
    pub fn redacting(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Adds to the case what the node has of it.
    pub fn look(&self, case: &mut Case) {
        case.log = self.log(case);
        case.stack = self.stack(case);
    }

    fn log(&self, case: &Case) -> Option<Result<LogTail, String>> {
        let instance = instance(case).filter(|_| self.config.log_bytes > 0)?;
        let mut found = logs::tail(&self.config, &instance);
        if let Ok(log) = &mut found {
            logs::redact(log, &self.redactor);
        }
        Some(found.map_err(|error| error.to_string()))
    }

    fn stack(&self, case: &Case) -> Option<Stack> {
        let process = case.incident.first.about.process()?;
        let place = case.names.cgroup(process.cgroup).map(|known| &known.place);
        let mut roots = Vec::new();
        if let Some(container) = place.and_then(Place::container_id) {
            let directories = self.config.containers.iter();
            roots.extend(directories.map(|directory| directory.join(container).join("rootfs")));
        }
        // First the process's own: what a container runs is not the node's file at the same path. With the right build id
        // it is; and where the runtime has no root for this container, it may have run with the node's.
        roots.push(self.config.root.clone());
        roots.retain(|root| root.is_dir());
        stack_of(case, &roots)
    }
}

/// The stack that the process of the incident left, with the names that files below `roots` give. `None`: it left none.
#[must_use]
pub fn stack_of(case: &Case, roots: &[PathBuf]) -> Option<Stack> {
    let process = case.incident.first.about.process()?;
    let (id, stack) = crash(&case.slice, process.key, case.incident.first.at)?;
    let exe = case.names.exe(process.key);
    Some(stack::explain(&stack, id, exe, roots))
}

/// A fault that a program handles (Go and the JVM do, all the time) is about its end only this long before it.
const HANDLED_BEFORE_END: Duration = Duration::from_secs(1);

/// The stack that a process left: the last one that was its end, if it may have been, else the last one shortly before.
fn crash(slice: &Slice, process: ProcessKey, end: BootTime) -> Option<(RecordId, Box<CrashStack>)> {
    let stacks = slice.records(LaneName::Decisive);
    let stacks = stacks.filter_map(|(id, record)| match record.event {
        Event::CrashStack(stack) if record.subject.process()?.key == process => Some((id, stack)),
        _ => None,
    });
    let late = |stack: &CrashStack| end.since(stack.at) <= HANDLED_BEFORE_END;
    stacks
        .filter(|(_, stack)| !stack.handled || late(stack))
        .max_by_key(|(id, stack)| (!stack.handled, *id))
}

/// The container whose end, or whose waiting, the incident is about. `None`: it is about none in a pod of a known name.
fn instance(case: &Case) -> Option<Instance> {
    let first = &case.incident.first;
    let container = container(case, first)?;
    let uid = first.location.pod_uid.as_deref()?;
    let facts = case.names.pod_by_uid(uid);
    let directory = facts.and_then(|facts| facts.static_uid.as_deref());
    let finished = case
        .incident
        .triggers()
        .find_map(|trigger| trigger.about.ended()?.end.finished);
    let seen = case.wall.wall(first.at).as_nanosecond();
    let seen = i64::try_from(seen).unwrap_or(i64::MAX);
    Some(Instance {
        pod: first.location.pod.clone()?,
        uid: directory.unwrap_or(uid).to_owned(),
        container,
        ended: match first.about.process() {
            Some(_) => seen,
            // The kubelet's seconds are whole: the log may end within this one.
            None => finished.map_or(seen, |at| at.saturating_add(1_000_000_000)),
        },
    })
}

fn container(case: &Case, first: &Trigger) -> Option<String> {
    match &first.about {
        About::Process(process) => case.names.container_name(process.cgroup).map(str::to_owned),
        About::Container(ended) => Some(ended.container.clone()),
        About::Pod(condition) => match &condition.what {
            Condition::Waiting { container, .. } => Some(container.clone()),
            _ => None,
        },
        About::Node(_) | About::Reported(_) | About::Recorder(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CgroupId, Comm, Process, Record, Registers, Subject};
    use crate::window::{self, Window};

    #[test]
    fn the_stack_of_the_end_is_chosen() {
        let key = |tgid| ProcessKey {
            tgid,
            start: BootTime(1),
        };
        let mut window = Window::new(window::Config::default());
        // Who, and whether the program handles it.
        let stacks = [(7, false), (7, false), (7, true), (8, false), (9, true)];
        for (at, (tgid, handled)) in (1..).zip(stacks) {
            let at = BootTime(at);
            let subject = Subject::Process(Process {
                key: key(tgid),
                tid: tgid,
                comm: Comm::from_text("app"),
                cgroup: CgroupId(1),
            });
            let event = Event::CrashStack(Box::new(CrashStack {
                at,
                signal: 11,
                handled,
                registers: Registers::default(),
                start_code: None,
                frames: Vec::new(),
                stack: Vec::new(),
            }));
            window.append(&Record { at, subject, event }, at);
        }
        let slice = window.slice(BootTime(0), BootTime(99));
        let chosen = |tgid| crash(&slice, key(tgid), BootTime(99)).map(|(_, stack)| stack.at.0);
        assert_eq!(chosen(7), Some(2));
        assert_eq!(chosen(8), Some(4));
        assert_eq!(chosen(9), Some(5));
        assert_eq!(chosen(10), None);
        let later = BootTime(2_000_000_000);
        assert!(crash(&slice, key(9), later).is_none());
        assert!(crash(&slice, key(8), later).is_some());
    }
}
