//! `docker-compose.yml` for a laptop: what it says is what compose knows, and allows no more than the manifests do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::daemon::settings;
use crate::objects::{container, deployments, find, plain};

/// The part of the compose specification that the file uses: `privileged`, `pid`, `network_mode` and `devices` are
/// fields that would have to be added here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    image: String,
    restart: String,
    stop_grace_period: String,
    user: String,
    read_only: bool,
    cap_drop: Vec<String>,
    cap_add: Vec<String>,
    security_opt: Vec<String>,
    oom_score_adj: i32,
    mem_limit: String,
    environment: BTreeMap<String, String>,
    ports: Vec<String>,
    volumes: Vec<String>,
}

fn parse(text: &str) -> Result<Service, String> {
    let mut file: Compose = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let service = file.services.remove("blackbox-daemon").expect("the daemon");
    assert!(file.services.is_empty(), "one service");
    Ok(service)
}

fn text() -> String {
    std::fs::read_to_string(deployments("docker/docker-compose.yml")).expect("the file")
}

#[test]
fn it_is_as_confined_as_the_pod() {
    let (service, objects) = (parse(&text()).unwrap(), plain());
    let container = container(&objects);
    let mut confined = json!({
        "runAsUser": 0,
        "runAsGroup": 0,
        "readOnlyRootFilesystem": service.read_only,
        "capabilities": {"drop": service.cap_drop, "add": service.cap_add},
        // Docker's own profile, unless another is named.
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    if service.security_opt == ["no-new-privileges:true"] {
        confined["allowPrivilegeEscalation"] = false.into();
    }
    assert_eq!(service.user, "0:0");
    assert_eq!(container["securityContext"], confined);
    assert_eq!(container["image"], service.image.as_str());
    assert_eq!(
        (service.restart.as_str(), service.oom_score_adj),
        ("unless-stopped", -999)
    );
    let memory = service.mem_limit.replace('m', "Mi");
    assert_eq!(container["resources"]["limits"]["memory"], memory.as_str());
    let pod = &find(&objects, "DaemonSet", "blackbox-daemon")["spec"]["template"]["spec"];
    let grace = format!("{}s", pod["terminationGracePeriodSeconds"]);
    assert_eq!(service.stop_grace_period, grace);
}

#[test]
fn it_sees_of_the_machine_what_the_pod_sees() {
    let (service, objects) = (parse(&text()).unwrap(), plain());
    let pod = &find(&objects, "DaemonSet", "blackbox-daemon")["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().unwrap();
    let mounts = container(&objects)["volumeMounts"].as_array().unwrap();
    let allowed: Vec<String> = mounts
        .iter()
        .map(|mount| {
            let named = |volume: &&serde_json::Value| volume["name"] == mount["name"];
            let from = &volumes.iter().find(named).unwrap()["hostPath"]["path"];
            let (from, to) = (from.as_str().unwrap(), mount["mountPath"].as_str().unwrap());
            let mode = if mount["readOnly"] == true { ":ro" } else { "" };
            format!("{from}:{to}{mode}")
        })
        .collect();
    assert_eq!(service.volumes.len(), 3);
    for volume in &service.volumes {
        assert!(allowed.contains(volume), "{volume} is none of {allowed:?}");
    }
}

#[test]
fn its_keys_are_the_daemons_and_its_ports_this_machines_only() {
    let service = parse(&text()).unwrap();
    let settings = settings(service.environment.iter().map(|(key, value)| match &**key {
        // From the user's environment; compose stops without it.
        "BLACKBOX_API_KEY" => {
            assert_eq!(value, "${BLACKBOX_API_KEY:?choose a key}");
            (&**key, "a-key-of-the-user")
        }
        _ => (&**key, &**value),
    }));
    let ports = [settings.api.api_port, settings.metrics.metrics_port];
    assert_eq!(
        service.ports,
        ports.map(|port| format!("127.0.0.1:{port}:{port}"))
    );
}

#[test]
fn what_would_widen_it_or_means_nothing_is_found() {
    for (planted, field) in [
        ("    privileged: true\n", "privileged"),
        ("    pid: host\n", "pid"),
        ("    network_mode: host\n", "network_mode"),
        ("    cap_ad: [SYS_ADMIN]\n", "cap_ad"),
        ("read_only: false\n", "read_only"),
    ] {
        let error = parse(&format!("{}{planted}", text())).err();
        let error = error.unwrap_or_else(|| panic!("{planted} is accepted"));
        assert!(
            error.contains(&format!("unknown field `{field}`")),
            "{error}"
        );
    }
}
