//! What is read of a report: the keys of the JSON that the checks need.

use jiff::Timestamp;
use serde::Deserialize;

use super::kubelet::Death;

/// A report and when its file was written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) report: Report,
    pub(super) at: Timestamp,
}

/// A report.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    pub(super) incident: Incident,
    pub(super) verdict: Verdict,
    pub(super) completeness: Completeness,
    pub(super) pod: Option<Pod>,
    pub(super) containers: Vec<Container>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) timestamp: Timestamp,
    pub(super) opened_at: Timestamp,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) repeats: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Verdict {
    pub(super) grade: String,
    pub(super) cause: Option<String>,
    pub(super) facts: serde_json::Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Completeness {
    pub(super) complete: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pod {
    uid: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Container {
    pub(super) role: String,
    pub(super) container_id: Option<String>,
}

impl Report {
    pub(super) fn pod_uid(&self) -> Option<&str> {
        self.pod.as_ref()?.uid.as_deref()
    }

    /// The container the incident happened in.
    pub(super) fn container(&self) -> Option<&str> {
        let subject = |info: &&Container| info.role == "subject";
        self.containers
            .iter()
            .find(subject)?
            .container_id
            .as_deref()
    }

    /// Whether it has the names of the pod that died, beside its uid.
    pub(super) fn names(&self, death: &Death) -> bool {
        self.pod.as_ref().is_some_and(|told| {
            told.name.as_deref() == Some(&*death.pod.name)
                && told.namespace.as_deref() == Some(&*death.pod.namespace)
        })
    }
}

impl Written {
    /// When the process died: by the recorder's word, which is the kernel's, and never later than it was reaped.
    pub(super) fn died(&self, death: &Death) -> Timestamp {
        self.report.incident.timestamp.min(death.reaped)
    }
}
