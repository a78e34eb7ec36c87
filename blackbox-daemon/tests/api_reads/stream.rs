//! The stream: a death as it happens, filters, a reader that is too slow, and the end.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use blackbox_daemon::api::ApiError;
use blackbox_daemon::record::{Event, Severity};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::lab::{CONTAINER, Lab, SHOP, reported, telemetry};
use crate::support::daemon::{PATIENCE, now};
use crate::support::{DEMO, OTHER, exit, number, process};

/// The events of one stream, as a browser reads them.
struct Events {
    body: Body,
    text: String,
}

impl Events {
    async fn open(lab: &Lab, query: &str) -> Self {
        let response = lab.open(&format!("/api/v1/stream?{query}")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
        }
    }

    /// The next event and its data. `None`: the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name).map(str::to_owned))
                };
                let (name, data) = (field("event: "), field("data: "));
                let found = name.map(|name| {
                    let data = data.expect("data");
                    (name, serde_json::from_str(&data).expect("JSON"))
                });
                self.text = rest.to_owned();
                match found {
                    Some(found) => return Some(found),
                    None => continue,
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let bytes = frame.expect("in time")?.expect("a whole body");
            let bytes = bytes.into_data().expect("no trailers");
            let text = std::str::from_utf8(&bytes).expect("UTF-8");
            self.text.push_str(text);
        }
    }

    /// The next event of this name.
    async fn find(&mut self, wanted: &str) -> Value {
        loop {
            let (name, data) = self.next().await.expect("the stream goes on");
            if name == wanted {
                return data;
            }
        }
    }
}

fn death(pid: u32, cgroup: blackbox_daemon::record::CgroupId) -> blackbox_daemon::record::Record {
    now(process(pid, "app", cgroup), Event::Exit(exit(0)))
}

#[tokio::test]
async fn a_death_is_seen_as_record_and_as_incident() {
    let lab = Lab::without_directory();
    let mut events = Events::open(&lab, "").await;
    let comm = lab.daemon.kill(1);
    let record = events.find("record").await;
    assert_eq!(record["class"], "exit");
    let sentence = record["sentence"].as_str().unwrap();
    assert!(
        sentence.contains(&comm) && sentence.contains("SIGSEGV"),
        "{sentence}"
    );
    assert_eq!(record["entries"][0]["name"], "process_exit");
    assert_eq!(record["entries"][0]["id"], record["id"]);
    assert!(record["timestamp"].is_string());
    assert_eq!(events.find("incident").await["type"], "crash");

    let mut events = Events::open(&lab, "kind=oom").await;
    lab.report(reported("mine", Severity::High)).await;
    let (name, incident) = events.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &incident["id"]),
        ("incident", &"mine".into())
    );
    assert_eq!(incident["pod_name"], "shop-0");
    lab.stop().await;
}

#[tokio::test]
async fn a_record_is_told_once_and_in_order() {
    let lab = Lab::without_directory();
    let mut early = Events::open(&lab, "kind=exit").await;
    lab.offer((1..=20).map(|pid| death(pid, DEMO)).collect())
        .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut late = Events::open(&lab, "kind=exit").await;
    lab.offer(vec![death(21, DEMO)]).await;
    for pid in 1..=21 {
        let record = early.find("record").await;
        assert_eq!(record["entries"][0]["tags"]["pid"], pid.to_string());
    }
    let record = late.find("record").await;
    assert_eq!(record["entries"][0]["tags"]["pid"], "21", "not from before");
    lab.stop().await;
}

#[tokio::test]
async fn streams_are_filtered() {
    let lab = Lab::without_directory();
    lab.submit(telemetry(Some(CONTAINER))).await;
    let container = format!("kind=exit&container={}", &CONTAINER[..12]);
    let mut streams = Vec::new();
    for (query, pid) in [
        ("kind=exit&container=/other", "2"),
        ("kind=exit&pod=shop-0&namespace=prod", "3"),
        (&container, "3"),
    ] {
        streams.push((Events::open(&lab, query).await, pid));
    }
    let deaths = [(1, DEMO), (2, OTHER), (3, SHOP)];
    lab.offer(deaths.map(|(pid, cgroup)| death(pid, cgroup)).into())
        .await;
    for (mut events, pid) in streams {
        let (name, record) = events.next().await.unwrap();
        assert_eq!(name, "record");
        assert_eq!(record["entries"][0]["tags"]["pid"], pid);
    }
    let response = lab.get("/api/v1/stream?kind=death").await;
    assert_eq!(response.error(400).field.as_deref(), Some("kind"));
    lab.stop().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed() {
    let lab = Lab::without_directory();
    let mut events = Events::open(&lab, "").await;
    // It reads nothing, while more happens than all queues hold.
    const DEATHS: u32 = 6_000;
    for batch in 0..10 {
        let pids = batch * DEATHS / 10..(batch + 1) * DEATHS / 10;
        lab.offer(pids.map(|pid| death(pid, DEMO)).collect()).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let lost = number(&events.find("lost").await["count"]);
    assert!(lost > 0 && lost < u64::from(DEATHS), "{lost}");
    lab.stop().await;
}

#[tokio::test]
async fn streams_are_few_and_end_with_the_daemon() {
    let lab = Lab::without_directory();
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Events::open(&lab, "").await);
    }
    let error: ApiError = lab.get("/api/v1/stream").await.error(503);
    assert!(error.retry_after.is_some());
    // A place is free again soon after its client has gone.
    streams.pop();
    let freed = async {
        while lab.open("/api/v1/stream").await.status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.unwrap();
    lab.stopping.cancel();
    for mut events in streams {
        while events.next().await.is_some() {}
    }
    lab.stop().await;
}
