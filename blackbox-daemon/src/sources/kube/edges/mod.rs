//! A pod as it was and as it is → what is new: its facts, conditions that begin, containers that ended. Pure.
//!
//! An end is new once, by container id and finishing time, whether it shows as `state` or only as `lastState` of a
//! later instance. A condition is new when the pod was not in it before.

use super::facts::Look;
use super::seen::{Key, Seen};
use crate::record::{
    Condition, ContainerEnded, ContainerFacts, ContainerState, Event, Phase, PodCondition,
    PodFacts, WaitCause,
};

/// How a pod is taken that was not known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// What it shows is news, unless it was recorded before.
    News,
    /// Nobody remembers what was recorded before: what it shows is old, but for ends since then (wall time, ns).
    Old { but_since: i64 },
}

/// What is new about a pod, in the order in which it is to be understood.
pub(super) fn edges(
    old: Option<&PodFacts>,
    look: &Look,
    sight: Sight,
    seen: &mut Seen,
) -> Vec<Event> {
    let new = &look.facts;
    let mut events = Vec::new();
    if old != Some(new) {
        events.push(Event::Pod(Box::new(new.clone())));
    }
    let ends = ends(old, look, sight, seen);
    events.extend(ends.into_iter().map(Box::new).map(Event::ContainerEnded));
    let before = old.map(held).unwrap_or_default();
    for what in held(new) {
        let unseen = seen.note(Key::of_condition(new, &what));
        let news = match old {
            Some(_) => !before.contains(&what),
            None => unseen && sight == Sight::News,
        };
        if news {
            events.push(condition(look, what, !unseen));
        }
    }
    events
}

/// A record of a condition that began, with the API server's words for it. `again`: it was so before.
pub(super) fn condition(look: &Look, what: Condition, again: bool) -> Event {
    let facts = &look.facts;
    let message = match &what {
        Condition::Waiting { container, .. } => look.wait_message(container),
        Condition::Disrupted { .. } => facts.disruption.as_ref().and_then(|it| it.message.clone()),
        Condition::Evicted | Condition::DeadlineExceeded | Condition::Failed { .. } => {
            facts.message.clone()
        }
        Condition::PendingLong { .. } | Condition::Deleting(_) | Condition::Gone { .. } => None,
    };
    Event::PodCondition(Box::new(PodCondition {
        pod: facts.identity(),
        what,
        message,
        again,
    }))
}

/// The conditions a pod is in.
fn held(facts: &PodFacts) -> Vec<Condition> {
    let mut held = Vec::new();
    for container in &facts.containers {
        if let ContainerState::Waiting {
            reason: Some(reason),
        } = &container.state
        {
            held.extend(WaitCause::of(reason).map(|cause| Condition::Waiting {
                container: container.name.clone(),
                cause,
            }));
        }
    }
    held.extend(facts.disruption.as_ref().map(|it| Condition::Disrupted {
        reason: it.reason.clone(),
    }));
    held.extend(facts.deletion.map(Condition::Deleting));
    if facts.phase == Phase::Failed {
        held.push(match facts.reason.as_deref() {
            Some("Evicted") => Condition::Evicted,
            Some("DeadlineExceeded") => Condition::DeadlineExceeded,
            reason => Condition::Failed {
                reason: reason.map(str::to_owned),
            },
        });
    }
    held
}

/// The ends that were not recorded yet; the newest of each container says how many the API server never showed.
fn ends(old: Option<&PodFacts>, look: &Look, sight: Sight, seen: &mut Seen) -> Vec<ContainerEnded> {
    let mut ends: Vec<ContainerEnded> = Vec::new();
    for ended in &look.ends {
        let unseen = seen.note(Key::of_end(ended));
        let news = match sight {
            Sight::Old { but_since } if old.is_none() => {
                ended.end.finished.is_some_and(|at| at >= but_since)
            }
            Sight::Old { .. } | Sight::News => true,
        };
        if unseen && news {
            ends.push(ended.clone());
        }
    }
    for container in &look.facts.containers {
        let before = old.and_then(|old| old.container(&container.name));
        let Some(before) = before.filter(|before| before.restarts.is_some()) else {
            continue;
        };
        let happened = ended_so_far(container).saturating_sub(ended_so_far(before));
        let own = |ended: &&mut ContainerEnded| ended.container == container.name;
        let shown = ends.iter_mut().filter(|ended| own(ended)).count();
        if let Some(newest) = ends.iter_mut().rev().find(own) {
            let shown = u32::try_from(shown).unwrap_or(u32::MAX);
            newest.unseen = happened.saturating_sub(shown);
        }
    }
    ends
}

/// How many instances of a container have ended: every restart is one, and the newest may have ended too.
fn ended_so_far(container: &ContainerFacts) -> u32 {
    let last = container
        .last_end
        .as_ref()
        .and_then(|end| end.container_id.as_ref());
    let newest_ended = match &container.state {
        ContainerState::Ended(_) => true,
        // It waits to be restarted, and still shows the id of the one that ended.
        ContainerState::Waiting { .. } => last.is_some() && last == container.id.as_ref(),
        ContainerState::Running { .. } | ContainerState::Unknown => false,
    };
    container.restarts.unwrap_or(0) + u32::from(newest_ended)
}

#[cfg(test)]
mod tests;
