//! What a kubelet writes and says in the life of a pod, step by step. Pure.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;

use crate::pods::{Instances, failed, status, waiting};

/// What a kubelet does next.
pub(crate) enum Step {
    Status(Value),
    /// Reason and message of an event about the container.
    Says(&'static str, &'static str),
    /// Somebody asks for the pod's deletion.
    Deleted {
        grace: u32,
    },
    /// The pod is gone.
    Removed,
    /// Nothing happens for so long.
    Passes(Duration),
    /// Nothing happens until so many incidents have been told, if there are to be so many.
    Told(usize),
}

/// The table of what a kubelet writes, row by row.
pub(crate) fn oom(app: Instances) -> Vec<Step> {
    let end = |instance| app.ended(instance, 137, "OOMKilled");
    vec![
        Step::Status(status("Pending", &app.creating())),
        Step::Status(status("Running", &app.running(0, None))),
        Step::Status(status("Running", &app.dead(0, &end(0), None))),
        Step::Status(status("Running", &app.running(1, Some(end(0))))),
        Step::Told(1),
        Step::Status(status("Running", &app.dead(1, &end(1), Some(end(0))))),
        Step::Told(2),
        Step::Status(status("Running", &app.backing_off(1, end(1)))),
        Step::Status(status("Running", &app.running(2, Some(end(1))))),
    ]
}

/// Statuses are written in batches: the end is never shown but as the state before.
pub(crate) fn skipped(app: Instances) -> Vec<Step> {
    let end = app.ended(0, 3, "Error");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Status(status("Running", &app.running(1, Some(end)))),
    ]
}

pub(crate) fn image(app: Instances) -> Vec<Step> {
    let failed = waiting("ErrImagePull", "manifest unknown", 0);
    let pause = waiting("ImagePullBackOff", "Back-off pulling image", 0);
    vec![
        Step::Status(status("Pending", &app.creating())),
        Step::Status(status("Pending", &failed)),
        Step::Status(status("Pending", &pause)),
        Step::Status(status("Pending", &failed)),
    ]
}

pub(crate) fn config(app: Instances) -> Vec<Step> {
    let cause = waiting("CreateContainerConfigError", "secret \"keys\" not found", 0);
    vec![
        Step::Status(status("Pending", &app.creating())),
        Step::Status(status("Pending", &cause)),
    ]
}

pub(crate) fn evicted(app: Instances) -> Vec<Step> {
    const WHY: &str = "The node was low on resource: memory.";
    let end = app.ended(0, 137, "ContainerStatusUnknown");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Says("Evicted", WHY),
        Step::Status(failed("Evicted", WHY, &[app.dead(0, &end, None)])),
    ]
}

pub(crate) fn late(app: Instances) -> Vec<Step> {
    const WHY: &str = "Pod was active on the node longer than the specified deadline";
    let end = app.ended(0, 143, "Error");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Status(failed("DeadlineExceeded", WHY, &[app.dead(0, &end, None)])),
    ]
}

/// One pod of a roll-out: asked to stop, it ends by SIGTERM.
pub(crate) fn replaced(app: Instances) -> Vec<Step> {
    let app = app.later(SignedDuration::from_secs(25));
    let end = app.ended(0, 143, "Error");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Deleted { grace: 30 },
        Step::Says("Killing", "Stopping container app"),
        Step::Status(status("Running", &app.dead(0, &end, None))),
        Step::Removed,
    ]
}

/// The same, of one that does not heed SIGTERM.
pub(crate) fn stubborn(app: Instances) -> Vec<Step> {
    let app = app.later(SignedDuration::from_secs(30));
    let end = app.ended(0, 137, "Error");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Deleted { grace: 2 },
        Step::Says("Killing", "Stopping container app"),
        Step::Passes(Duration::from_secs(2)),
        Step::Status(status("Running", &app.dead(0, &end, None))),
        Step::Removed,
    ]
}

pub(crate) fn done(app: Instances) -> Vec<Step> {
    let end = app.ended(0, 0, "Completed");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Status(status("Succeeded", &app.dead(0, &end, None))),
    ]
}

pub(crate) fn probed(app: Instances) -> Vec<Step> {
    let end = app.ended(0, 137, "Error");
    vec![
        Step::Status(status("Running", &app.running(0, None))),
        Step::Says("Unhealthy", "Liveness probe failed: connection refused"),
        Step::Says(
            "Killing",
            "Container app failed liveness probe, will be restarted",
        ),
        Step::Status(status("Running", &app.dead(0, &end, None))),
        Step::Status(status("Running", &app.running(1, Some(end)))),
    ]
}
