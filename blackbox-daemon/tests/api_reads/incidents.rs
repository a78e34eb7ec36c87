//! Incidents: listed, paged, filtered, shown in every format, and kept over a restart.

use axum::http::StatusCode;
use blackbox_daemon::record::Severity;

use crate::lab::{Lab, reported};
use crate::support::{list, number};

#[tokio::test]
async fn incidents_outlive_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let lab = Lab::start(root.path());
    lab.die(3).await;
    let before = lab.json("/api/v1/incidents").await;
    assert_eq!(before["total"], 3);
    let newest = &before["incidents"][0];
    assert_eq!(newest["type"], "crash");
    assert_eq!(newest["grade"], "unknown");
    assert!(newest["headline"].as_str().unwrap().contains("SIGSEGV"));
    lab.stop().await;

    let lab = Lab::start(root.path());
    assert_eq!(lab.json("/api/v1/incidents").await, before);
    lab.stop().await;
}

#[tokio::test]
async fn pages_stay_whole_while_incidents_arrive() {
    let root = tempfile::tempdir().unwrap();
    let lab = Lab::start(root.path());
    lab.die(7).await;
    let mut seen: Vec<String> = Vec::new();
    let mut uri = "/api/v1/incidents?limit=3".to_owned();
    let mut lens = Vec::new();
    loop {
        let page = lab.json(&uri).await;
        let ids = list(&page["incidents"])
            .iter()
            .map(|one| one["id"].as_str());
        lens.push(ids.len());
        seen.extend(ids.map(|id| id.unwrap().to_owned()));
        assert_eq!(number(&page["total"]), 6 + lens.len() as u64);
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        uri = format!("/api/v1/incidents?limit=3&cursor={cursor}");
        lab.die(1).await;
    }
    assert_eq!(lens, [3, 3, 1]);
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "none twice");
    lab.stop().await;
}

#[tokio::test]
async fn an_incident_comes_in_every_format() {
    let root = tempfile::tempdir().unwrap();
    let lab = Lab::start(root.path());
    lab.die(1).await;
    let id = lab.json("/api/v1/incidents").await["incidents"][0]["id"].clone();
    let uri = format!("/api/v1/incidents/{}", id.as_str().unwrap());
    let json = lab.json(&uri).await;
    assert_eq!(json["incident"]["id"], id);
    assert_eq!(json["schema"], "blackbox.report/1");

    for (query, accept, kind, start) in [
        ("", "text/plain", "text/plain", "=== INCIDENT REPORT ===\n"),
        ("", "text/csv", "text/csv", "timestamp,source,type,"),
        ("", "text/html, */*;q=0.1", "application/json", "{\n"),
        ("?format=default", "application/json", "text/plain", "=== "),
        ("?format=CSV", "*/*", "text/csv", "timestamp,"),
        ("?format=json", "text/html", "application/json", "{\n"),
    ] {
        let answer = lab.get_as(&format!("{uri}{query}"), accept).await;
        assert_eq!(answer.status, StatusCode::OK, "{query} {accept}");
        assert!(
            answer.header("content-type").starts_with(kind),
            "{query} {accept}"
        );
        assert!(answer.text().starts_with(start), "{query} {accept}");
    }

    let error = lab.get_as(&uri, "text/html").await.error(406);
    assert!(error.message.contains("text/csv"), "{error:?}");
    let error = lab.get(&format!("{uri}?format=xml")).await.error(400);
    assert_eq!(error.field.as_deref(), Some("format"));
    assert!(error.message.contains("default, json, csv"), "{error:?}");
    lab.stop().await;
}

#[tokio::test]
async fn incidents_are_filtered() {
    let root = tempfile::tempdir().unwrap();
    let lab = Lab::start(root.path());
    lab.die(1).await;
    lab.report(reported("mine", Severity::High)).await;
    for (query, total) in [
        ("", 2),
        ("?pod=shop-0", 1),
        ("?pod=shop-0&namespace=prod&type=degraded&severity=HIGH", 1),
        ("?namespace=test", 0),
        ("?type=crash", 1),
        ("?type=Crash", 0),
        ("?severity=low", 0),
        ("?since=10m", 2),
        ("?until=10m", 0),
        (
            "?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00%2B02:00",
            0,
        ),
    ] {
        let page = lab.json(&format!("/api/v1/incidents{query}")).await;
        assert_eq!(page["total"], total, "{query}");
        assert_eq!(list(&page["incidents"]).len(), total, "{query}");
    }
    for (query, field, allowed) in [
        ("?severity=worst", "severity", "low, medium, high, critical"),
        ("?limit=0", "limit", "1 to 1000"),
        ("?limit=1001", "limit", "1 to 1000"),
        ("?since=yesterday", "since", "RFC 3339"),
        ("?since=1m&until=2m", "until", "before since"),
        ("?nmespace=prod", "nmespace", "`namespace`"),
    ] {
        let error = lab
            .get(&format!("/api/v1/incidents{query}"))
            .await
            .error(400);
        assert_eq!(error.field.as_deref(), Some(field), "{query}");
        assert!(error.message.contains(allowed), "{error:?}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn hostile_ids_find_nothing() {
    let root = tempfile::tempdir().unwrap();
    let lab = Lab::start(root.path());
    lab.die(1).await;
    let long = "x".repeat(10_000);
    for id in [
        "..%2F..%2Fetc%2Fpasswd",
        "..",
        "a%00b",
        "%2Fetc%2Fpasswd",
        "%F0%9F%A6%80",
        &long,
    ] {
        let error = lab.get(&format!("/api/v1/incidents/{id}")).await.error(404);
        assert!(error.message.contains("GET /api/v1/incidents"), "{id}");
    }
    let error = lab.get("/api/v1/incidents/%FF").await.error(400);
    assert_eq!(error.field.as_deref(), Some("id"));
    lab.stop().await;
}

#[tokio::test]
async fn without_a_directory_incidents_are_not_kept() {
    let lab = Lab::without_directory();
    for uri in ["/api/v1/incidents", "/api/v1/incidents/x"] {
        let error = lab.get(uri).await.error(503);
        assert!(error.message.contains("BLACKBOX_OUTPUT_PATH"), "{error:?}");
    }
    lab.stop().await;
}
