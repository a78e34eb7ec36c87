//! Statuses of pods as kubelets write them: one container `app`, from instance to instance. Pure.
//!
//! Instances are numbered from 0; each has an id and times of its own. What a kubelet shows together was seen on a real
//! one: a container that waits to be started again shows the id and the end of its last instance.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// What a pod's container is, as far as a spec says.
pub(crate) fn spec(restart_policy: &str) -> Value {
    json!({"restartPolicy": restart_policy, "terminationGracePeriodSeconds": 30,
        "containers": [{"name": "app", "image": "registry.local/app:1",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"},
                "limits": {"cpu": "100m", "memory": "32Mi"}}}]})
}

/// The instances of a pod's container, which started one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instances {
    pub(crate) pod: &'static str,
    pub(crate) first: Timestamp,
}

impl Instances {
    /// The same, but later.
    pub(crate) fn later(self, by: SignedDuration) -> Self {
        Self {
            first: self.first + by,
            ..self
        }
    }

    /// When an instance was started: each ran for some seconds.
    fn started(self, instance: u32) -> Timestamp {
        self.first + SignedDuration::from_secs(10 * i64::from(instance))
    }

    fn id(self, instance: u32) -> String {
        let name = self.pod.bytes().map(|byte| format!("{byte:02x}"));
        let name: String = name.collect();
        format!("containerd://{name:0<60}{instance:04x}")
    }

    /// `state` or `lastState` of an instance that ended.
    pub(crate) fn ended(self, instance: u32, code: i32, reason: &str) -> Value {
        let finished = self.started(instance) + SignedDuration::from_secs(7);
        json!({"terminated": {"exitCode": code, "reason": reason, "containerID": self.id(instance),
            "startedAt": seconds(self.started(instance)), "finishedAt": seconds(finished)}})
    }

    /// It is being created for the first time.
    pub(crate) fn creating(self) -> Value {
        waiting("ContainerCreating", "", 0)
    }

    /// An instance runs; `last` is the end of the one before.
    pub(crate) fn running(self, instance: u32, last: Option<Value>) -> Value {
        let state = json!({"running": {"startedAt": seconds(self.started(instance))}});
        self.shown(instance, instance, &state, last)
    }

    /// An instance has just ended; `last` is the end of the one before.
    pub(crate) fn dead(self, instance: u32, end: &Value, last: Option<Value>) -> Value {
        self.shown(instance, instance, end, last)
    }

    /// The next one waits for its turn: what is shown is the dead one's, and restarts have not grown.
    pub(crate) fn backing_off(self, instance: u32, end: Value) -> Value {
        let message = format!(
            "back-off 10s restarting failed container=app pod={}_shop",
            self.pod
        );
        let state = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
        self.shown(instance, instance, &state, Some(end))
    }

    fn shown(self, instance: u32, restarts: u32, state: &Value, last: Option<Value>) -> Value {
        let running = !state["running"].is_null();
        let mut status = container(state, restarts, running);
        status["containerID"] = json!(self.id(instance));
        status["imageID"] = json!(format!("registry.local/app@sha256:{}", "ab".repeat(32)));
        status["lastState"] = last.unwrap_or_else(|| json!({}));
        status
    }
}

/// A container that was never started, and why.
pub(crate) fn waiting(reason: &str, message: &str, restarts: u32) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    container(&state, restarts, false)
}

fn container(state: &Value, restarts: u32, running: bool) -> Value {
    json!({"name": "app", "image": "registry.local/app:1", "imageID": "", "lastState": {},
        "ready": running, "started": running, "restartCount": restarts, "state": state})
}

/// A pod's status with this container.
pub(crate) fn status(phase: &str, container: &Value) -> Value {
    json!({"phase": phase, "qosClass": "Burstable", "hostIP": "192.0.2.10", "podIP": "10.1.0.7",
        "containerStatuses": [container]})
}

/// A pod that the kubelet has ended.
pub(crate) fn failed(reason: &str, message: &str, containers: &[Value]) -> Value {
    json!({"phase": "Failed", "reason": reason, "message": message, "qosClass": "Burstable",
        "containerStatuses": containers})
}

/// As Kubernetes writes it: whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
