//! The cluster as a destination: one Event on the pod for each incident, so that `kubectl describe pod` says who killed it.
//!
//! Off unless asked for: it needs the right to create Events. Listens to finished reports, writes what is short of them.
//! Never waited for; what cannot be written after a few attempts, and what was missed, is counted and logged.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, PostParams};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::report::Finished;
use crate::reporter::Told;
use crate::sources::kube::{Access, COMPONENT, Counts, connect};

/// Attempts at one Event.
const ATTEMPTS: u32 = 3;
/// Before another attempt; twice as long each time.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest message of an Event (validation of the API server).
const MESSAGE: usize = 1024;
/// Longest name of a pod in an Event's name, so that the whole is no longer than 253.
const NAME: usize = 200;

/// Writes Events until `stop`.
pub async fn run(
    told: Told,
    access: Access,
    node: String,
    counts: Counts,
    stop: CancellationToken,
) {
    let mut finished = told.listen();
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = finished.recv() => heard,
        };
        match heard {
            Ok(report) => {
                let Some(event) = event(&report, &node) else {
                    continue;
                };
                let written = stop.run_until_cancelled(write(&access, &event)).await;
                let incident = &report.summary.id;
                match written {
                    Some(Ok(())) => counts.event_written(true),
                    Some(Err(error)) => {
                        counts.event_written(false);
                        tracing::warn!(incident, error, "no Event was written");
                    }
                    None => return,
                }
            }
            Err(RecvError::Lagged(missed)) => {
                for _ in 0..missed {
                    counts.event_written(false);
                }
                tracing::warn!(missed, "incidents came faster than Events are written");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

async fn write(access: &Access, event: &Event) -> Result<(), String> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
        }
        let client = match connect(access).await {
            Ok(client) => client,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        let events: Api<Event> = Api::namespaced(client, namespace);
        let parameters = PostParams::default();
        let created = tokio::time::timeout(access.timeout, events.create(&parameters, event));
        match created.await {
            Ok(Ok(_)) => return Ok(()),
            // It was written, and the answer got lost.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => return Ok(()),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400..=499 if status.code != 429) =>
            {
                return Err(status.to_string());
            }
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = format!("no answer within {:?}", access.timeout),
        }
    }
    Err(why)
}

/// The Event. `None`: the incident is about no pod that the cluster knows.
fn event(report: &Finished, node: &str) -> Option<Event> {
    let summary = &report.summary;
    let (namespace, pod) = (summary.namespace.clone()?, summary.pod_name.clone()?);
    let uid = report.pod_uid.clone()?;
    let text = format!(
        "{}: {} (incident {})",
        summary.grade.name(),
        summary.headline,
        summary.id
    );
    let name: String = pod.chars().take(NAME).collect();
    // Of one incident and pod there is one Event, however often it is written.
    let digest = ring::digest::digest(
        &ring::digest::SHA256,
        format!("{uid} {}", summary.id).as_bytes(),
    );
    let suffix: String = digest.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let at = Time(
        k8s_openapi::jiff::Timestamp::from_nanosecond(summary.timestamp.as_nanosecond()).ok()?,
    );
    Some(Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{suffix}")),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace),
            name: Some(pod),
            uid: Some(uid),
            ..ObjectReference::default()
        },
        reason: Some(camel(summary.cause.name())),
        message: Some(text[..text.floor_char_boundary(MESSAGE)].to_owned()),
        type_: Some("Warning".to_owned()),
        source: Some(EventSource {
            component: Some(COMPONENT.to_owned()),
            host: Some(node.to_owned()),
        }),
        first_timestamp: Some(at.clone()),
        last_timestamp: Some(at),
        count: Some(1),
        reporting_component: Some(COMPONENT.to_owned()),
        reporting_instance: Some(node.to_owned()),
        ..Event::default()
    })
}

/// `memory_limit` → `MemoryLimit`, as reasons of Events are written.
fn camel(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::format::tests::sample_report;

    #[test]
    fn an_event_says_who_killed_it() {
        let mut report = sample_report();
        let pod = report.pod.as_mut().unwrap();
        pod.uid = Some("uid-1".to_owned());
        report.verdict.headline = "é".repeat(2_000);
        let made = event(&Finished::of(&report), "node-1").unwrap();
        assert_eq!(made.involved_object.uid.as_deref(), Some("uid-1"));
        assert_eq!(made.metadata.namespace.as_deref(), Some("prod"));
        assert_eq!(made.reason.as_deref(), Some("MemoryLimit"));
        let message = made.message.unwrap();
        assert!(message.starts_with("proven: é") && message.len() <= MESSAGE);
        assert!(made.metadata.name.unwrap().starts_with("shop."));
        report.pod = None;
        assert!(event(&Finished::of(&report), "node-1").is_none());
    }
}
