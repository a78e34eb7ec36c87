//! Every row of v1's metrics, from the built daemon's own port.

use std::time::Duration;

use serde_json::json;

use crate::running::{KEY, Running, answer};

/// v1's series that any node has: name, labels, type.
const V1: [(&str, &str, &str); 18] = [
    ("blackbox_cpu_usage_percent", "core=\"0\"", "gauge"),
    ("blackbox_memory_bytes", "type=\"total\"", "gauge"),
    ("blackbox_memory_bytes", "type=\"free\"", "gauge"),
    ("blackbox_memory_bytes", "type=\"available\"", "gauge"),
    ("blackbox_processes_total", "", "gauge"),
    ("blackbox_open_files_total", "", "gauge"),
    ("blackbox_load_average", "period=\"1min\"", "gauge"),
    ("blackbox_load_average", "period=\"5min\"", "gauge"),
    ("blackbox_load_average", "period=\"15min\"", "gauge"),
    ("blackbox_buffer_size_bytes", "", "gauge"),
    ("blackbox_buffer_entries_total", "", "gauge"),
    ("blackbox_sidecar_requests_total", "", "counter"),
    (
        "blackbox_incidents_total",
        "severity=\"high\",type=\"timeout\"",
        "counter",
    ),
    (
        "blackbox_disk_io_bytes_total",
        "direction=\"read\"",
        "gauge",
    ),
    (
        "blackbox_disk_io_bytes_total",
        "direction=\"write\"",
        "gauge",
    ),
    ("blackbox_network_bytes_total", "direction=\"rx\"", "gauge"),
    ("blackbox_network_bytes_total", "direction=\"tx\"", "gauge"),
    (
        "telemetry_entries_received_total",
        "runtime=\"python\"",
        "counter",
    ),
];

fn has(text: &str, name: &str, label: &str) -> bool {
    text.lines().any(|line| {
        let series = line.split(['{', ' ']).next();
        series == Some(name) && line.contains(label)
    })
}

#[tokio::test]
async fn every_series_of_v1_has_its_name_labels_and_type() {
    let running = Running::start(&[]).await;
    let telemetry =
        json!({"pod_name": "m", "namespace": "n", "runtime": "python", "data": {"x": 1}});
    running.post("/api/v1/telemetry", &telemetry).await;
    let incident = json!({"id": "m1", "severity": "high", "type": "timeout"});
    running.post("/api/v1/incident", &incident).await;
    running
        .until("/api/v1/incidents/m1", |answer| answer.status == 200)
        .await;
    let mut text = String::new();
    for _ in 0..40 {
        text = running.metrics().await;
        if has(&text, "blackbox_cpu_usage_percent", "core=\"0\"") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let interfaces = std::fs::read_dir("/sys/class/net").unwrap();
    let wired = interfaces.flatten().any(|entry| entry.file_name() != "lo");
    let disks = std::fs::read_dir("/sys/block").unwrap().count() > 0;
    for (name, label, kind) in V1 {
        if (name.contains("network") && !wired) || (name.contains("disk") && !disks) {
            continue;
        }
        assert!(
            has(&text, name, label),
            "{name} {label} is missing:\n{text}"
        );
        assert!(
            text.contains(&format!("# TYPE {name} {kind}\n")),
            "{name} is no {kind}"
        );
    }
    for name in [
        "blackbox_records_recorded_total",
        "blackbox_window_bytes",
        "blackbox_queue_depth",
        "blackbox_source_state",
        "blackbox_process_cpu_seconds_total",
        "blackbox_process_resident_memory_bytes",
        "blackbox_destination_documents_total",
        "blackbox_report_duration_seconds_count",
        "blackbox_api_requests_total",
        "blackbox_api_active_connections",
    ] {
        assert!(has(&text, name, ""), "{name} is missing:\n{text}");
    }
    assert!(!text.contains(KEY));
}

#[tokio::test]
async fn the_port_has_a_page_and_the_path_is_the_users() {
    let running = Running::start(&[("BLACKBOX_METRICS_PATH", "/internal/metrics")]).await;
    let get = async |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", running.metrics_port);
        answer(reqwest::Client::new().get(url)).await
    };
    let page = get("/").await;
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{page:?}"
    );
    assert!(page.text.contains("/internal/metrics"), "{page:?}");
    let metrics = get("/internal/metrics").await;
    assert!(
        metrics
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    assert_eq!(get("/metrics").await.status, 404);
}
