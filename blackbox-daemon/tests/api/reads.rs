//! What v1 did not have: reports that outlive a restart, the live window and the stream.

use std::time::Duration;

use serde_json::{Value, json};

use crate::running::{KEY, Running, answer};

#[tokio::test]
async fn reports_outlive_a_restart_in_every_format() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start_in(directory, &[("BLACKBOX_OUTPUT_FORMATTERS", "csv")]).await;
    for (id, severity) in [("first", "low"), ("second", "high")] {
        let body = json!({"id": id, "severity": severity, "pod_name": "p", "namespace": "n"});
        assert_eq!(running.post("/api/v1/incident", &body).await.status, 200);
        let path = format!("/api/v1/incidents/{id}");
        running.until(&path, |answer| answer.status == 200).await;
    }
    let mut running = running;
    assert_eq!(running.daemon.stop().unwrap().code(), Some(0));
    let running = Running::start_in(running.directory, &[]).await;
    let page = running
        .get("/api/v1/incidents?pod=p&namespace=n")
        .await
        .json();
    assert_eq!(page["total"], 2, "{page}");
    assert_eq!(page["incidents"][0]["id"], "second");
    let page = running.get("/api/v1/incidents?severity=low").await.json();
    assert_eq!(
        (&page["total"], &page["incidents"][0]["id"]),
        (&json!(1), &json!("first"))
    );
    let one = running.get("/api/v1/incidents?limit=1").await.json();
    let cursor = one["next_cursor"].as_str().unwrap();
    let two = running
        .get(&format!("/api/v1/incidents?limit=1&cursor={cursor}"))
        .await
        .json();
    assert_eq!(
        (&two["incidents"][0]["id"], &two["next_cursor"]),
        (&json!("first"), &Value::Null)
    );
    for (format, begins) in [
        ("default", "=== INCIDENT"),
        ("json", "{"),
        ("csv", "timestamp,source"),
    ] {
        let report = running
            .get(&format!("/api/v1/incidents/first?format={format}"))
            .await;
        assert!(report.text.starts_with(begins), "{format}: {}", report.text);
    }
    let url = format!("http://127.0.0.1:{}/api/v1/incidents/first", running.port);
    let request = reqwest::Client::new().get(url);
    let request = request.header("Authorization", format!("Bearer {KEY}"));
    let csv = answer(request.header("Accept", "text/csv, application/json;q=0.5")).await;
    assert!(
        csv.header("content-type").starts_with("text/csv"),
        "{csv:?}"
    );
    assert_eq!(
        running
            .get("/api/v1/incidents/first?format=xml")
            .await
            .status,
        400
    );
    assert_eq!(
        running
            .get("/api/v1/incidents/..%2f..%2fetc%2fpasswd")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn the_live_window_is_read_by_kind_pod_and_time() {
    let running = Running::start(&[]).await;
    let body = json!({"pod_name": "w", "namespace": "n", "data": {"heap": 1, "rss": 2}});
    running.post("/api/v1/telemetry", &body).await;
    let path = "/api/v1/window?kind=telemetry&pod=w&namespace=n";
    let read = |answer: &crate::running::Answer| answer.json()["entries"].as_array().unwrap().len();
    let answer = running.until(path, |answer| read(answer) > 0).await;
    assert_eq!(read(&answer), 2);
    for name in [
        "heap",
        "memory_total_bytes",
        "cpu_usage_percent",
        "source_state",
    ] {
        let has = |answer: &crate::running::Answer| {
            let body = answer.json();
            let mut entries = body["entries"].as_array().unwrap().iter();
            entries.any(|entry| entry["name"] == name)
        };
        running.until("/api/v1/window", has).await;
    }
    let future = running
        .get("/api/v1/window?since=2199-01-01T00:00:00Z")
        .await;
    assert_eq!(read(&future), 0);
    for (query, word) in [
        ("kind=nonsense", "telemetry"),
        ("limit=0", "1"),
        ("colour=red", "since"),
    ] {
        let refused = running.get(&format!("/api/v1/window?{query}")).await;
        assert_eq!(refused.status, 400);
        assert!(refused.text.contains(word), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_stream_tells_an_incident_as_it_happens() {
    let running = Running::start(&[]).await;
    let url = format!("http://127.0.0.1:{}/api/v1/stream", running.port);
    let request = reqwest::Client::new().get(url);
    let mut stream = request
        .header("Authorization", format!("Bearer {KEY}"))
        .send()
        .await
        .unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    running
        .post("/api/v1/incident", &json!({"id": "live-1", "message": "m"}))
        .await;
    let mut text = String::new();
    let reading = async {
        while !(text.contains("event: record")
            && text.contains("event: incident")
            && text.contains("live-1"))
        {
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading)
        .await
        .unwrap();
}
