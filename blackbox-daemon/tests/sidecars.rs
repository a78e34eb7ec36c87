//! The examples of `docs/integration`, run as they are documented: against the built daemon, and against a stub that
//! refuses. (.NET and Go are not here: Debian has no .NET, and Go's compiler would be a large download for one file.)
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "sidecars/crashes.rs"]
mod crashes;
#[path = "sidecars/example.rs"]
mod example;
#[path = "sidecars/once.rs"]
mod once;
#[path = "sidecars/refused.rs"]
mod refused;
#[expect(
    dead_code,
    reason = "shared with the tests of the API, which use more of it"
)]
#[path = "api/running.rs"]
mod running;
#[path = "sidecars/stub.rs"]
mod stub;

use serde_json::{Value, json};

use crate::example::{Example, NAMESPACE, POD};
use crate::running::Running;

/// Where a daemon is.
fn url(running: &Running) -> String {
    format!("http://127.0.0.1:{}", running.port)
}

/// The only report, once it is written.
async fn report(running: &Running) -> Value {
    let incidents = format!("/api/v1/incidents?pod={POD}&namespace={NAMESPACE}");
    let is_written = |answer: &running::Answer| answer.json()["total"] != 0;
    let page = running.until(&incidents, is_written).await.json();
    assert_eq!(page["total"], 1, "{page}");
    let id = page["incidents"][0]["id"].as_str().unwrap();
    running.get(&format!("/api/v1/incidents/{id}")).await.json()
}

/// What an incident must say.
struct Expected {
    kind: &'static str,
    message: &'static str,
    /// A key of its context, and what is in there.
    context: (&'static str, &'static str),
}

/// The report is about the example's pod, says what is expected, and has the example's measurements.
fn check_report(report: &Value, example: &Example, expected: &Expected) {
    let incident = &report["incident"];
    assert_eq!(incident["severity"], "critical", "{incident}");
    assert_eq!(incident["type"], expected.kind, "{incident}");
    assert_eq!(incident["pod_name"], POD, "{incident}");
    assert_eq!(incident["namespace"], NAMESPACE, "{incident}");
    let contains = |value: &Value, text| value.as_str().is_some_and(|value| value.contains(text));
    assert!(
        contains(&incident["message"], expected.message),
        "{incident}"
    );
    let (key, text) = expected.context;
    assert!(contains(&incident["context"][key], text), "{incident}");
    check_entries(&report["telemetry"], example);
}

/// Each of the example's measurements is among the entries, with its type, under its pod.
fn check_entries(entries: &Value, example: &Example) {
    let entries = entries.as_array().unwrap();
    for (name, kind) in example.kinds() {
        let entry = entries.iter().find(|entry| entry["name"] == *name);
        let entry = entry.unwrap_or_else(|| panic!("{name} is not in {entries:#?}"));
        assert_eq!(entry["type"], *kind, "{entry}");
        assert_eq!(entry["source"], "sidecar", "{entry}");
        let tags = &entry["tags"];
        assert_eq!(tags["pod_name"], POD, "{entry}");
        assert_eq!(tags["namespace"], NAMESPACE, "{entry}");
        assert_eq!(tags["runtime"], json!(example.runtime), "{entry}");
    }
}
