//! Triggers: looks at one record and says "this is worth keeping". Pure rules over one record.
//!
//! Everywhere: OOM kills, fatal signals, and what a sidecar reports. A non-zero exit only where it means that something ended which was
//! to go on: a container's main process (pid 1 of its pid namespace), and the main process of a cgroup the
//! user names (the one whose parent lives outside it).

use std::sync::Arc;

use crate::identity::{Names, Place};
use crate::record::{
    BootTime, CgroupId, Comm, Event, Exit, PodName, Process, ProcessKey, Record, RecordId, Reported,
};

/// Signals a terminal or a closed pipe sends to end something in an ordinary way: HUP, INT, PIPE. They are
/// incidents only for main processes.
const ORDINARY: [u32; 3] = [1, 2, 13];

/// What is watched beyond the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Cgroup paths; `*` stands for any characters but `/`. A cgroup below a match is watched too.
    pub watch: Vec<String>,
}

/// Why an incident is opened, or what joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The OOM killer chose it.
    Oom,
    /// It died of a signal.
    Signal(u32),
    /// It exited with a code that is not zero.
    ExitCode(u32),
    /// A sidecar reported it.
    Reported,
}

/// What an incident is about.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// A process that died or is about to.
    Process(Process),
    /// What a sidecar reported.
    Reported(Arc<Reported>),
}

impl About {
    /// The process it is about.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        match self {
            Self::Process(process) => Some(process),
            Self::Reported(_) => None,
        }
    }

    /// What no other death or report has.
    #[must_use]
    pub fn identity(&self) -> Identity {
        match self {
            Self::Process(process) => Identity::Process(process.key),
            Self::Reported(reported) => Identity::Reported {
                id: reported.id.clone(),
                pod: reported.pod.clone(),
            },
        }
    }
}

/// Triggers of one identity are about the same death or report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Process(ProcessKey),
    /// The id a reporter chose, and its pod: a report that is sent twice is one.
    Reported {
        id: String,
        pod: Option<PodName>,
    },
}

/// Deaths that are the same story: the same place, program and reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    place: Place,
    comm: Comm,
    reason: Reason,
}

/// One record worth keeping.
#[derive(Clone, Debug)]
pub struct Trigger {
    pub record: RecordId,
    pub at: BootTime,
    pub about: About,
    pub reason: Reason,
    pub signature: Signature,
    /// Its death is over: the exit was seen.
    pub dead: bool,
    /// The process in whose context the kernel killed it, when the kernel did.
    pub killed_by_kernel_for: Option<ProcessKey>,
    /// It can only be part of another death: pid 1 of its namespace ended, and the kernel killed the rest. If that
    /// end was no incident, neither is this.
    pub only_joins: bool,
}

/// Looks at one record.
#[must_use]
pub fn inspect(record: &Record, id: RecordId, names: &Names, rules: &Rules) -> Option<Trigger> {
    if let Event::Reported(reported) = &record.event {
        return Some(reported_trigger(record, id, reported));
    }
    let process = *record.subject.process()?;
    let (reason, dead, killed_by_kernel_for) = match &record.event {
        Event::Oom(oom) if oom.killed => (Reason::Oom, false, None),
        Event::Exit(exit) => {
            let main = is_main(exit, &process, names, rules);
            let kernel = exit.killer.filter(|killer| !killer.from_user());
            (
                exit_reason(exit, main)?,
                true,
                kernel.map(|killer| killer.sender.key),
            )
        }
        _ => return None,
    };
    let place = match names.cgroup(process.cgroup) {
        // A pod's restarted container has a new id; the story is the pod's.
        Some(known) => match &known.place {
            Place::Container {
                pod_uid: Some(uid), ..
            } => Place::Plain(uid.clone()),
            place => place.clone(),
        },
        None => Place::Plain(process.cgroup.0.to_string()),
    };
    let signature = Signature {
        place,
        comm: process.comm,
        reason,
    };
    Some(Trigger {
        record: id,
        at: record.at,
        about: About::Process(process),
        reason,
        signature,
        dead,
        only_joins: killed_by_kernel_for.is_some() && is_torn_down(record),
        killed_by_kernel_for,
    })
}

/// Every report of a sidecar is a story of its own: whoever sent it waits for its incident. The API limits how many
/// there are.
fn reported_trigger(record: &Record, id: RecordId, reported: &Reported) -> Trigger {
    let pod = reported.pod.as_ref().map(PodName::to_string);
    let place = Place::Plain(format!("{} {}", pod.unwrap_or_default(), reported.id));
    Trigger {
        record: id,
        at: record.at,
        about: About::Reported(Arc::new(reported.clone())),
        reason: Reason::Reported,
        signature: Signature {
            place,
            comm: Comm::from_text(""),
            reason: Reason::Reported,
        },
        dead: true,
        killed_by_kernel_for: None,
        only_joins: false,
    }
}

/// Whether the kernel killed it in the context of another process of a pid namespace, and no memory had run out:
/// what `zap_pid_ns_processes` does (kernel/pid_namespace.c).
fn is_torn_down(record: &Record) -> bool {
    let (Event::Exit(exit), Some(process)) = (&record.event, record.subject.process()) else {
        return false;
    };
    let by_another = exit
        .killer
        .is_some_and(|killer| killer.sender.key != process.key);
    exit.ns_level > 0 && !exit.oom_victim && exit.status.signal() == Some(9) && by_another
}

fn exit_reason(exit: &Exit, main: bool) -> Option<Reason> {
    if exit.oom_victim && exit.status.signal().is_some() {
        return Some(Reason::Oom);
    }
    match (exit.status.signal(), exit.status.code()) {
        (Some(signal), _) if main || !ORDINARY.contains(&signal) => Some(Reason::Signal(signal)),
        (None, Some(code)) if main && code != 0 => Some(Reason::ExitCode(code)),
        _ => None,
    }
}

fn is_main(exit: &Exit, process: &Process, names: &Names, rules: &Rules) -> bool {
    if exit.ns_pid == 1 && exit.ns_level > 0 {
        return true;
    }
    exit.parent.cgroup != process.cgroup && watched(process.cgroup, names, rules)
}

fn watched(cgroup: CgroupId, names: &Names, rules: &Rules) -> bool {
    names.cgroup(cgroup).is_some_and(|known| {
        rules
            .watch
            .iter()
            .any(|pattern| matches(pattern, &known.path))
    })
}

/// Whether `path` is a cgroup the pattern names, or lies below one.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    pattern.split('/').all(|wanted| {
        parts
            .next()
            .is_some_and(|part| part_matches(wanted.as_bytes(), part.as_bytes()))
    })
}

fn part_matches(pattern: &[u8], part: &[u8]) -> bool {
    match (pattern.first(), part.first()) {
        (None, None) => true,
        (Some(b'*'), _) => {
            part_matches(&pattern[1..], part)
                || (!part.is_empty() && part_matches(pattern, &part[1..]))
        }
        (Some(wanted), Some(found)) => wanted == found && part_matches(&pattern[1..], &part[1..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_a_cgroup_and_what_lies_below() {
        for (pattern, path, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/b", true),
            ("/a", "/ab", false),
            ("/a*", "/ab/c", true),
            ("/*/b", "/a/b", true),
            ("/*/b", "/a/c", false),
            ("/a*c", "/abc", true),
            ("/a/b", "/a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }
}
