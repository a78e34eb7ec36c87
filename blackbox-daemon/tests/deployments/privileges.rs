//! What the daemon is allowed, spelt out a second time: a line that widens it has to be written here too.

use serde_json::{Value, json};

use crate::objects::{container, deployments, find, helm, kustomize, plain};

#[test]
fn the_container_has_two_capabilities() {
    assert_eq!(
        container(&plain())["securityContext"],
        json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        })
    );
}

#[test]
fn privileged_is_what_an_api_server_accepts() {
    let objects = kustomize(&deployments("kustomize/overlays/privileged"));
    assert_eq!(
        container(&objects)["securityContext"],
        json!({
            "runAsUser": 0,
            "runAsGroup": 0,
            "readOnlyRootFilesystem": true,
            "privileged": true,
        })
    );
}

#[test]
fn no_namespace_of_the_host() {
    let objects = plain();
    let set = find(&objects, "DaemonSet", "blackbox-daemon");
    let pod = set["spec"]["template"]["spec"].as_object().unwrap();
    for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
        assert!(!pod.contains_key(field), "{field}");
    }
    assert!(
        !container(&objects)["ports"]
            .to_string()
            .contains("hostPort")
    );
}

#[test]
fn of_the_host_only_reports_and_state_can_be_written() {
    let objects = plain();
    let set = find(&objects, "DaemonSet", "blackbox-daemon");
    let volumes = set["spec"]["template"]["spec"]["volumes"]
        .as_array()
        .unwrap();
    let path = |name: &Value| {
        let volume = volumes.iter().find(|volume| volume["name"] == *name);
        volume.unwrap()["hostPath"]["path"].as_str().unwrap()
    };
    let mounts = container(&objects)["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts.len(), volumes.len());
    let mut mounted: Vec<_> = mounts
        .iter()
        .map(|mount| (path(&mount["name"]), mount["readOnly"] == true))
        .collect();
    mounted.sort_unstable();
    assert_eq!(
        mounted,
        [
            ("/proc", true),
            ("/sys/fs/cgroup", true),
            ("/var/lib/blackbox", false),
            ("/var/log/blackbox", false),
            ("/var/log/containers", true),
            ("/var/log/pods", true),
        ]
    );
}

#[test]
fn probes_ask_health_and_only_a_long_silence_ends_it() {
    let tls = "env.BLACKBOX_API_TLS_CERT_FILE=/etc/blackbox/tls.crt";
    for (objects, scheme) in [(plain(), None), (helm("blackbox", &[tls]), Some("HTTPS"))] {
        let container = container(&objects);
        let seconds = |probe: &str| {
            let probe = &container[probe];
            let mut asked = json!({"path": "/api/v1/health", "port": "api"});
            if let Some(scheme) = scheme {
                asked["scheme"] = scheme.into();
            }
            assert_eq!(probe["httpGet"], asked);
            let number = |field: &str| probe[field].as_u64().unwrap();
            assert!(number("timeoutSeconds") <= number("periodSeconds"));
            number("periodSeconds") * number("failureThreshold")
        };
        assert_eq!(
            (seconds("readinessProbe"), seconds("livenessProbe")),
            (30, 300)
        );
        assert!(container.get("startupProbe").is_none());
    }
}

#[test]
fn it_is_on_every_node_and_nothing_displaces_it() {
    let objects = plain();
    let pod = &find(&objects, "DaemonSet", "blackbox-daemon")["spec"]["template"]["spec"];
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    assert_eq!(pod["terminationGracePeriodSeconds"], 10);
    assert_eq!(
        container(&objects)["resources"],
        json!({
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "512Mi"},
        })
    );
}
