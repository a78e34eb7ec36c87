//! Which triggers are about the same thing. Pure.
//!
//! One death can be told by the kernel (a process), by the kubelet (a container's end, a pod's end) and by a sidecar; what
//! binds them is the process, the container's id or the pod's uid, never a name alone where more is known.

use super::trigger::{About, Identity, Location, Reason, Trigger, Trouble};
use super::{Incident, ends_pod};
use crate::record::same_container;

/// How near a trigger is to an incident it is part of; the nearest takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kinship {
    /// Something in the same pod, or the same container.
    Place,
    /// The end of the same container, or what dragged it along.
    End,
    /// The very same death or report.
    Same,
}

impl Kinship {
    /// How near `trigger` is to `incident`. `None`: it is another story.
    pub(super) fn of(incident: &Incident, trigger: &Trigger) -> Option<Self> {
        let all = || incident.triggers();
        if all().any(|known| known.about.identity() == trigger.about.identity()) {
            return Some(Self::Same);
        }
        if same_oom(&incident.first, trigger) || all().any(|known| dragged_along(known, trigger)) {
            return Some(Self::End);
        }
        if all().any(|known| same_end(known, trigger)) {
            return Some(Self::End);
        }
        all()
            .any(|known| same_place(known, trigger) || same_place(trigger, known))
            .then_some(Self::Place)
    }
}

/// Two victims of the OOM killer in one cgroup.
fn same_oom(first: &Trigger, trigger: &Trigger) -> bool {
    let victim = |trigger: &Trigger| {
        let oom = trigger.reason == Reason::Oom;
        oom.then(|| trigger.about.process().map(|process| process.cgroup))?
    };
    victim(first).is_some() && victim(first) == victim(trigger)
}

/// When pid 1 of a namespace dies, the kernel kills the rest of it in its context.
fn dragged_along(known: &Trigger, trigger: &Trigger) -> bool {
    let by = trigger.killed_by_kernel_for;
    by.is_some_and(|by| known.about.identity() == Identity::Process(by))
        && trigger.reason == Reason::Signal(9)
}

/// The end of one container, as the kernel and as the kubelet tell it.
fn same_end(known: &Trigger, trigger: &Trigger) -> bool {
    let told_twice = known.about.ended().is_some() != trigger.about.ended().is_some();
    told_twice
        && known.ends_container
        && trigger.ends_container
        && in_same_container(&known.location, &trigger.location)
}

/// Whether `other` follows from `one`, or tells of it, by where they happened.
fn same_place(one: &Trigger, other: &Trigger) -> bool {
    let container = in_same_container(&one.location, &other.location);
    match (&one.about, &other.about) {
        // Its main process or the kubelet says that the container ended after memory had run out in it; and the kubelet
        // may tell the end of a container in which the kernel saw no first process die.
        (About::Process(_), About::Process(_)) => {
            container && one.reason == Reason::Oom && other.ends_container
        }
        (About::Process(_), About::Container(_)) => container,
        // A container was stopped because its pod was to end; or its end is why the pod failed.
        (About::Pod(condition), About::Process(_) | About::Container(_)) => {
            let failed = one.reason == Reason::Trouble(Trouble::Failed);
            let uid = other.location.pod_uid.as_deref();
            ends_pod(one.reason)
                && uid == Some(&*condition.pod.uid)
                && (failed || other.from_outside || matches!(other.reason, Reason::ExitCode(_)))
        }
        // A sidecar's last words about the death.
        (About::Reported(reported), About::Process(_) | About::Container(_)) => {
            matches!(reported.kind.as_str(), "crash" | "oom")
                && (other.ends_container || other.reason == Reason::Oom)
                && reporter_is_there(&one.location, &other.location)
        }
        _ => false,
    }
}

fn in_same_container(one: &Location, other: &Location) -> bool {
    let ids = one.container.as_ref().zip(other.container.as_ref());
    ids.is_some_and(|(one, other)| same_container(one, other))
}

/// Whether a reporter speaks of the place of a death: by the container it names, else by its pod. One that proved to
/// be another pod may name what it likes.
fn reporter_is_there(reporter: &Location, death: &Location) -> bool {
    let uids = reporter.pod_uid.as_ref().zip(death.pod_uid.as_ref());
    if uids.is_some_and(|(proven, known)| proven != known) {
        return false;
    }
    match &reporter.container {
        Some(_) => in_same_container(reporter, death),
        None => reporter.pod.is_some() && reporter.pod == death.pod,
    }
}

/// Whether `new` is the better reason to tell the story by.
pub(super) fn says_more(new: &Trigger, first: &Trigger) -> bool {
    let rank = |trigger: &Trigger| match &trigger.about {
        About::Process(_) => 2,
        About::Container(_) => 1,
        About::Pod(_) | About::Node(_) | About::Reported(_) | About::Recorder(_) => 0,
    };
    if new.about.identity() == first.about.identity() {
        let marked = new.reason == Reason::Oom && first.reason == Reason::Signal(9);
        let explained = first.reason == Reason::Trouble(Trouble::Disrupted) && ends_pod(new.reason);
        return marked || explained;
    }
    // The end of a pod is told as such, with the ends of its containers.
    let pod = matches!(first.about, About::Pod(_));
    rank(new) > rank(first) && (!pod || first.reason == Reason::Trouble(Trouble::Failed))
}

/// What a trigger is remembered by: itself, and the end of its container.
pub(super) fn identities(trigger: &Trigger) -> impl Iterator<Item = Identity> {
    let container = trigger.location.container.clone();
    let end = container.filter(|_| trigger.ends_container);
    std::iter::once(trigger.about.identity()).chain(end.map(Identity::Container))
}
