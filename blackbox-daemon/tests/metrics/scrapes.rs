//! Scrapes: values that agree with what was recorded, losses that show, labels that stay few, and the page itself.

use std::time::Duration;

use blackbox_daemon::clock;
use blackbox_daemon::metrics::CONTENT_TYPE;
use blackbox_daemon::record::{
    Class, Event, Health, KernelTally, LossCause, SourceName, SourceState, TallyRow,
};

use crate::exposition::Scrape;
use crate::samples::samples;
use crate::stage::{Stage, ask};

fn count(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    let value = scrape.value(name, labels);
    value.unwrap_or_else(|| panic!("no {name} {labels:?}"))
}

#[tokio::test]
async fn values_agree_with_what_was_recorded() {
    let stage = Stage::start("/metrics").await;
    samples().into_iter().for_each(|event| stage.offer(event));
    stage.offer(Event::Source(SourceState {
        source: SourceName::Kube,
        health: Health::Degraded("slow".to_owned()),
    }));
    stage.deaths(1);
    let written = [("result", "written")];
    let documents = "blackbox_destination_documents_total";
    let exits = [("class", "exit"), ("lane", "decisive")];
    let scrape = stage
        .until(|scrape| {
            scrape.value(documents, &written) == Some(2.0)
                && scrape.value("blackbox_records_recorded_total", &exits) == Some(2.0)
        })
        .await;
    let recorded = |class| {
        count(
            &scrape,
            "blackbox_records_recorded_total",
            &[("class", class)],
        )
    };
    assert_eq!(recorded("node_sample"), 5.0);
    assert_eq!(recorded("failed_call"), 0.0);
    let lane = |name, lane| count(&scrape, name, &[("lane", lane)]);
    assert_eq!(lane("blackbox_window_records", "bulk"), 5.0);
    assert_eq!(lane("blackbox_window_records", "decisive"), 3.0);
    assert_eq!(lane("blackbox_window_capacity_bytes", "bulk"), 262_144.0);
    assert_eq!(count(&scrape, "blackbox_buffer_entries_total", &[]), 8.0);
    let bytes = lane("blackbox_window_bytes", "bulk") + lane("blackbox_window_bytes", "decisive");
    assert_eq!(count(&scrape, "blackbox_buffer_size_bytes", &[]), bytes);
    let system = [("source", "system")];
    assert_eq!(
        count(&scrape, "blackbox_telemetry_entries_total", &system),
        5.0
    );
    for (state, value) in [
        ("ok", 0.0),
        ("degraded", 1.0),
        ("disabled", 0.0),
        ("failed", 0.0),
    ] {
        let labels = [("source", "kube"), ("state", state)];
        assert_eq!(
            count(&scrape, "blackbox_source_state", &labels),
            value,
            "{state}"
        );
    }
    let crash = [("type", "crash"), ("severity", "high")];
    assert_eq!(count(&scrape, "blackbox_incidents_total", &crash), 1.0);
    assert_eq!(
        count(&scrape, "blackbox_incident_repeats_total", &crash[..1]),
        1.0
    );
    let reports = &scrape.0["blackbox_report_duration_seconds"].samples;
    let made = reports
        .iter()
        .find(|((name, _), _)| name.ends_with("_count"));
    assert_eq!(made.map(|(_, made)| *made), Some(1.0));
    assert_eq!(
        count(&scrape, "destination_writes_total", &[("type", "file")]),
        2.0
    );
    let json = [("formatter", "json")];
    assert!(count(&scrape, "formatter_bytes_total", &json) > 1000.0);
    assert_eq!(
        count(
            &scrape,
            "blackbox_bpf_program_run_total",
            &[("program", "exit")]
        ),
        1.0
    );
    let age = count(&scrape, "blackbox_recorder_status_age_seconds", &[]);
    assert!((0.0..5.0).contains(&age), "{age}");
    let node = scrape.values_of("blackbox_node_info", "node");
    assert!(
        node.contains("node \"1\"\\\n"),
        "escaped and read again: {node:?}"
    );
}

#[tokio::test]
async fn what_this_process_costs_is_what_the_kernel_says() {
    let stage = Stage::start("/metrics").await;
    let scrape = stage.scrape().await;
    let value = |name| count(&scrape, name, &[]);
    let resident = value("process_resident_memory_bytes");
    assert!(resident > 1e6 && resident > value("blackbox_process_anonymous_memory_bytes"));
    assert_eq!(resident, value("blackbox_process_resident_memory_bytes"));
    assert!(value("process_open_fds") > 3.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    let wall = clock::WallOffset::now().wall(clock::boot_now()).as_second() as f64;
    let age = wall - value("process_start_time_seconds");
    assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
}

#[tokio::test]
async fn a_lost_record_shows_and_no_count_goes_back() {
    let stage = Stage::start("/metrics").await;
    let before = stage.scrape().await;
    let name = "blackbox_records_lost_total";
    let lost = [("class", "exit"), ("cause", "feed_full")];
    assert_eq!(count(&before, name, &lost), 0.0, "there from the start");
    stage.feed.lose(Class::Exit, LossCause::FeedFull, 3);
    let rows = vec![TallyRow {
        class: Class::Exit,
        attempted: 50,
        throttled: 0,
        ring_full: 7,
    }];
    stage.offer(Event::KernelTally(KernelTally { rows }));
    let after = stage
        .until(|scrape| scrape.value(name, &lost) == Some(3.0))
        .await;
    let ring_full = [("class", "exit"), ("cause", "ring_full")];
    let after = match after.value(name, &ring_full) {
        Some(_) => after,
        None => {
            stage
                .until(|scrape| scrape.value(name, &ring_full).is_some())
                .await
        }
    };
    assert_eq!(count(&after, name, &ring_full), 7.0);
    let attempted = "blackbox_records_attempted_total";
    assert_eq!(count(&after, attempted, &[("class", "exit")]), 50.0);
    for (family, kept) in &before.0 {
        let later = &after.0[family];
        for (sample, value) in kept.samples.iter().filter(|_| kept.kind != "gauge") {
            assert!(later.samples[sample] >= *value, "{sample:?} went back");
        }
    }
}

#[tokio::test]
async fn nobody_can_make_many_series() {
    let stage = Stage::start("/metrics").await;
    for number in 0..50 {
        stage
            .request("GET", &format!("/api/v1/incidents/{number}"))
            .await;
        stage.request("GET", &format!("/{number}")).await;
        stage
            .request(&format!("VERB{number}"), "/api/v1/health")
            .await;
        let runtime = format!("runtime-{number}");
        stage.metrics.telemetry([(runtime.as_str(), 1)]);
        let kind = blackbox_daemon::report::IncidentKind::Reported(format!("kind {number}"));
        stage.metrics.incident(&blackbox_daemon::report::Summary {
            id: String::new(),
            timestamp: jiff::Timestamp::UNIX_EPOCH,
            severity: blackbox_daemon::record::Severity::Low,
            kind,
            message: String::new(),
            pod_name: None,
            namespace: None,
            container_id: None,
            repeats: 0,
            grade: blackbox_daemon::verdict::Grade::Unknown,
            cause: blackbox_daemon::verdict::Cause::Unknown,
            headline: String::new(),
        });
    }
    let scrape = stage.scrape().await;
    let is = |family: &str, label: &str, wanted: &[&str]| {
        let values = scrape.values_of(family, label);
        assert!(values.iter().eq(wanted), "{family}: {values:?}");
    };
    let templates = ["/api/v1/health", "/api/v1/incidents/{id}", "other"];
    for family in ["blackbox_api_requests_total", "http_requests_total"] {
        is(family, "endpoint", &templates);
        is(family, "method", &["GET", "other"]);
    }
    is("telemetry_entries_received_total", "runtime", &["other"]);
    assert_eq!(scrape.0["blackbox_incidents_total"].samples.len(), 8 * 4);
    let low = [("type", "other"), ("severity", "low")];
    assert_eq!(count(&scrape, "blackbox_incidents_total", &low), 50.0);
}

#[tokio::test]
async fn the_port_serves_the_metrics_and_a_page_that_leads_there() {
    let stage = Stage::start("/the/{metrics}").await;
    let page = stage.get("/the/{metrics}").await;
    assert_eq!(page.status, 200);
    assert!(
        page.head.contains(&format!("content-type: {CONTENT_TYPE}")),
        "{}",
        page.head
    );
    Scrape::parse(&page.body);
    let head = ask(stage.address, "HEAD", "/the/{metrics}").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("version=0.0.4"));
    let index = stage.get("/").await;
    assert_eq!(index.status, 200);
    assert!(index.head.contains("text/html"), "{}", index.head);
    assert!(
        index.body.contains("href=\"/the/{metrics}\""),
        "{}",
        index.body
    );
    assert_eq!(stage.get("/metrics").await.status, 404);
    assert_eq!(ask(stage.address, "POST", "/").await.status, 405);
    let at_the_root = Stage::start("/").await;
    assert!(at_the_root.get("/").await.head.contains(CONTENT_TYPE));
}

/// 2 ms is the promise for a release build; a test build on a busy machine gets more.
#[tokio::test]
async fn a_scrape_is_cheap() {
    let stage = Stage::start("/metrics").await;
    stage.api_traffic().await;
    let one = || {
        let start = clock::boot_now();
        stage.metrics.text().expect("a page");
        clock::boot_now().since(start)
    };
    let best = (0..20).map(|_| one()).min().expect("a time");
    println!("a scrape takes {best:?}");
    assert!(best < Duration::from_millis(10), "{best:?}");
}
