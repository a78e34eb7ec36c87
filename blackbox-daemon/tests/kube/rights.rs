//! What the source asks for is what its role allows: nothing is refused, and no right is without use.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use crate::outages::well;
use crate::server::Server;
use crate::stage::restarted;

const MANIFEST: &str = include_str!("../../../deployments/kubernetes/blackbox.yaml");

/// What the role allows of the core group: `list pods` …
fn allowed() -> BTreeSet<String> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(MANIFEST).unwrap();
    let role = objects
        .iter()
        .find(|object| object["kind"] == "ClusterRole");
    let rules = role.unwrap()["rules"].as_array().unwrap().iter();
    let core = rules.filter(|rule| rule["apiGroups"] == serde_json::json!([""]));
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().unwrap().iter();
        texts
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    };
    core.flat_map(|rule| {
        let verbs = texts(&rule["verbs"]);
        let of = move |resource: String| {
            verbs
                .clone()
                .into_iter()
                .map(move |verb| format!("{verb} {resource}"))
        };
        texts(&rule["resources"]).into_iter().flat_map(of)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_what_the_role_allows() {
    let (mut server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    // Through a day of its life: changes, an outage, a new list.
    server.apply(restarted("a", 1));
    stage.until_said("ended a", 1).await;
    server.fall();
    stage.until_said("what is known of pods is old", 1).await;
    server.forget(false);
    server.rise();
    stage.until_said("ok", 2).await;
    stage.until(|_| server.asked("list events") >= 2).await;
    stage.stop().await;
    assert_eq!(server.kinds(), allowed());
}
