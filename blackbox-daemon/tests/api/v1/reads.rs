//! Health, the buffer's status and the export.

use reqwest::Method;
use serde_json::{Value, json};

use super::{TELEMETRY, check_error, telemetry};
use crate::running::Running;

#[tokio::test]
async fn health_says_how_each_part_fares() {
    let running = Running::start(&[]).await;
    let answer = running
        .until("/api/v1/health", |answer| answer.status == 200)
        .await;
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["service"]),
        (&json!("healthy"), &json!("blackbox-daemon"))
    );
    for key in [
        "timestamp",
        "version",
        "uptime",
        "buffer_entries",
        "buffer_utilization",
    ] {
        assert!(!body[key].is_null(), "{key}: {body}");
    }
    let parts = &body["components"];
    assert_eq!(parts["ring_buffer"], "healthy", "{body}");
    assert_eq!(parts["system_collector"], "healthy", "{body}");
    assert_eq!(parts["pod_watcher"], "disabled", "{body}");
    assert_eq!(parts["metrics_collector"], "healthy", "{body}");
    assert_eq!(parts["kernel_events"], "disabled", "{body}");
    assert_eq!(
        running
            .send(Method::HEAD, "/api/v1/health", None, Vec::new())
            .await
            .status,
        200
    );

    // Nothing to sample and no kernel programs: nothing is recorded.
    let empty = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(empty.path().join("self")).unwrap();
    let blind = Running::start(&[("BLACKBOX_PROC_ROOT", empty.path().to_str().unwrap())]).await;
    let answer = blind
        .until("/api/v1/health", |answer| answer.status == 503)
        .await;
    assert_eq!(answer.json()["status"], "unhealthy");
}

#[tokio::test]
async fn the_buffers_status_has_every_field_of_the_documents() {
    let running = Running::start(&[]).await;
    let status = running
        .until("/api/v1/buffer/status", |answer| {
            answer.json()["current_entries"].as_u64() > Some(0)
        })
        .await
        .json();
    for key in [
        "window_size",
        "current_entries",
        "max_entries",
        "utilization_percent",
        "oldest_entry",
        "newest_entry",
        "memory_usage_bytes",
        "cleanup_runs",
    ] {
        assert!(!status[key].is_null(), "{key}: {status}");
    }
    assert!(status.get("last_cleanup").is_some());
    assert_eq!(status["window_size"], 60_000_000_000_u64);
}

#[tokio::test]
async fn export_as_the_documents_promise() {
    let running = Running::start(&[]).await;
    running
        .post(
            TELEMETRY,
            &telemetry("e", json!({"text": "a,\"b\"\nc", "n": 1.5})),
        )
        .await;
    let export = running
        .until("/api/v1/export?pod=e&namespace=shop", |answer| {
            answer.status == 200
        })
        .await
        .json();
    let info = &export["export_info"];
    assert_eq!(info["total_entries"], 2);
    assert!(
        info["timestamp"].is_string()
            && info["time_range"]["start"].is_string()
            && info["time_range"]["end"].is_string()
    );
    let csv = running
        .get("/api/v1/export?format=csv&pod=e&namespace=shop")
        .await;
    assert!(
        csv.header("content-type").starts_with("text/csv"),
        "{csv:?}"
    );
    let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    assert_eq!(
        columns,
        vec![
            "timestamp",
            "type",
            "pod_name",
            "namespace",
            "runtime",
            "data_json"
        ]
    );
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!((&row[2], &row[3], &row[4]), ("e", "shop", "nodejs"));
        assert!(serde_json::from_str::<Value>(&row[5]).is_ok());
    }
    check_error(
        &running.get("/api/v1/export?pod=nobody").await,
        404,
        "not_found",
        "",
    );
    check_error(
        &running.get("/api/v1/export?format=xml").await,
        400,
        "validation_failed",
        "csv",
    );
    check_error(
        &running.get("/api/v1/export?since=yesterday").await,
        400,
        "validation_failed",
        "RFC 3339",
    );
    check_error(
        &running.get("/api/v1/export?colour=red").await,
        400,
        "validation_failed",
        "colour",
    );
    let future = running
        .get("/api/v1/export?since=2199-01-01T00:00:00Z")
        .await;
    assert_eq!(future.status, 404);
}
