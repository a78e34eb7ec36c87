//! `kubectl apply` of the plain manifest: the API server takes every object and keeps every field.
//!
//! It is a server of 1.20, which leaves out what [`NEWER`] lists: nothing else, as the test shows.

use serde_json::{Value, json};
use xtask::kube::Cluster;

use crate::stage::{NAMESPACE, NEWER, Stage, manifest, without_newer};

#[test]
fn the_manifest_is_taken_whole() {
    let stage = Stage::new();
    let dry_run = ["apply", "--dry-run=server", "--validate=true", "-f", "-"];
    let objects = without_newer(manifest());
    let said = stage.admin_applies(&dry_run, &objects);
    assert_eq!(
        said.matches("(server dry run)").count(),
        objects.len(),
        "{said}"
    );
    for (kind, _, field) in NEWER {
        let newer = manifest().into_iter().filter(|it| it["kind"] == kind);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": newer.collect::<Vec<_>>()});
        let refused = stage.cluster.admin().feed(&dry_run, &list.to_string());
        let refused = format!("{:#}", refused.expect_err("a field it does not know"));
        assert!(
            refused.contains(&format!("unknown field \"{field}\"")),
            "{refused}"
        );
    }
    for object in &objects {
        let kept = kept(&stage.cluster, object);
        lacks_nothing(&kept, object, &object["kind"].to_string());
    }
    the_daemons_pod_is_admitted(&stage.cluster, &objects);
}

/// What a node gets is what the DaemonSet says: nothing in the cluster but the kubelet would refuse it.
fn the_daemons_pod_is_admitted(cluster: &Cluster, objects: &[Value]) {
    let set = objects.iter().find(|it| it["kind"] == "DaemonSet");
    let template = &set.expect("the DaemonSet")["spec"]["template"];
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"name": "blackbox-daemon", "annotations": template["metadata"]["annotations"]}});
    let path = "/api/v1/namespaces/default/pods?dryRun=All";
    let taken = cluster.admin().create(path, &pod).expect("admitted");
    assert_eq!(taken["spec"]["priority"], 2_000_001_000, "of its class");
    assert_eq!(taken["status"]["qosClass"], "Burstable");
    lacks_nothing(&taken["spec"], &pod["spec"], "Pod");
}

/// An object as the API server has it.
fn kept(cluster: &Cluster, object: &Value) -> Value {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let words = [
        "get",
        &kind,
        &name,
        "--namespace",
        NAMESPACE,
        "--output",
        "json",
    ];
    let kept = cluster.admin().kubectl(&words).expect("the object");
    serde_json::from_str(&kept).expect("JSON")
}

/// Asserts that `kept` says all that `wanted` does; it may say more.
fn lacks_nothing(kept: &Value, wanted: &Value, place: &str) {
    match wanted {
        // Written as text, kept as bytes.
        Value::Object(fields) => {
            for (key, wanted) in fields.iter().filter(|(key, _)| *key != "stringData") {
                lacks_nothing(&kept[key], wanted, &format!("{place}.{key}"));
            }
        }
        Value::Array(items) => {
            assert_eq!(kept.as_array().map(Vec::len), Some(items.len()), "{place}");
            for (index, wanted) in items.iter().enumerate() {
                lacks_nothing(&kept[index], wanted, &format!("{place}[{index}]"));
            }
        }
        // A quantity comes back in its shortest form.
        Value::String(text) if place.contains(".hard.") => {
            assert!(kept == text || kept == "10k", "{place}: {kept}");
        }
        other => assert_eq!(kept, other, "{place}"),
    }
}
