//! What keeps a pod from running, or ended it? The kubelet's and the API server's own words, and the ends they speak of.

use super::Word;
use super::stop::disruption;
use crate::identity::Names;
use crate::record::{
    Condition, Event, Exit, KubeEvent, PodCondition, Process, RecordId, WaitCause,
};
use crate::verdict::{Cause, Grade, Verdict};
use crate::words;

/// Ends of containers told in one verdict: the latest.
const MAX_ENDS: usize = 5;
/// Events told in one verdict: the latest.
const MAX_EVENTS: usize = 3;

/// What came to be so with a pod.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub condition: &'a PodCondition,
    /// The record that holds it.
    pub id: RecordId,
    pub word: Word<'a>,
    pub names: &'a Names,
}

#[must_use]
pub fn explain(told: &Told<'_>) -> Verdict {
    let (cause, headline) = answer(told);
    let mut verdict = Verdict::new(cause, Grade::Proven, headline);
    let message = told.condition.message.as_deref().unwrap_or_default().trim();
    let text = match message.is_empty() {
        true => "the API server shows it so, without a reason".to_owned(),
        false => format!("in its own words: {}", words::printable(message)),
    };
    verdict.state(Grade::Proven, text, vec![told.id]);
    let ends = ends(told, &mut verdict);
    deaths(told, &mut verdict);
    events(told, &mut verdict);
    if cause == Cause::CrashLoop && ends == 0 {
        let text = "why it ended is not in this window: its earlier reports say";
        verdict.state(Grade::Unknown, text.to_owned(), vec![told.id]);
    }
    facts(told, &mut verdict);
    verdict
}

fn answer(told: &Told<'_>) -> (Cause, String) {
    let pod = &told.condition.pod.pod;
    let message = told.condition.message.as_deref().unwrap_or_default().trim();
    let said = match message.is_empty() {
        true => String::new(),
        false => format!(": {}", words::printable(message)),
    };
    match &told.condition.what {
        Condition::Waiting { container, cause } => {
            let name = format!("container {container} of pod {pod}");
            let image = told.word.container_facts().and_then(|it| it.image.clone());
            let image = image.map_or(String::new(), |image| format!(" {image}"));
            match cause {
                WaitCause::CrashLoopBackOff => (
                    Cause::CrashLoop,
                    format!(
                        "{name} keeps ending, and the kubelet holds it back (CrashLoopBackOff){}",
                        restarts(told)
                    ),
                ),
                WaitCause::ErrImagePull
                | WaitCause::ImagePullBackOff
                | WaitCause::InvalidImageName => (
                    Cause::ImagePull,
                    format!(
                        "{name} cannot start: its image{image} cannot be had ({}){said}",
                        cause.name()
                    ),
                ),
                WaitCause::CreateContainerConfigError => (
                    Cause::Config,
                    format!("{name} cannot start: its configuration cannot be used{said}"),
                ),
                WaitCause::Other(why) => (
                    Cause::StartFailed,
                    format!("{name} cannot start ({why}){said}"),
                ),
            }
        }
        Condition::PendingLong { seconds } => (
            Cause::Pending,
            format!("pod {pod} has been pending for {seconds} s"),
        ),
        Condition::Evicted => (
            Cause::Evicted,
            format!("the kubelet evicted pod {pod}{said}"),
        ),
        Condition::DeadlineExceeded => (
            Cause::DeadlineExceeded,
            format!("pod {pod} ran for longer than its activeDeadlineSeconds allows"),
        ),
        Condition::Disrupted { reason } => (
            Cause::Disrupted,
            format!("pod {pod} {}{said}", disruption(reason)),
        ),
        Condition::Failed { reason } => {
            let reason = reason
                .as_ref()
                .map_or(String::new(), |reason| format!(" ({reason})"));
            (Cause::PodFailed, format!("pod {pod} failed{reason}{said}"))
        }
        Condition::Deleting(_) | Condition::Gone { .. } => {
            (Cause::Deleted, format!("pod {pod} was deleted"))
        }
    }
}

fn restarts(told: &Told<'_>) -> String {
    let restarts = told
        .word
        .container_facts()
        .and_then(|container| container.restarts);
    match restarts {
        None | Some(0) => String::new(),
        Some(1) => ", restarted once so far".to_owned(),
        Some(count) => format!(", restarted {count} times so far"),
    }
}

/// Ends of the pod's containers in this window, by the kubelet's word. How many there are.
fn ends(told: &Told<'_>, verdict: &mut Verdict) -> usize {
    let ends: Vec<_> = told
        .word
        .own()
        .filter_map(|(id, record)| match &record.event {
            Event::ContainerEnded(ended) => Some((id, ended)),
            _ => None,
        })
        .filter(|(_, ended)| told.word.container.is_none_or(|own| own == ended.container))
        .collect();
    for (id, ended) in ends.iter().rev().take(MAX_ENDS).rev() {
        let reason = ended.end.reason.as_ref();
        let reason = reason.map_or(String::new(), |reason| format!(", {reason}"));
        let code = ended.end.exit_code;
        let text = format!(
            "container {} ended with exit code {code}{reason}",
            ended.container
        );
        verdict.state(Grade::Proven, text, vec![*id]);
    }
    ends.len()
}

/// Deaths of main processes that the kernel saw in the pod's containers: how they were ended, and by whom.
fn deaths(told: &Told<'_>, verdict: &mut Verdict) {
    let own = |process: &Process| {
        let facts = told.names.pod_facts(process.cgroup);
        facts.is_some_and(|facts| facts.uid == told.word.uid)
    };
    let deaths = told.word.records.iter().filter_map(|(id, record)| {
        let process = record.subject.process()?;
        match &record.event {
            Event::Exit(exit) if exit.ns_pid == 1 && exit.ns_level > 0 && own(process) => {
                Some((*id, *process, exit))
            }
            _ => None,
        }
    });
    let deaths: Vec<_> = deaths.collect();
    for (id, process, exit) in deaths.iter().rev().take(MAX_ENDS).rev() {
        let text = format!(
            "the kernel saw {} {}{}",
            words::process(process),
            words::ending(exit.status),
            by(exit, told.names)
        );
        verdict.state(Grade::Proven, text, vec![*id]);
    }
}

fn by(exit: &Exit, names: &Names) -> String {
    if exit.oom_victim {
        return ", chosen by the OOM killer".to_owned();
    }
    match exit.killer.filter(crate::record::Signal::from_user) {
        Some(signal) => {
            let sender = words::process(&signal.sender);
            format!(
                ", sent by {sender} in {}",
                names.describe(signal.sender.cgroup)
            )
        }
        None => String::new(),
    }
}

/// The cluster's warnings about the pod.
fn events(told: &Told<'_>, verdict: &mut Verdict) {
    let warnings: Vec<_> = told
        .word
        .events()
        .filter(|(_, _, event)| event.warning)
        .collect();
    for (id, _, event) in warnings.iter().rev().take(MAX_EVENTS).rev() {
        verdict.state(Grade::Proven, warning(event), vec![*id]);
    }
}

fn warning(event: &KubeEvent) -> String {
    let times = match event.count {
        0 | 1 => String::new(),
        count => format!(" ({count} times)"),
    };
    let message = words::printable(event.message.trim());
    format!(
        "{} says{times}: {}: {message}",
        event.component, event.reason
    )
}

fn facts(told: &Told<'_>, verdict: &mut Verdict) {
    verdict.fact("pod", told.condition.pod.pod.to_string());
    if let Condition::Waiting { container, cause } = &told.condition.what {
        verdict.fact("container_name", container.clone());
        verdict.fact("reason", cause.name());
    }
    if let Some(container) = told.word.container_facts() {
        if let Some(restarts) = container.restarts {
            verdict.fact("restart_count", restarts);
        }
        if let Some(image) = &container.image {
            verdict.fact("image", image.clone());
        }
    }
    if let Some(facts) = told.word.facts {
        // v1's context of a pod that failed.
        verdict.fact("phase", format!("{:?}", facts.phase));
        if let Some(reason) = &facts.reason {
            verdict.fact("reason", reason.clone());
        }
    }
    if let Some(message) = &told.condition.message {
        verdict.fact("message", message.clone());
    }
}

/// The node is short of something, by the kubelet's word.
#[must_use]
pub fn node(event: &KubeEvent, id: RecordId) -> Verdict {
    let message = words::printable(event.message.trim());
    let headline = format!(
        "the node is short of something ({}): {message}",
        event.reason
    );
    let mut verdict = Verdict::new(Cause::NodePressure, Grade::Proven, headline);
    verdict.state(Grade::Proven, warning(event), vec![id]);
    verdict.fact("reason", event.reason.clone());
    verdict.fact("message", event.message.clone());
    verdict
}
