//! A container's death, told with what its sidecar had said.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::{Context as _, Result};
use serde_json::json;
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, Lab, Life, VICTIM};

const KEY: &str = "a-key-of-the-tests";

fn ask(port: u16, method: &str, path: &str, body: &str) -> Result<String> {
    let connected = wait_for(LIMIT, || {
        anyhow::Ok(TcpStream::connect(("127.0.0.1", port)).ok())
    })?;
    let mut stream = connected.context("the API is not served")?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_killed_container_has_its_sidecars_data_and_its_pods_name() -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut lab = Lab::start(&[
        ("BLACKBOX_API_KEY", KEY),
        ("BLACKBOX_API_PORT", &port.to_string()),
        ("BLACKBOX_COLLECTION_INTERVAL", "100ms"),
    ])?;
    let id = format!("{:064x}", std::process::id());
    let (container, elsewhere) = (lab::cgroup(&id)?, lab::cgroup("sidecar-sender")?);
    let life = Life::start(&container, VICTIM, &["sleep"])?;
    let telemetry = |namespace: &str, container: Option<&str>, name: &str| {
        json!({"pod_name": "checkout", "namespace": namespace, "container_id": container,
            "runtime": "nodejs", "data": {name: 412.5}})
        .to_string()
    };
    let scheme = format!("containerd://{id}");
    for body in [
        telemetry("shop", Some(&scheme), "heap_used_mb"),
        // The same pod without the container's id, and another namespace's pod of that name.
        telemetry("shop", None, "orders"),
        telemetry("other", None, "not_mine"),
    ] {
        let answer = ask(port, "POST", "/api/v1/telemetry", &body)?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let path = format!("/api/v1/window?kind=cgroup_sample&container={id}");
    let sampled = wait_for(LIMIT, || {
        let answer = ask(port, "GET", &path, "")?;
        anyhow::Ok(
            answer
                .contains("container_memory_current_bytes")
                .then_some(()),
        )
    })?;
    sampled.context("the container is not sampled")?;
    let pid = life.pid();
    lab::send(&elsewhere, pid, "9")?;
    life.end()?;

    let report = lab.report(pid)?;
    assert_eq!(
        report["verdict"]["grade"], "proven",
        "{:#}",
        report["verdict"]
    );
    let incident = &report["incident"];
    assert_eq!(incident["pod_name"], "checkout", "{incident:#}");
    assert_eq!(incident["namespace"], "shop");
    assert_eq!(incident["container_id"], id.as_str());
    let entries = report["telemetry"].as_array().context("no telemetry")?;
    let named = |name: &str| entries.iter().find(|entry| entry["name"] == name);
    let heap = named("heap_used_mb").context("the sidecar's data is missing")?;
    assert_eq!(
        (heap["source"].as_str(), heap["type"].as_str()),
        (Some("sidecar"), Some("memory"))
    );
    assert!(named("orders").is_some(), "the pod's other data is missing");
    assert!(named("not_mine").is_none(), "another pod's data is here");
    assert!(
        named("memory_total_bytes").is_some(),
        "the node's metrics are missing"
    );
    assert!(
        named("container_memory_current_bytes").is_some(),
        "the container's are missing"
    );
    let notes = report["completeness"]["notes"].to_string();
    assert!(notes.contains("what its sidecar says"), "{notes}");
    Ok(())
}
