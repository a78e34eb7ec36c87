//! Every field is one that Kubernetes knows, of the type it has: what an API server drops, or refuses under strict
//! validation, does not come back from the types.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::objects::{deployments, helm, kustomize, plain};

/// The object as its type has it.
fn round_trip<T: DeserializeOwned + Serialize>(object: &Value) -> Value {
    let typed: T = serde_json::from_value(object.clone()).expect("its type");
    serde_json::to_value(typed).expect("JSON")
}

fn typed(object: &Value) -> Value {
    match object["kind"].as_str().expect("a kind") {
        "Namespace" => round_trip::<Namespace>(object),
        "ResourceQuota" => round_trip::<ResourceQuota>(object),
        "ServiceAccount" => round_trip::<ServiceAccount>(object),
        "ClusterRole" => round_trip::<ClusterRole>(object),
        "ClusterRoleBinding" => round_trip::<ClusterRoleBinding>(object),
        "Secret" => round_trip::<Secret>(object),
        "DaemonSet" => round_trip::<DaemonSet>(object),
        "Service" => round_trip::<Service>(object),
        other => panic!("no type for {other}"),
    }
}

#[test]
fn every_field_is_known() {
    let values = [
        "hostPorts.enabled=true",
        "imagePullSecrets[0].name=registry",
        "podAnnotations.a=b",
        "podLabels.a=b",
        "extraVolumes[0].name=keys",
        "extraVolumes[0].secret.secretName=keys",
        "extraVolumeMounts[0].name=keys",
        "extraVolumeMounts[0].mountPath=/etc/blackbox",
        "env.BLACKBOX_API_TLS_CERT_FILE=/etc/blackbox/tls.crt",
    ];
    for objects in [
        plain(),
        kustomize(&deployments("kustomize/overlays/privileged")),
        kustomize(&deployments("kustomize/overlays/v1-compatible")),
        helm("elsewhere", &values),
    ] {
        assert!(objects.len() >= 7);
        for object in objects {
            assert_eq!(
                serde_json::to_string_pretty(&object).unwrap(),
                serde_json::to_string_pretty(&typed(&object)).unwrap()
            );
        }
    }
}

#[test]
fn a_field_nobody_knows_is_found() {
    let mut set = plain()
        .into_iter()
        .find(|object| object["kind"] == "DaemonSet")
        .unwrap();
    set["spec"]["template"]["spec"]["hostPid"] = true.into();
    assert_ne!(set, typed(&set));
}
