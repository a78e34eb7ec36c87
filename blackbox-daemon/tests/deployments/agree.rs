//! One truth: the kustomize base. The plain manifest and the chart's defaults are the same objects, and each value of the
//! chart that has a kustomize component changes them in the same way.

use std::process::Command;

use serde_json::Value;

use crate::objects::{composed, container, deployments, helm, kustomize, own, plain, template};

/// The chart has no Namespace: Helm's user makes it.
fn without_namespace(mut objects: Vec<Value>) -> Vec<Value> {
    objects.retain(|object| object["kind"] != "Namespace");
    objects
}

/// Names first: a difference of thousands of lines tells nothing.
fn assert_same(one: &[Value], other: &[Value]) {
    let names = |objects: &[Value]| -> Vec<String> {
        let name = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
        objects.iter().map(name).collect()
    };
    assert_eq!(names(one), names(other));
    for (one, other) in one.iter().zip(other) {
        assert_eq!(
            serde_json::to_string_pretty(one).expect("JSON"),
            serde_json::to_string_pretty(other).expect("JSON")
        );
    }
}

#[test]
fn the_plain_manifest_is_the_base() {
    xtask::manifests::check().unwrap();
    assert_same(&plain(), &kustomize(&deployments("kustomize/base")));
}

#[test]
fn the_charts_defaults_are_the_base() {
    assert_same(&helm("blackbox", &[]), &without_namespace(plain()));
}

#[test]
fn values_do_what_components_do() {
    for (values, components) in [
        ("privileged=true", &["privileged"][..]),
        ("seccompProfile=Unconfined", &["seccomp-unconfined"]),
        ("hostPorts.enabled=true", &["host-ports"]),
        ("serviceMonitor.enabled=true", &["service-monitor"]),
        ("kubeEvents.enabled=true", &["kube-events"]),
        (
            "hostPorts.enabled=true,privileged=true",
            &["privileged", "host-ports"],
        ),
    ] {
        let wanted = without_namespace(composed(components));
        assert_same(&helm("blackbox", &[values]), &wanted);
    }
}

#[test]
fn overlays_are_what_they_say() {
    let privileged = kustomize(&deployments("kustomize/overlays/privileged"));
    assert_same(&privileged, &composed(&["privileged"]));
    let v1 = kustomize(&deployments("kustomize/overlays/v1-compatible"));
    let values = ["hostPorts.enabled=true", "resourceQuota.enabled=false"];
    assert_same(&v1, &helm("kube-system", &values));
    // As docs/deploy.md says.
    let text = "namespace: kube-system\nresources:\n  - ../kustomize/overlays/v1-compatible\n\
        components:\n  - ../kustomize/components/kube-events\n";
    let values = [&values[..], &["kubeEvents.enabled=true"]].concat();
    assert_same(&own(text), &helm("kube-system", &values));
    let mut folders: Vec<_> = std::fs::read_dir(deployments("kustomize/overlays"))
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(
        folders,
        ["privileged", "v1-compatible"],
        "test the others too"
    );
}

#[test]
fn an_existing_secret_is_used() {
    let objects = helm("blackbox", &["apiKey.existingSecret=mine"]);
    assert!(objects.iter().all(|object| object["kind"] != "Secret"));
    let env = &container(&objects)["env"];
    assert!(env.to_string().contains(r#""name":"mine""#), "{env}");
}

#[test]
fn without_a_priority_class_there_is_no_quota_for_one() {
    let objects = helm("blackbox", &["priorityClassName="]);
    assert!(
        objects
            .iter()
            .all(|object| object["kind"] != "ResourceQuota")
    );
}

#[test]
fn wrong_values_are_refused_with_their_name() {
    for (value, told) in [
        ("apiKey.value=", "apiKey.value"),
        ("apiKey.value=short", "apiKey"),
        ("nonsense=1", "nonsense"),
        ("hostPorts.api=70000", "hostPorts"),
        ("seccompProfile=None", "seccompProfile"),
        ("env.BLACKBOX_API_KEY=secret-in-the-pod", "BLACKBOX_API_KEY"),
        ("reportsPath=relative", "reportsPath"),
        ("statePath=relative", "statePath"),
        ("env.BLACKBOX_STATE_DIR=/elsewhere", "BLACKBOX_STATE_DIR"),
        ("env.BLACKBOX_KUBE_EVENTS=x", "BLACKBOX_KUBE_EVENTS"),
        ("kubeEvents.enabled=yes", "kubeEvents"),
        ("maxUnavailable=0", "maxUnavailable"),
    ] {
        let output = template("blackbox", &[value]).output().unwrap();
        assert!(!output.status.success(), "{value}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(told), "{value}: {errors}");
    }
}

#[test]
fn the_chart_lints() {
    let helm = xtask::renderers::find().unwrap().helm;
    let output = Command::new(helm)
        .args(["lint", "--strict", "--set-string", "apiKey.value=CHANGE-ME"])
        .arg(deployments("helm/blackbox"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}
