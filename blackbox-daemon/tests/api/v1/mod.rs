//! What v1 did, and what its documents promised: every row of the HTTP API, over TCP.

mod reads;
mod rules;
mod submits;

use serde_json::{Value, json};

use crate::running::Answer;

pub(crate) const TELEMETRY: &str = "/api/v1/telemetry";
pub(crate) const INCIDENT: &str = "/api/v1/incident";

pub(crate) fn telemetry(pod: &str, data: Value) -> Value {
    json!({"pod_name": pod, "namespace": "shop", "runtime": "nodejs", "data": data})
}

/// The one shape of an error.
pub(crate) fn check_error(answer: &Answer, status: u16, code: &str, v1_text: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["error"], &body["code"]),
        (&json!(code), &json!(code)),
        "{body}"
    );
    assert!(
        body["message"].as_str().unwrap().contains(v1_text),
        "{body}"
    );
    assert_eq!(body["details"]["code"], code, "{body}");
    assert!(body["details"].get("field").is_some(), "{body}");
    assert!(
        body["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok(),
        "{body}"
    );
    assert_eq!(body["request_id"], answer.header("x-request-id"), "{body}");
}
