//! What the API server said, in a sentence each.

use std::fmt::Write as _;

use crate::record::{
    Condition, ContainerEnded, ContainerKind, KubeEvent, Phase, PodCondition, PodFacts,
};
use crate::words;

pub(super) fn pod(facts: &PodFacts) -> String {
    let phase = match facts.phase {
        Phase::Pending => "pending",
        Phase::Running => "running",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::Unknown => "in no known phase",
    };
    let mut text = format!("pod {} is {phase}", facts.pod);
    if let Some(owner) = facts.owners.last() {
        append(
            &mut text,
            format_args!(", of {} {}", owner.kind, owner.name),
        );
    }
    for container in &facts.containers {
        if let Some(restarts) = container.restarts.filter(|restarts| *restarts > 0) {
            append(
                &mut text,
                format_args!("; container {} restarted {restarts} times", container.name),
            );
        }
    }
    text
}

pub(super) fn ended(ended: &ContainerEnded) -> String {
    let kind = match ended.kind {
        ContainerKind::Main => "container",
        ContainerKind::Init => "init container",
        ContainerKind::Sidecar => "sidecar container",
        ContainerKind::Ephemeral => "ephemeral container",
    };
    let end = &ended.end;
    let mut text = format!(
        "{kind} {} of pod {} ended with exit code {}",
        ended.container, ended.pod.pod, end.exit_code
    );
    if let Some(signal) = end.signal {
        append(&mut text, format_args!(", {}", words::signal(signal)));
    }
    if let Some(reason) = &end.reason {
        append(&mut text, format_args!(", {reason}"));
    }
    append(&mut text, format_args!(" (restarts: {})", ended.restarts));
    if ended.unseen > 0 {
        append(
            &mut text,
            format_args!("; {} ends before it were not shown", ended.unseen),
        );
    }
    if let Some(message) = &ended.message {
        append(&mut text, format_args!(": {message}"));
    }
    text
}

pub(super) fn condition(condition: &PodCondition) -> String {
    let pod = &condition.pod.pod;
    let mut text = match &condition.what {
        Condition::Waiting { container, cause } => {
            format!("container {container} of pod {pod} waits: {}", cause.name())
        }
        Condition::PendingLong { seconds } => format!("pod {pod} has been pending for {seconds} s"),
        Condition::Disrupted { reason } => format!("pod {pod} is to be ended: {reason}"),
        Condition::Deleting(deletion) => match deletion.grace_seconds {
            Some(grace) => format!("pod {pod} is being deleted, grace period {grace} s"),
            None => format!("pod {pod} is being deleted"),
        },
        Condition::Evicted => format!("pod {pod} was evicted by the kubelet"),
        Condition::DeadlineExceeded => format!("pod {pod} ran for longer than its deadline"),
        Condition::Failed { reason: Some(why) } => format!("pod {pod} failed: {why}"),
        Condition::Failed { reason: None } => format!("pod {pod} failed"),
        Condition::Gone { unseen: false } => format!("pod {pod} is gone"),
        Condition::Gone { unseen: true } => {
            format!("pod {pod} is gone since the API server was last heard")
        }
    };
    if let Some(message) = &condition.message {
        append(&mut text, format_args!(": {message}"));
    }
    text
}

pub(super) fn event(event: &KubeEvent) -> String {
    let about = match &event.pod {
        Some(pod) => format!("pod {}", pod.pod),
        None => "the node".to_owned(),
    };
    let times = match event.count {
        0 | 1 => String::new(),
        count => format!(", {count} times"),
    };
    format!(
        "{} about {about}{times}: {}: {}",
        event.component, event.reason, event.message
    )
}

/// Writing to a string does not fail.
fn append(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).unwrap_or_default();
}
