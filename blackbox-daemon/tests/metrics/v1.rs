//! The names scrapers know: v1's with their types and labels, and those its documentation promised.

use crate::exposition::Scrape;
use crate::samples::samples;
use crate::stage::Stage;

type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    f64,
);

const IN: &[(&str, &str)] = &[("interface", "eth0"), ("direction", "rx")];
const OUT: &[(&str, &str)] = &[("interface", "eth0"), ("direction", "tx")];
const READ: &[(&str, &str)] = &[("device", "vda"), ("direction", "read")];
const WRITE: &[(&str, &str)] = &[("device", "vda"), ("direction", "write")];

/// Name, type, labels, and the value that `samples` gives it.
const NODE: &[Row] = &[
    (
        "blackbox_cpu_usage_percent",
        "gauge",
        &[("core", "0")],
        25.0,
    ),
    (
        "blackbox_cpu_usage_percent",
        "gauge",
        &[("core", "1")],
        75.0,
    ),
    (
        "blackbox_cpu_usage_percent",
        "gauge",
        &[("core", "total")],
        50.0,
    ),
    (
        "blackbox_memory_bytes",
        "gauge",
        &[("type", "total")],
        1000.0,
    ),
    ("blackbox_memory_bytes", "gauge", &[("type", "free")], 100.0),
    (
        "blackbox_memory_bytes",
        "gauge",
        &[("type", "available")],
        400.0,
    ),
    (
        "blackbox_memory_bytes",
        "gauge",
        &[("type", "buffers")],
        50.0,
    ),
    (
        "blackbox_memory_bytes",
        "gauge",
        &[("type", "cached")],
        200.0,
    ),
    (
        "blackbox_memory_bytes",
        "gauge",
        &[("type", "swap_total")],
        300.0,
    ),
    (
        "blackbox_memory_bytes",
        "gauge",
        &[("type", "swap_free")],
        299.0,
    ),
    ("blackbox_network_bytes_total", "gauge", IN, 1.0),
    ("blackbox_network_bytes_total", "gauge", OUT, 4.0),
    ("blackbox_disk_io_bytes_total", "gauge", READ, 8.0),
    ("blackbox_disk_io_bytes_total", "gauge", WRITE, 10.0),
    ("blackbox_processes_total", "gauge", &[], 321.0),
    ("blackbox_open_files_total", "gauge", &[], 4321.0),
    ("blackbox_load_average", "gauge", &[("period", "1min")], 0.5),
    ("blackbox_load_average", "gauge", &[("period", "5min")], 1.5),
    (
        "blackbox_load_average",
        "gauge",
        &[("period", "15min")],
        2.5,
    ),
    // Promised.
    ("blackbox_memory_usage_bytes", "gauge", &[], 600.0),
    ("blackbox_memory_utilization_percent", "gauge", &[], 60.0),
    (
        "blackbox_cpu_load_average",
        "gauge",
        &[("period", "5min")],
        1.5,
    ),
    ("blackbox_network_packets_total", "counter", IN, 2.0),
    ("blackbox_network_packets_total", "counter", OUT, 5.0),
    ("blackbox_network_errors_total", "counter", IN, 3.0),
    ("blackbox_network_errors_total", "counter", OUT, 6.0),
    ("blackbox_disk_operations_total", "counter", READ, 7.0),
    ("blackbox_disk_operations_total", "counter", WRITE, 9.0),
    ("blackbox_disk_bytes_total", "counter", READ, 8.0),
    ("blackbox_disk_bytes_total", "counter", WRITE, 10.0),
];

/// Those whose values other tests look at: name, type, labels.
const OTHERS: &[(&str, &str, &[&str])] = &[
    ("blackbox_buffer_size_bytes", "gauge", &[]),
    ("blackbox_buffer_entries_total", "gauge", &[]),
    ("blackbox_sidecar_requests_total", "counter", &[]),
    ("blackbox_incidents_total", "counter", &["type", "severity"]),
    // Promised.
    ("blackbox_buffer_utilization_percent", "gauge", &[]),
    ("blackbox_buffer_memory_bytes", "gauge", &[]),
    (
        "blackbox_buffer_operations_total",
        "counter",
        &["operation"],
    ),
    (
        "blackbox_api_requests_total",
        "counter",
        &["endpoint", "method", "status"],
    ),
    (
        "blackbox_api_request_duration_seconds",
        "histogram",
        &["endpoint", "method"],
    ),
    ("blackbox_api_active_connections", "gauge", &[]),
    ("blackbox_telemetry_entries_total", "counter", &["source"]),
    (
        "blackbox_telemetry_collection_duration_seconds",
        "histogram",
        &["source"],
    ),
    ("blackbox_telemetry_errors_total", "counter", &["source"]),
    (
        "http_requests_total",
        "counter",
        &["endpoint", "method", "status"],
    ),
    (
        "http_request_duration_seconds",
        "histogram",
        &["endpoint", "method"],
    ),
    (
        "http_errors_total",
        "counter",
        &["endpoint", "method", "status"],
    ),
    ("telemetry_entries_received_total", "counter", &["runtime"]),
    ("incidents_reported_total", "counter", &["severity"]),
    ("formatter_duration_seconds", "histogram", &["formatter"]),
    ("formatter_errors_total", "counter", &["formatter"]),
    ("formatter_bytes_total", "counter", &["formatter"]),
    ("destination_writes_total", "counter", &["type"]),
    ("destination_errors_total", "counter", &["type"]),
    ("destination_duration_seconds", "summary", &["type"]),
];

#[tokio::test]
async fn every_name_a_scraper_knows_is_there_with_its_type_labels_and_value() {
    let stage = Stage::start("/metrics").await;
    samples().into_iter().for_each(|event| stage.offer(event));
    stage.api_traffic().await;
    stage.deaths(1);
    let source = blackbox_daemon::record::SourceName::Procfs;
    stage
        .metrics
        .sampled(source, std::time::Duration::from_millis(1), false);
    let scrape = stage
        .until(|scrape| {
            let loaded = scrape.0.contains_key("blackbox_load_average");
            loaded && scrape.0.contains_key("formatter_bytes_total")
        })
        .await;
    for (name, kind, labels, value) in NODE {
        assert_eq!(scrape.0[*name].kind, *kind, "{name}");
        assert_eq!(
            scrape.value(name, labels),
            Some(*value),
            "{name} {labels:?}"
        );
        let names: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
        has_labels(&scrape, name, &names);
    }
    for (name, kind, labels) in OTHERS {
        let family = scrape.0.get(*name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(family.kind, *kind, "{name}");
        has_labels(&scrape, name, labels);
    }
}

fn has_labels(scrape: &Scrape, name: &str, labels: &[&str]) {
    let mut wanted = labels.to_vec();
    wanted.sort_unstable();
    for (_, all) in scrape.0[name].samples.keys() {
        let names: Vec<&str> = all
            .keys()
            .map(String::as_str)
            .filter(|key| *key != "le")
            .collect();
        assert_eq!(names, wanted, "{name}");
    }
}

/// Before the first samples, nothing is said of the node.
#[tokio::test]
async fn what_is_not_known_is_absent() {
    let stage = Stage::start("/metrics").await;
    let scrape = stage.scrape().await;
    for (name, ..) in NODE {
        assert!(!scrape.0.contains_key(*name), "{name}");
    }
    for name in [
        "blackbox_window_span_seconds",
        "blackbox_api_active_connections",
        "blackbox_telemetry_errors_total",
        "formatter_bytes_total",
    ] {
        assert!(!scrape.0.contains_key(name), "{name}");
    }
    assert_eq!(
        scrape.value("blackbox_sidecar_requests_total", &[]),
        Some(0.0)
    );
}
