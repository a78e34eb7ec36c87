//! What a kubelet says of a pod with one container: from the instances that ran, to the status it writes. Pure.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pod::{Layout, Pod};
use super::protocol::Life;

/// From instance to instance of a pod's container.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) pod: Pod,
    /// Whether a container that ends is started again.
    pub(super) restarts: bool,
    /// The present instance.
    pub(super) present: Instance,
    /// The one before.
    pub(super) last: Option<Instance>,
    pub(super) restart_count: u32,
}

/// One run of a container.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) life: Life,
    pub(super) pid: u32,
    pub(super) started: Option<Timestamp>,
    pub(super) ended: Option<End>,
}

/// How and when it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) at: Timestamp,
}

impl Instance {
    pub(super) fn new(id: String, life: Life) -> Self {
        Self {
            id,
            life,
            pid: 0,
            started: None,
            ended: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.started.is_some() && self.ended.is_none()
    }
}

impl History {
    /// The pod's object, as who makes pods makes it, with an owner of its own or one it shares.
    pub(super) fn object(&self, node: &str, owner: &str) -> Value {
        let pod = &self.pod;
        let memory = pod.limit_bytes.to_string();
        let limits = json!({"cpu": "100m", "memory": memory});
        let requests = if pod.layout == Layout::GuaranteedContainerd {
            limits.clone()
        } else {
            json!({"cpu": "10m", "memory": "8Mi"})
        };
        let resources = json!({"limits": limits, "requests": requests});
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": true,
                "uid": "5b1f0f0e-0000-4000-8000-000000000000"}]},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 30,
                "restartPolicy": if self.restarts { "Always" } else { "Never" },
                "containers": [{"name": pod.container, "image": "registry.local/app:1",
                    "resources": resources}]}})
    }

    /// Whether the pod will not run again.
    pub(super) fn is_over(&self) -> bool {
        !self.restarts && self.present.ended.is_some()
    }

    /// The status.
    pub(super) fn status(&self) -> Value {
        let running = self.present.is_running();
        let last = self.last.as_ref();
        let container = json!({"name": self.pod.container, "image": "registry.local/app:1",
            "imageID": format!("registry.local/app@sha256:{}", "ab".repeat(32)),
            "containerID": self.runtime_id(&self.present), "ready": running, "started": running,
            "restartCount": self.restart_count, "state": self.state(&self.present),
            "lastState": last.map_or_else(|| json!({}), |last| self.state(last))});
        let guaranteed = self.pod.layout == Layout::GuaranteedContainerd;
        json!({"phase": if self.is_over() { "Failed" } else { "Running" },
            "qosClass": if guaranteed { "Guaranteed" } else { "Burstable" },
            "hostIP": "192.0.2.10", "podIP": "10.1.0.7", "containerStatuses": [container]})
    }

    fn state(&self, instance: &Instance) -> Value {
        let started = instance.started.map(seconds);
        let Some(end) = instance.ended else {
            return match started {
                Some(started) => json!({"running": {"startedAt": started}}),
                None => json!({"waiting": {"reason": "ContainerCreating"}}),
            };
        };
        let reason = match (instance.life, end.code) {
            (Life::OutOfMemory, _) => "OOMKilled",
            (_, 0) => "Completed",
            (_, _) => "Error",
        };
        json!({"terminated": {"exitCode": end.code, "reason": reason, "startedAt": started,
            "finishedAt": seconds(end.at), "containerID": self.runtime_id(instance)}})
    }

    /// The id as the API has it.
    fn runtime_id(&self, instance: &Instance) -> String {
        let runtime = match self.pod.layout {
            Layout::BurstableCrio => "cri-o",
            Layout::BurstableContainerd
            | Layout::GuaranteedContainerd
            | Layout::BurstableCgroupfs => "containerd",
        };
        format!("{runtime}://{}", instance.id)
    }
}

/// As Kubernetes writes it: whole seconds.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn ended(code: i32, life: Life) -> Instance {
        Instance {
            started: Some(at(0)),
            ended: Some(End { code, at: at(5) }),
            ..Instance::new("ab".to_owned(), life)
        }
    }

    #[test]
    fn a_restarted_container_shows_its_last_end() {
        let mut present = Instance::new("cd".to_owned(), Life::Serve);
        present.started = Some(at(6));
        let history = History {
            pod: Pod::new("worker", 0),
            restarts: true,
            present,
            last: Some(ended(137, Life::OutOfMemory)),
            restart_count: 1,
        };
        let status = history.status();
        let container = &status["containerStatuses"][0];
        assert_eq!(status["phase"], "Running");
        assert_eq!(container["containerID"], "containerd://cd");
        assert_eq!(
            container["state"]["running"]["startedAt"],
            "2023-11-14T22:13:26Z"
        );
        let last = &container["lastState"]["terminated"];
        assert_eq!(
            (&last["reason"], &last["exitCode"], &last["containerID"]),
            (&json!("OOMKilled"), &json!(137), &json!("containerd://ab"))
        );
    }

    #[test]
    fn one_that_is_not_restarted_ends_its_pod() {
        let history = History {
            pod: Pod::new("worker", 1),
            restarts: false,
            present: ended(137, Life::OutOfMemory),
            last: None,
            restart_count: 0,
        };
        let status = history.status();
        assert_eq!(
            (&status["phase"], &status["qosClass"]),
            (&json!("Failed"), &json!("Guaranteed"))
        );
        assert_eq!(status["containerStatuses"][0]["lastState"], json!({}));
    }
}
