//! What the kernel saw: which death is worth keeping.
//!
//! Everywhere: OOM kills and fatal signals. A non-zero exit only where it means that something ended which was to go
//! on: a container's main process (pid 1 of its pid namespace), and the main process of a cgroup the user names (the one
//! whose parent lives outside it).

use super::{About, Location, Reason, Rules, Signature, Trigger, story};
use crate::identity::{Names, Place};
use crate::record::{CgroupId, Comm, ContainerKind, Event, Exit, Process, Record, RecordId};

/// Signals a terminal or a closed pipe sends to end something in an ordinary way: HUP, INT, PIPE. They are
/// incidents only for main processes.
const ORDINARY: [u32; 3] = [1, 2, 13];

pub(super) fn inspect(
    record: &Record,
    id: RecordId,
    names: &Names,
    rules: &Rules,
) -> Option<Trigger> {
    let process = *record.subject.process()?;
    let about = About::Process(process);
    let mut trigger = match &record.event {
        Event::Oom(oom) if oom.killed => Trigger {
            dead: false,
            ..Trigger::new(record, id, about, Reason::Oom)
        },
        Event::Exit(exit) => {
            let main = is_main(exit, &process, names, rules);
            let reason = exit_reason(exit, main)?;
            if matches!(reason, Reason::ExitCode(_)) && is_ephemeral(names, process.cgroup) {
                return None;
            }
            let kernel = exit.killer.filter(|killer| !killer.from_user());
            let by_other = exit
                .killer
                .filter(|killer| killer.from_user() && killer.sender.cgroup != process.cgroup);
            Trigger {
                killed_by_kernel_for: kernel.map(|killer| killer.sender.key),
                only_joins: kernel.is_some() && is_torn_down(exit, &process),
                ends_container: is_first(exit) && place(names, process.cgroup).is_some(),
                from_outside: by_other.is_some(),
                ..Trigger::new(record, id, about, reason)
            }
        }
        _ => return None,
    };
    trigger.location = location(names, process.cgroup);
    trigger.signature = signature(&trigger, &process, names);
    Some(trigger)
}

/// Whether it is in a container in which somebody looks around: how that ends is no incident.
fn is_ephemeral(names: &Names, cgroup: CgroupId) -> bool {
    let told = names.container_facts(cgroup);
    told.is_some_and(|(_, container)| container.kind == ContainerKind::Ephemeral)
}

fn place(names: &Names, cgroup: CgroupId) -> Option<&Place> {
    let place = &names.cgroup(cgroup)?.place;
    place.container_id().is_some().then_some(place)
}

fn location(names: &Names, cgroup: CgroupId) -> Location {
    let Some(place) = place(names, cgroup) else {
        return Location::default();
    };
    let facts = names.pod_facts(cgroup);
    let uid = facts.map(|facts| facts.uid.as_str()).or(place.pod_uid());
    Location {
        container: place.container_id().map(str::to_owned),
        pod_uid: uid.map(str::to_owned),
        pod: names.pod_of(cgroup).map(|named| named.pod.clone()),
    }
}

fn signature(trigger: &Trigger, process: &Process, names: &Names) -> Signature {
    let told = names.container_facts(process.cgroup);
    if let Some((facts, container)) = told {
        return Signature {
            place: story(&facts.identity(), Some(&container.name), Some(facts)),
            comm: comm(trigger, process),
            reason: trigger.reason,
        };
    }
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
    Signature {
        place,
        comm: process.comm,
        reason: trigger.reason,
    }
}

/// The end of a container is the container's story, whatever its program calls itself.
fn comm(trigger: &Trigger, process: &Process) -> Comm {
    match trigger.ends_container || trigger.reason == Reason::Oom {
        true => Comm::from_text(""),
        false => process.comm,
    }
}

/// Whether the kernel killed it in the context of another process of a pid namespace, and no memory had run out:
/// what `zap_pid_ns_processes` does (kernel/pid_namespace.c).
fn is_torn_down(exit: &Exit, process: &Process) -> bool {
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

/// Whether it is the first process of a pid namespace below the host's.
fn is_first(exit: &Exit) -> bool {
    exit.ns_pid == 1 && exit.ns_level > 0
}

fn is_main(exit: &Exit, process: &Process, names: &Names, rules: &Rules) -> bool {
    is_first(exit)
        || (exit.parent.cgroup != process.cgroup && watched(process.cgroup, names, rules))
}

fn watched(cgroup: CgroupId, names: &Names, rules: &Rules) -> bool {
    names
        .cgroup(cgroup)
        .is_some_and(|known| rules.watches(&known.path))
}

/// Whether `path` is a cgroup the pattern names, or lies below one.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
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
