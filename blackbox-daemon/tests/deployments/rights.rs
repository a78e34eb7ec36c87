//! What the daemon may ask of the API server, spelt out a second time: by each way of installing it, and no more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::objects::{composed, deployments, find, helm, kustomize, plain};

/// Without what a component or a value adds.
const DEFAULT: [&str; 5] = [
    "create authentication.k8s.io/tokenreviews",
    "list /events",
    "list /pods",
    "watch /events",
    "watch /pods",
];
/// What writing Events takes.
const EVENTS: [&str; 1] = ["create /events"];

/// Every right of every role, as `verb group/resource`.
fn rights(objects: &[Value]) -> BTreeSet<String> {
    let mut rights = BTreeSet::new();
    for role in objects
        .iter()
        .filter(|object| object["kind"] == "ClusterRole")
    {
        assert!(role.get("aggregationRule").is_none(), "{role}");
        for rule in role["rules"].as_array().expect("rules") {
            let keys: Vec<_> = rule.as_object().expect("a rule").keys().collect();
            assert_eq!(keys, ["apiGroups", "resources", "verbs"], "{rule}");
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        rights.insert(format!("{verb} {group}/{resource}"));
                    }
                }
            }
        }
    }
    rights
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("a text"))
}

/// Each role is bound once, to the daemon's account in its own namespace, and to nothing else.
fn assert_bound_to_the_daemon(objects: &[Value]) {
    let of_kind = |kind: &str| -> Vec<&Value> {
        objects
            .iter()
            .filter(|object| object["kind"] == kind)
            .collect()
    };
    assert!(of_kind("Role").is_empty() && of_kind("RoleBinding").is_empty());
    let (roles, bindings) = (of_kind("ClusterRole"), of_kind("ClusterRoleBinding"));
    assert_eq!(roles.len(), bindings.len());
    let set = find(objects, "DaemonSet", "blackbox-daemon");
    let account = &set["spec"]["template"]["spec"]["serviceAccountName"];
    for (role, binding) in roles.into_iter().zip(bindings) {
        let name = &role["metadata"]["name"];
        assert_eq!(
            binding["roleRef"],
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name})
        );
        let namespace = &set["metadata"]["namespace"];
        assert_eq!(
            binding["subjects"],
            json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}])
        );
        find(objects, "ServiceAccount", account.as_str().expect("a name"));
    }
}

#[test]
fn it_reads_pods_and_events_and_checks_tokens() {
    let variants = [
        plain(),
        kustomize(&deployments("kustomize/base")),
        kustomize(&deployments("kustomize/overlays/privileged")),
        kustomize(&deployments("kustomize/overlays/v1-compatible")),
        composed(&["privileged", "host-ports", "service-monitor"]),
        helm("blackbox", &[]),
        helm("elsewhere", &["privileged=true", "hostPorts.enabled=true"]),
    ];
    for objects in variants {
        assert_eq!(rights(&objects), DEFAULT.map(str::to_owned).into());
        assert_bound_to_the_daemon(&objects);
        let env = crate::objects::container(&objects)["env"].to_string();
        assert!(!env.contains("BLACKBOX_KUBE_EVENTS"), "{env}");
    }
}

#[test]
fn it_writes_events_only_where_asked_to() {
    let wanted: BTreeSet<String> = DEFAULT
        .into_iter()
        .chain(EVENTS)
        .map(str::to_owned)
        .collect();
    for objects in [
        composed(&["kube-events"]),
        helm("elsewhere", &["kubeEvents.enabled=true"]),
    ] {
        assert_eq!(rights(&objects), wanted);
        assert_bound_to_the_daemon(&objects);
        let env = &crate::objects::container(&objects)["env"];
        let key = json!({"name": "BLACKBOX_KUBE_EVENTS", "value": "true"});
        assert!(env.as_array().expect("keys").contains(&key), "{env}");
        // The role that all have is as it is without.
        let role =
            |objects: &[Value]| find(objects, "ClusterRole", "blackbox-daemon")["rules"].clone();
        assert_eq!(role(&objects), role(&plain()));
    }
}
