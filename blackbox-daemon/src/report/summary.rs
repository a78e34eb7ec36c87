//! A report in short: what lists of incidents show, and what is told when a report is finished.
//!
//! Made from a [`Report`], or from the JSON of one, of which only `incident` and `verdict` are read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{IncidentKind, Report, Role, Severity};
use crate::verdict::{Cause, Grade};

/// Characters of a message that a summary has; the report has it in full.
const MESSAGE: usize = 1000;

/// One incident in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Summary {
    pub id: String,
    pub timestamp: Timestamp,
    pub severity: Severity,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "oom")]
    pub kind: IncidentKind,
    /// Its first 1,000 characters.
    pub message: String,
    #[schema(required = true)]
    pub pod_name: Option<String>,
    #[schema(required = true)]
    pub namespace: Option<String>,
    #[schema(required = true)]
    pub container_id: Option<String>,
    /// Incidents of the same signature that this report speaks for.
    pub repeats: u64,
    pub grade: Grade,
    pub cause: Cause,
    /// Who killed it, and why: one sentence.
    pub headline: String,
}

/// A report that was just made.
#[derive(Clone, Debug)]
pub struct Finished {
    pub summary: Summary,
    /// Where it happened, if that is known.
    pub cgroup_path: Option<String>,
    /// The pod it is about, as the API server knows it.
    pub pod_uid: Option<String>,
}

impl Finished {
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let mut containers = report.containers.iter();
        let subject = containers.find(|container| container.role == Role::Subject);
        Self {
            summary: Summary::of(report),
            cgroup_path: subject.and_then(|subject| subject.cgroup_path.clone()),
            pod_uid: report.pod.as_ref().and_then(|pod| pod.uid.clone()),
        }
    }
}

impl Summary {
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let (incident, verdict) = (&report.incident, &report.verdict);
        Self {
            id: incident.id.clone(),
            timestamp: incident.timestamp,
            severity: incident.severity,
            kind: incident.kind.clone(),
            message: short(&incident.message),
            pod_name: incident.pod_name.clone(),
            namespace: incident.namespace.clone(),
            container_id: incident.container_id.clone(),
            repeats: incident.repeats,
            grade: verdict.grade,
            cause: verdict.cause,
            headline: verdict.headline.clone(),
        }
    }

    /// Reads the JSON of a report, and keeps no more of it than this.
    ///
    /// # Errors
    /// It is not the JSON of a report.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let Head { incident, verdict } = serde_json::from_slice(json)?;
        Ok(Self {
            id: incident.id,
            timestamp: incident.timestamp,
            severity: incident.severity,
            kind: incident.kind,
            message: short(&incident.message),
            pod_name: incident.pod_name,
            namespace: incident.namespace,
            container_id: incident.container_id,
            repeats: incident.repeats,
            grade: verdict.grade,
            cause: verdict.cause,
            headline: verdict.headline,
        })
    }
}

fn short(message: &str) -> String {
    message.chars().take(MESSAGE).collect()
}

/// What is read of a report's JSON.
#[derive(Deserialize)]
struct Head {
    incident: Incident,
    verdict: Verdict,
}

#[derive(Deserialize)]
struct Incident {
    id: String,
    timestamp: Timestamp,
    severity: Severity,
    #[serde(rename = "type")]
    kind: IncidentKind,
    message: String,
    pod_name: Option<String>,
    namespace: Option<String>,
    container_id: Option<String>,
    repeats: u64,
}

#[derive(Deserialize)]
struct Verdict {
    grade: Grade,
    cause: Cause,
    headline: String,
}

#[cfg(test)]
mod tests {
    use super::Summary;
    use crate::report::format::Format;
    use crate::report::format::tests::sample_report;

    #[test]
    fn a_report_and_its_json_have_the_same_summary() {
        let mut report = sample_report();
        report.incident.message = "é".repeat(2000);
        let json = Format::Json.render(&report).unwrap();
        let summary = Summary::parse(&json).unwrap();
        assert_eq!(summary, Summary::of(&report));
        assert_eq!(summary.message.chars().count(), super::MESSAGE);
        assert!(Summary::parse(b"{\"id\":\"oom-1\"}").is_err());
    }
}
