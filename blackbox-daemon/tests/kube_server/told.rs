//! Pods walked through their lives by a kubelet's words; the daemon, as its own service account, records and reports what
//! [`walks`] says, each thing once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;
use xtask::kube::Kubelet;

use crate::lives::Step;
use crate::pods::{Instances, spec};
use crate::running::{Answer, Running};
use crate::stage::{ELSEWHERE, NODE, Stage, until_metric};
use crate::walks::{Walk, walks};

/// The namespace of all pods here.
const SHOP: &str = "shop";
/// Longer than an incident stays open here.
const TOO_MUCH: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_walked_through_their_lives_and_told_once() {
    let (stage, state) = (Stage::new(), TempDir::new().unwrap());
    let words = ["create", "namespace", SHOP];
    stage.cluster.admin().kubectl(&words).unwrap();
    let daemon = stage.daemon(&stage.account(), state.path()).await;
    let kubelets = [NODE, ELSEWHERE].map(|node| stage.cluster.kubelet(node).unwrap());
    let walks = walks();
    for walk in &walks {
        play(walk, &kubelets[usize::from(walk.node != NODE)], &daemon).await;
    }
    for walk in &walks {
        until_told(walk, &daemon, walk.incidents.len()).await;
    }
    // What is told too much is told by now.
    tokio::time::sleep(TOO_MUCH).await;
    for walk in &walks {
        check_window(walk, &daemon).await;
        check_incidents(walk, &daemon).await;
    }
    let ends: usize = walks.iter().map(|walk| walk.ends.len()).sum();
    until_metric(
        &daemon,
        &format!("blackbox_k8s_container_ends_total {ends}"),
    )
    .await;
    // All but the two that are gone, and the one elsewhere.
    until_metric(
        &daemon,
        &format!("k8s_pods_watched_total {}", walks.len() - 3),
    )
    .await;
}

/// Where the incidents of a walk's pod are.
fn incidents(walk: &Walk) -> String {
    format!("/api/v1/incidents?pod={}&namespace={SHOP}", walk.pod)
}

async fn until_told(walk: &Walk, daemon: &Running, count: usize) {
    let told = |answer: &Answer| answer.json()["total"].as_u64() >= Some(count as u64);
    daemon.until(&incidents(walk), told).await;
}

/// The incidents of the pod are those the walk says, each once.
async fn check_incidents(walk: &Walk, daemon: &Running) {
    let answer = daemon.get(&incidents(walk)).await.json();
    let told = answer["incidents"].as_array().unwrap();
    assert_eq!(told.len(), walk.incidents.len(), "{}: {told:#?}", walk.pod);
    // The newest is first.
    for (told, (severity, kind, headline)) in told.iter().rev().zip(walk.incidents) {
        assert_eq!(told["severity"], *severity, "{}: {told:#}", walk.pod);
        assert_eq!(told["type"], *kind, "{}: {told:#}", walk.pod);
        let said = told["headline"].as_str().unwrap();
        assert!(said.contains(headline), "{}: {told:#}", walk.pod);
    }
}

async fn play(walk: &Walk, kubelet: &Kubelet, daemon: &Running) {
    let pod = kubelet.bind(SHOP, walk.pod, &spec(walk.restart_policy));
    let pod = pod.unwrap();
    let app = Instances {
        pod: walk.pod,
        first: Timestamp::now() - SignedDuration::from_secs(30),
    };
    for step in (walk.steps)(app) {
        match step {
            Step::Status(status) => drop(kubelet.write_status(&pod, &status).unwrap()),
            Step::Says(reason, message) => {
                let warning = reason != "Killing";
                let kind = if warning { "Warning" } else { "Normal" };
                let event = json!({"type": kind, "reason": reason, "message": message, "count": 1});
                drop(kubelet.event(&pod, Some("app"), &event).unwrap());
            }
            Step::Deleted { grace } => kubelet.ask_to_delete(&pod, grace).unwrap(),
            Step::Removed => kubelet.remove(&pod).unwrap(),
            Step::Passes(time) => tokio::time::sleep(time).await,
            Step::Told(incidents) => {
                until_told(walk, daemon, incidents.min(walk.incidents.len())).await;
            }
        }
    }
}

/// What the window has about the pod is what the walk says, each once.
async fn check_window(walk: &Walk, daemon: &Running) {
    let told = |kind: &'static str| async move {
        let path = format!(
            "/api/v1/window?kind={kind}&pod={}&namespace={SHOP}",
            walk.pod
        );
        let answer = daemon.get(&path).await.json();
        let entries = answer["entries"].as_array().unwrap().iter();
        entries
            .map(|entry| entry["value"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (kind, expected) in [
        ("container_ended", walk.ends),
        ("pod_condition", walk.conditions),
    ] {
        let said = told(kind).await;
        assert_eq!(said.len(), expected.len(), "{}: {said:#?}", walk.pod);
        for (said, expected) in said.iter().zip(expected) {
            assert!(
                said.contains(expected),
                "{}: {said}, not {expected}",
                walk.pod
            );
        }
    }
    let events = told("kube_event").await;
    assert_eq!(events.len(), walk.events, "{}: {events:#?}", walk.pod);
    assert_eq!(
        told("pod").await.is_empty(),
        walk.node != NODE,
        "{}",
        walk.pod
    );
}
