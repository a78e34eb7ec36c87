//! Events on pods: written where the component that asks for them gives the right to, and only there.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use xtask::kube::Kubelet;

use crate::lives::Step;
use crate::pods::{Instances, spec};
use crate::stage::{NODE, Stage, objects, until_metric};

/// The namespace of the pods here.
const SHOP: &str = "shop";

/// A pod whose container ended with code 3.
fn dies(stage: &Stage, kubelet: &Kubelet, pod: &'static str) -> String {
    let bound = kubelet.bind(SHOP, pod, &spec("Always")).unwrap();
    let app = Instances {
        pod,
        first: Timestamp::now() - SignedDuration::from_secs(30),
    };
    for step in crate::lives::skipped(app) {
        if let Step::Status(status) = step {
            kubelet.write_status(&bound, &status).unwrap();
        }
    }
    let words = [
        "get",
        "pod",
        pod,
        "-n",
        SHOP,
        "-o",
        "jsonpath={.metadata.uid}",
    ];
    stage.cluster.admin().kubectl(&words).unwrap()
}

/// The Events about a pod.
fn events(stage: &Stage, pod: &str) -> Vec<Value> {
    let selector = format!("involvedObject.name={pod}");
    let words = [
        "get",
        "events",
        "-n",
        SHOP,
        "--field-selector",
        &selector,
        "-o",
        "json",
    ];
    let list: Value =
        serde_json::from_str(&stage.cluster.admin().kubectl(&words).unwrap()).unwrap();
    list["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_an_event_on_its_pod_where_that_is_allowed() {
    let (stage, state) = (Stage::new(), TempDir::new().unwrap());
    let words = ["create", "namespace", SHOP];
    stage.cluster.admin().kubectl(&words).unwrap();
    let wanted = [("BLACKBOX_KUBE_EVENTS", "true")];
    let daemon = stage
        .daemon_with(&stage.account(), state.path(), &wanted)
        .await;
    let kubelet = stage.cluster.kubelet(NODE).unwrap();
    dies(&stage, &kubelet, "refused");
    let refused = "blackbox_kube_events_total{result=\"failed\"} 1";
    until_metric(&daemon, refused).await;
    assert!(events(&stage, "refused").is_empty());
    let log = daemon.daemon.log().unwrap();
    assert!(
        log.contains("no Event was written") && log.contains("forbidden"),
        "{log}"
    );

    let component = objects("kustomize/components/kube-events/rbac.yaml");
    stage.admin_applies(&["apply", "-f", "-"], &component);
    let uid = dies(&stage, &kubelet, "told");
    let written = "blackbox_kube_events_total{result=\"written\"} 1";
    until_metric(&daemon, written).await;
    let told = events(&stage, "told");
    assert_eq!(told.len(), 1, "{told:#?}");
    let event = &told[0];
    assert_eq!(event["involvedObject"]["uid"], uid.as_str());
    assert_eq!(
        (&event["reason"], &event["type"]),
        (&"ExitCode".into(), &"Warning".into())
    );
    let message = event["message"].as_str().unwrap();
    assert!(
        message.starts_with("likely: container app of pod shop/told ended"),
        "{message}"
    );
    // What we say ourselves is no evidence.
    let window = daemon.get("/api/v1/window?kind=kube_event").await;
    assert!(!window.text.contains("blackbox-daemon"), "{window:?}");
}
