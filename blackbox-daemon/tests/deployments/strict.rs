//! Every field is one that Kubernetes knows, in its place and of the type it has: what an API server drops, or refuses
//! under strict validation, does not come back from the types.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::monitor::ServiceMonitor;
use crate::objects::{composed, deployments, find, helm, kustomize, parse, plain};

/// The object as its type has it.
fn round_trip<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

/// An object that an API server stores as it is written here.
fn check(object: &Value) -> Result<(), String> {
    let typed = match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => round_trip::<Namespace>(object),
        "ResourceQuota" => round_trip::<ResourceQuota>(object),
        "ServiceAccount" => round_trip::<ServiceAccount>(object),
        "ClusterRole" => round_trip::<ClusterRole>(object),
        "ClusterRoleBinding" => round_trip::<ClusterRoleBinding>(object),
        "Secret" => round_trip::<Secret>(object),
        "DaemonSet" => round_trip::<DaemonSet>(object),
        "Service" => round_trip::<Service>(object),
        "ServiceMonitor" => round_trip::<ServiceMonitor>(object),
        other => Err(format!("no type for {other}")),
    }?;
    match typed == *object {
        true => Ok(()),
        false => {
            let pretty = |value| serde_json::to_string_pretty(value).unwrap_or_default();
            Err(format!(
                "{}\nis taken as\n{}",
                pretty(object),
                pretty(&typed)
            ))
        }
    }
}

#[test]
fn every_field_is_known() {
    let values = [
        "hostPorts.enabled=true",
        "kubeEvents.enabled=true",
        "serviceMonitor.enabled=true",
        "serviceMonitor.labels.release=prometheus",
        "imagePullSecrets[0].name=registry",
        "podAnnotations.a=b",
        "podLabels.a=b",
        "extraVolumes[0].name=keys",
        "extraVolumes[0].secret.secretName=keys",
        "extraVolumeMounts[0].name=keys",
        "extraVolumeMounts[0].mountPath=/etc/blackbox",
        "env.BLACKBOX_API_TLS_CERT_FILE=/etc/blackbox/tls.crt",
    ];
    let mut components: Vec<_> = std::fs::read_dir(deployments("kustomize/components"))
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    // What it changes is not there any more in a privileged container.
    components.retain(|name| name != "seccomp-unconfined");
    let components: Vec<&str> = components.iter().map(String::as_str).collect();
    for objects in [
        plain(),
        kustomize(&deployments("kustomize/overlays/privileged")),
        kustomize(&deployments("kustomize/overlays/v1-compatible")),
        composed(&components),
        composed(&["seccomp-unconfined"]),
        helm("elsewhere", &values),
    ] {
        assert!(objects.len() >= 7);
        for object in objects {
            check(&object).unwrap();
        }
    }
}

/// Puts a value at a JSON pointer.
fn plant(object: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    let parent = object.pointer_mut(parent);
    parent.unwrap_or_else(|| panic!("no parent of {pointer}"))[field] = value;
}

const POD: &str = "/spec/template/spec";

#[test]
fn what_is_unknown_misplaced_or_of_another_type_is_found() {
    let objects = plain();
    let daemon = "blackbox-daemon";
    for (kind, pointer, value) in [
        // Unknown: the case matters.
        ("DaemonSet", format!("{POD}/hostPid"), json!(true)),
        (
            "DaemonSet",
            format!("{POD}/containers/0/env/0/valuefrom"),
            json!({}),
        ),
        ("ClusterRole", "/rules/0/verb".to_owned(), json!(["get"])),
        ("ServiceAccount", "/automountToken".to_owned(), json!(false)),
        // Known elsewhere: a container's, a pod's, a probe's, a mount's, a Deployment's, metadata's.
        (
            "DaemonSet",
            format!("{POD}/capabilities"),
            json!({"drop": ["ALL"]}),
        ),
        (
            "DaemonSet",
            format!("{POD}/securityContext"),
            json!({"readOnlyRootFilesystem": true}),
        ),
        (
            "DaemonSet",
            format!("{POD}/containers/0/securityContext/fsGroup"),
            json!(0),
        ),
        (
            "DaemonSet",
            format!("{POD}/containers/0/hostPID"),
            json!(true),
        ),
        (
            "DaemonSet",
            format!("{POD}/containers/0/livenessProbe/httpGet/periodSeconds"),
            json!(1),
        ),
        (
            "DaemonSet",
            format!("{POD}/volumes/0/hostPath/readOnly"),
            json!(true),
        ),
        (
            "DaemonSet",
            "/spec/strategy".to_owned(),
            json!({"type": "RollingUpdate"}),
        ),
        ("DaemonSet", "/spec/replicas".to_owned(), json!(1)),
        ("ClusterRole", "/labels".to_owned(), json!({"a": "b"})),
        ("ClusterRoleBinding", "/rules".to_owned(), json!([])),
        (
            "Service",
            "/spec/ports/0/containerPort".to_owned(),
            json!(8080),
        ),
        // Of another type, or of another version.
        (
            "DaemonSet",
            format!("{POD}/containers/0/ports/0/containerPort"),
            json!("8080"),
        ),
        (
            "DaemonSet",
            format!("{POD}/containers/0/securityContext/runAsUser"),
            json!("0"),
        ),
        (
            "DaemonSet",
            format!("{POD}/terminationGracePeriodSeconds"),
            json!("10s"),
        ),
        (
            "DaemonSet",
            format!("{POD}/tolerations"),
            json!({"operator": "Exists"}),
        ),
        (
            "DaemonSet",
            "/apiVersion".to_owned(),
            json!("extensions/v1beta1"),
        ),
        // Nothing at all, which is dropped, and a name that is missing.
        ("DaemonSet", format!("{POD}/affinity"), Value::Null),
        (
            "DaemonSet",
            format!("{POD}/volumes"),
            json!([{"hostPath": {"path": "/proc"}}]),
        ),
    ] {
        let mut object = find(&objects, kind, daemon).clone();
        check(&object).unwrap();
        plant(&mut object, &pointer, value);
        assert!(check(&object).is_err(), "{kind} {pointer} is accepted");
    }
    let mut secret = find(&objects, "Secret", "blackbox-daemon-config").clone();
    plant(
        &mut secret,
        "/data",
        json!({"BLACKBOX_API_KEY": "not base64!"}),
    );
    assert!(check(&secret).is_err());
    assert!(check(&json!({"apiVersion": "v1", "kind": "Sercet", "metadata": {}})).is_err());
}

#[test]
#[should_panic(expected = "duplicate")]
fn a_field_that_is_written_twice_is_found() {
    parse("kind: Secret\nmetadata:\n  name: a\nkind: Service\n");
}
