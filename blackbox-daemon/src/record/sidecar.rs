//! What application sidecars say: telemetry of a pod, and incidents they report. Claims, kept as such.
//!
//! A sidecar's JSON is kept as checked text inside its record: the window's encoding cannot describe it. Both times
//! are kept, what the sidecar claimed and when it arrived; only a plausible claim decides a record's place.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BootTime;

/// A pod's name. Not an identity: a later pod can have it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodName {
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Who submitted it, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// The caller as the API authenticated it: a key's name, or `pod <namespace>/<name>`.
    pub by: String,
    /// The uid of the pod that its token proves it to be.
    pub proven_uid: Option<String>,
    /// When it arrived.
    pub received: BootTime,
    /// The wall time the sidecar gave it, nanoseconds after 1970. `None`: it gave none.
    pub claimed: Option<i64>,
}

/// One telemetry object of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// The number the sidecar was answered with; unique since boot.
    pub entry: u64,
    pub pod: PodName,
    /// As the sidecar gave it, without a runtime's scheme.
    pub container_id: Option<String>,
    /// v1's jvm, nodejs, python, dotnet, go, ruby, custom, or what the sidecar said; may be empty.
    pub runtime: String,
    pub submission: Submission,
    pub tags: Vec<(String, String)>,
    /// A JSON object. Each key is one v1 entry.
    pub data: String,
}

/// An incident that a sidecar (or a person) reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// As the reporter chose it, or made here.
    pub id: String,
    pub pod: Option<PodName>,
    /// As the sidecar gave it, without a runtime's scheme.
    pub container_id: Option<String>,
    pub severity: Severity,
    /// v1's crash, oom, timeout, error, degraded, security, manual, or what the reporter said.
    pub kind: String,
    pub message: String,
    pub submission: Submission,
    pub tags: Vec<(String, String)>,
    /// A JSON object.
    pub context: String,
}

/// How bad an incident is, in v1's words.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// Every severity, least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The v1 name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that name, whatever its case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let alike = |severity: &Self| severity.name().eq_ignore_ascii_case(name.trim());
        Self::ALL.into_iter().find(alike)
    }
}

/// Whether two container ids name the same container: equal, or one is the other's beginning of at least 12 digits,
/// as tools show them.
#[must_use]
pub fn same_container(one: &str, other: &str) -> bool {
    const SHORTEST: usize = 12;
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    !short.is_empty() && (short == long || (short.len() >= SHORTEST && long.starts_with(short)))
}

#[cfg(test)]
mod tests {
    use super::same_container;

    #[test]
    fn a_container_is_known_by_the_beginning_of_its_id() {
        let long = "3f2a91b0c4d53f2a91b0c4d5";
        for (other, same) in [
            (long, true),
            (&long[..12], true),
            (&long[..11], false),
            ("3f2a91b0c4d6", false),
            ("", false),
        ] {
            assert_eq!(same_container(long, other), same, "{other}");
            assert_eq!(same_container(other, long), same, "{other}");
        }
    }
}
