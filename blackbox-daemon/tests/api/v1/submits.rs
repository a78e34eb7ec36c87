//! Telemetry and incidents, and what becomes of them.

use reqwest::Method;
use serde_json::json;

use super::{INCIDENT, TELEMETRY, check_error, telemetry};
use crate::running::{KEY, Running};

#[tokio::test]
async fn telemetry_as_v1_took_it_and_more() {
    let running = Running::start(&[]).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let answer = running.send(method, TELEMETRY, Some(KEY), Vec::new()).await;
        check_error(&answer, 405, "method_not_allowed", "Method not allowed");
    }
    for body in ["", "{", "[]", "nonsense"] {
        let answer = running
            .send(Method::POST, TELEMETRY, Some(KEY), body.into())
            .await;
        check_error(&answer, 400, "validation_failed", "Invalid JSON");
    }
    let answer = running.post(TELEMETRY, &json!({"pod_name": "a"})).await;
    check_error(
        &answer,
        400,
        "validation_failed",
        "Pod name and namespace are required",
    );
    assert_eq!(answer.json()["details"]["field"], "namespace");

    let answer = running
        .post(
            TELEMETRY,
            &telemetry("a", json!({"heap_used": 1, "note": {"deep": [1]}})),
        )
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["status"], "accepted");
    assert_eq!(body["entries_added"], 2);
    assert!(
        body["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    let id = body["entry_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with('e') && id.len() > 1);

    let batch = json!({"entries": [telemetry("a", json!({"x": 1})), telemetry("b", json!({}))]});
    let body = running.post(TELEMETRY, &batch).await.json();
    assert_eq!(
        (
            body["entries_added"].as_u64(),
            body["entry_ids"].as_array().unwrap().len()
        ),
        (Some(1), 2)
    );

    let found = running
        .until("/api/v1/export?pod=a&namespace=shop", |answer| {
            answer.text.contains("heap_used")
        })
        .await;
    assert!(
        found.text.contains(&id),
        "the id of the answer is not in the window"
    );
}

#[tokio::test]
async fn every_key_is_an_entry_of_v1s_type() {
    let running = Running::start(&[]).await;
    let data = json!({
        "memory_mb": 1, "heapSize": 1, "gc_count": 1, "cpu_pct": 1, "threads_live": "thread", "processor": 1,
        "network_in": 1, "open_sockets": 1, "connections": 1, "runtime_ver": "20", "jvm_x": 1, "clr_y": 1, "vm_z": 1,
        "exceptions": 1, "error_rate": 0.5, "panics": 1, "orders": 12, "Memory": 1, "heap_threads": 1
    });
    let sent = running
        .post(TELEMETRY, &telemetry("typed", data.clone()))
        .await;
    assert_eq!(
        sent.json()["entries_added"],
        data.as_object().unwrap().len()
    );
    let export = running
        .until("/api/v1/export?pod=typed&namespace=shop", |answer| {
            answer.status == 200
        })
        .await
        .json();
    let entries = export["entries"].as_array().unwrap();
    assert_eq!(entries.len(), data.as_object().unwrap().len());
    for (name, kind) in [
        ("memory_mb", "memory"),
        ("heapSize", "memory"),
        ("gc_count", "memory"),
        ("cpu_pct", "cpu"),
        ("threads_live", "cpu"),
        ("processor", "cpu"),
        ("network_in", "network"),
        ("open_sockets", "network"),
        ("connections", "network"),
        ("runtime_ver", "runtime"),
        ("jvm_x", "runtime"),
        ("clr_y", "runtime"),
        ("vm_z", "runtime"),
        ("exceptions", "application"),
        ("error_rate", "application"),
        ("panics", "application"),
        ("orders", "custom"),
        ("Memory", "custom"),
        ("heap_threads", "memory"),
    ] {
        let entry = entries
            .iter()
            .find(|entry| entry["data"]["name"] == name)
            .unwrap();
        assert_eq!(entry["type"], kind, "{entry}");
        assert_eq!(
            (&entry["pod_name"], &entry["namespace"]),
            (&json!("typed"), &json!("shop"))
        );
        assert_eq!(entry["data"]["source"], "sidecar");
        assert_eq!(entry["data"]["value"], data[name]);
        let tags = &entry["data"]["tags"];
        assert_eq!(
            tags,
            &json!({"pod_name": "typed", "namespace": "shop", "runtime": "nodejs"})
        );
        assert_eq!(entry["data"]["metadata"]["sidecar_runtime"], "nodejs");
    }
}

#[tokio::test]
async fn incidents_as_v1_took_them_become_reports_with_the_pods_data() {
    let running = Running::start(&[("BLACKBOX_OUTPUT_FORMATTERS", "default")]).await;
    check_error(
        &running.get(INCIDENT).await,
        405,
        "method_not_allowed",
        "Method not allowed",
    );
    let answer = running
        .send(Method::POST, INCIDENT, Some(KEY), b"{".to_vec())
        .await;
    check_error(&answer, 400, "validation_failed", "Invalid JSON");

    running
        .post(TELEMETRY, &telemetry("a", json!({"heap_used_mb": 412})))
        .await;
    let other = json!({"pod_name": "a", "namespace": "other", "data": {"not_mine": 1}});
    running.post(TELEMETRY, &other).await;

    let empty = running.post(INCIDENT, &json!({})).await;
    assert_eq!(empty.status, 200);
    let first = empty.json()["incident_id"].as_str().unwrap().to_owned();
    let second = running.post(INCIDENT, &json!({})).await.json()["incident_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        first.starts_with("manual-1") && first != second,
        "{first} {second}"
    );

    let mine = json!({"id": "mine-1", "pod_name": "a", "namespace": "shop", "severity": "critical", "type": "timeout",
        "message": "payment did not answer", "context": {"order": 7}, "metadata": {"try": 3}});
    let answer = running.post(INCIDENT, &mine).await;
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["incident_id"]),
        (&json!("accepted"), &json!("mine-1"))
    );

    let report = running
        .until("/api/v1/incidents/mine-1", |answer| answer.status == 200)
        .await
        .json();
    let incident = &report["incident"];
    assert_eq!(
        (&incident["severity"], &incident["type"]),
        (&json!("critical"), &json!("timeout"))
    );
    assert_eq!(incident["message"], "payment did not answer");
    assert_eq!(
        (&incident["pod_name"], &incident["namespace"]),
        (&json!("a"), &json!("shop"))
    );
    assert_eq!(
        (&incident["context"]["order"], &incident["context"]["try"]),
        (&json!(7), &json!(3))
    );
    assert_eq!(report["verdict"]["grade"], "unknown");
    let telemetry = report["telemetry"].as_array().unwrap();
    let has = |name: &str| telemetry.iter().any(|entry| entry["name"] == name);
    assert!(has("heap_used_mb"), "the pod's data is missing");
    assert!(!has("not_mine"), "data of another namespace's pod");
    assert!(has("memory_total_bytes"), "the node's metrics are missing");

    let text = running
        .get("/api/v1/incidents/mine-1?format=default")
        .await
        .text;
    assert!(
        text.contains("POD: shop/a") && text.contains("SEVERITY: critical"),
        "{text}"
    );
    let manual = running
        .until(&format!("/api/v1/incidents/{first}"), |answer| {
            answer.status == 200
        })
        .await
        .json();
    assert_eq!(
        (&manual["incident"]["severity"], &manual["incident"]["type"]),
        (&json!("medium"), &json!("manual"))
    );
    assert!(
        manual["telemetry"]
            .as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["source"] == "system")
    );
}

#[tokio::test]
async fn a_sidecars_clock_poisons_nothing() {
    let running = Running::start(&[]).await;
    for (pod, timestamp) in [
        ("future", "2199-01-01T00:00:00Z"),
        ("ancient", "1969-07-20T20:17:40Z"),
        ("beyond", "9999-12-30T00:00:00Z"),
    ] {
        let mut body = telemetry(pod, json!({"x": 1}));
        body["timestamp"] = json!(timestamp);
        assert_eq!(running.post(TELEMETRY, &body).await.status, 200);
        let found = running
            .until(
                &format!("/api/v1/export?pod={pod}&namespace=shop"),
                |answer| answer.status == 200,
            )
            .await
            .json();
        let entry = &found["entries"][0];
        let kept: jiff::Timestamp = entry["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(
            jiff::Timestamp::now().duration_since(kept).abs().as_secs() < 60,
            "{entry}"
        );
        let metadata = &entry["data"]["metadata"];
        assert!(
            metadata["claimed_timestamp"].is_string() && metadata["received_timestamp"].is_string(),
            "{entry}"
        );
    }
    // What was recorded before is still there, and what comes after is kept.
    let status = running.until("/api/v1/buffer/status", |answer| {
        let status = answer.json();
        status["oldest_entry"] != status["newest_entry"]
    });
    let status = status.await.json();
    let oldest: jiff::Timestamp = status["oldest_entry"].as_str().unwrap().parse().unwrap();
    let newest: jiff::Timestamp = status["newest_entry"].as_str().unwrap().parse().unwrap();
    let now = jiff::Timestamp::now();
    assert!(
        oldest < newest && now.duration_since(newest).abs().as_secs() < 10,
        "{status}"
    );
    let found = running
        .get("/api/v1/export?pod=future&namespace=shop")
        .await;
    assert_eq!(found.status, 200);
}
