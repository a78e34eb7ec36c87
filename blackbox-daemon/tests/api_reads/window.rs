//! The window: filtered, bounded, and as a file.

use axum::http::StatusCode;
use blackbox_daemon::api::Code;
use blackbox_daemon::record::{Event, Severity};
use serde_json::Value;

use crate::lab::{CONTAINER, EVIL, Lab, SHOP, reported, telemetry};
use crate::support::daemon::now;
use crate::support::{DEMO, OTHER, exit, failed_call, list, number, process};

#[tokio::test]
async fn the_window_is_filtered() {
    let lab = Lab::without_directory();
    let call = |pid, cgroup| {
        let process = process(pid, "app", cgroup);
        let record = failed_call(process, 0, 2);
        now(process, record.event)
    };
    lab.offer(vec![
        call(1, DEMO),
        call(2, DEMO),
        call(3, OTHER),
        call(4, SHOP),
    ])
    .await;
    lab.offer(vec![now(process(1, "app", DEMO), Event::Exit(exit(0)))])
        .await;
    lab.submit(telemetry(Some(CONTAINER))).await;
    for (query, expected) in [
        ("kind=failed_call", 4),
        ("kind=failed_call,exit", 5),
        ("kind=oom", 0),
        ("kind=failed_call&container=/demo", 2),
        ("kind=failed_call&container=/", 4),
        ("container=/other", 1),
        (&format!("container={}", &CONTAINER[..12]), 4),
        ("pod=shop-0&namespace=prod", 4),
        ("pod=shop-0&namespace=prod&kind=telemetry", 2),
        ("pod=shop-1", 0),
        ("kind=failed_call&until=30s", 0),
    ] {
        let answer = lab.json(&format!("/api/v1/window?{query}")).await;
        assert_eq!(list(&answer["entries"]).len(), expected, "{query}");
        assert_eq!(number(&answer["truncated"]), 0, "{query}");
        assert_eq!(number(&answer["unreadable"]), 0, "{query}");
    }
    let whole = lab.json("/api/v1/window").await;
    let time = |key: &str| whole["window"][key].as_str().unwrap().to_owned();
    assert!(time("start") < time("bulk_start") && time("bulk_start") < time("end"));
    assert!(time("start") < time("decisive_start"));
    for (query, field) in [
        ("kind=death", "kind"),
        ("container=3f2a", "container"),
        ("limit=10001", "limit"),
        ("severity=low", "severity"),
    ] {
        let error = lab.get(&format!("/api/v1/window?{query}")).await.error(400);
        assert_eq!(error.field.as_deref(), Some(field), "{query}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn the_newest_of_the_window_win() {
    let lab = Lab::without_directory();
    for pid in 1..=50 {
        let process = process(pid, "app", DEMO);
        let record = failed_call(process, 0, 2);
        lab.offer(vec![now(process, record.event)]).await;
    }
    let answer = lab.json("/api/v1/window?kind=failed_call&limit=3").await;
    let pids: Vec<&Value> = list(&answer["entries"])
        .iter()
        .map(|entry| &entry["tags"]["pid"])
        .collect();
    assert_eq!(pids, ["48", "49", "50"]);
    assert_eq!(answer["truncated"], 47);
    // One record, two entries.
    lab.submit(telemetry(None)).await;
    let answer = lab.json("/api/v1/window?kind=telemetry&limit=1").await;
    assert_eq!(list(&answer["entries"]).len(), 1);
    assert_eq!(answer["truncated"], 1);
    lab.stop().await;
}

#[tokio::test]
async fn the_window_is_exported() {
    let lab = Lab::without_directory();
    lab.submit(telemetry(Some(CONTAINER))).await;
    let app = process(1, "app", SHOP);
    lab.offer(vec![now(app, failed_call(app, 0, 2).event)])
        .await;
    lab.report(reported("mine", Severity::High)).await;

    let json = lab.json("/api/v1/export?pod=shop-0").await;
    let info = &json["export_info"];
    assert_eq!(
        (&info["total_entries"], &info["truncated"]),
        (&5.into(), &0.into())
    );
    assert!(info["time_range"]["start"].as_str() < info["time_range"]["end"].as_str());
    let entries = list(&json["entries"]);
    assert_eq!(entries.len(), 5);
    let named = |name: &str| {
        let mut found = entries.iter().filter(|entry| entry["data"]["name"] == name);
        found.next().unwrap()
    };
    let heap = named("heap_used");
    assert_eq!(heap["type"], "memory");
    assert_eq!(
        (&heap["pod_name"], &heap["namespace"]),
        (&"shop-0".into(), &"prod".into())
    );
    assert_eq!(heap["data"]["name"], "heap_used");
    assert_eq!(heap["data"]["value"], 7);
    assert_eq!(heap["data"]["source"], "sidecar");
    assert_eq!(heap["data"]["tags"]["runtime"], "jvm");
    let call = named("syscall_failed");
    assert_eq!(call["pod_name"], "shop-0", "known by its container");

    let answer = lab.get("/api/v1/export?format=csv&namespace=prod").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("content-type").starts_with("text/csv"));
    let mut table = csv::Reader::from_reader(answer.body.as_ref());
    let header = "timestamp,type,pod_name,namespace,runtime,data_json";
    assert_eq!(
        table
            .headers()
            .unwrap()
            .iter()
            .collect::<Vec<_>>()
            .join(","),
        header
    );
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 5);
    let told: Vec<&csv::StringRecord> = rows.iter().filter(|row| &row[4] == "jvm").collect();
    let cells: Vec<&str> = told[0].iter().skip(1).take(3).collect();
    assert_eq!(cells, ["memory", "shop-0", "prod"]);
    let data: Value = serde_json::from_str(&told[1][5]).unwrap();
    assert_eq!(data["value"], EVIL);

    for (query, entries) in [("severity=high", 1), ("severity=High&pod=shop-0", 1)] {
        let json = lab.json(&format!("/api/v1/export?{query}")).await;
        assert_eq!(list(&json["entries"]).len(), entries, "{query}");
        assert_eq!(json["entries"][0]["data"]["name"], "incident_reported");
    }
    for query in ["severity=low", "pod=nobody", "until=50s"] {
        let error = lab.get(&format!("/api/v1/export?{query}")).await.error(404);
        assert_eq!(error.code, Code::NotFound, "{query}");
    }
    let error = lab.get("/api/v1/export?format=xml").await.error(400);
    assert!(error.message.contains("json, csv"), "{error:?}");
    lab.stop().await;
}
