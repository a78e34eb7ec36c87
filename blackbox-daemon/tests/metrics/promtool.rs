//! What is deployed, checked by promtool: alerts, their tests, the scrape configuration, and a real scrape.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use xtask::prometheus::{self, Prometheus};

use crate::samples::samples;
use crate::stage::Stage;

/// v1 made gauges of cumulative counters and of sizes, and gave them names of counters; its scrapers know them so.
const V1_GAUGES: [&str; 5] = [
    "blackbox_buffer_entries_total",
    "blackbox_disk_io_bytes_total",
    "blackbox_network_bytes_total",
    "blackbox_open_files_total",
    "blackbox_processes_total",
];

pub(crate) fn deployments() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deployments/prometheus")
}

pub(crate) fn tools() -> Prometheus {
    prometheus::find().unwrap_or_else(|error| panic!("{error:#}"))
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(tools().promtool)
        .args(arguments)
        .current_dir(deployments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn passes(arguments: &[&str]) {
    let output = promtool(arguments, "");
    assert!(output.status.success(), "{arguments:?}: {output:#?}");
}

#[test]
fn alerts_are_rules_and_each_fires_when_it_should() {
    passes(&["check", "rules", "alerts.yml"]);
    passes(&["test", "rules", "alerts_test.yml"]);
}

/// Every alert has a test of its own: with itself firing.
#[test]
fn no_alert_is_untested() {
    let read = |name: &str| std::fs::read_to_string(deployments().join(name)).expect("a file");
    let (alerts, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let named = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in named {
        let firing = format!("expr: ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        assert!(tests.contains(&firing), "{alert} has no test");
    }
}

/// Debian's build knows no Kubernetes: that part stands in as a list of targets.
pub(crate) fn scrape_config(pods: &str) -> String {
    const KUBERNETES: &str = "kubernetes_sd_configs:\n      - role: pod\n";
    let text = std::fs::read_to_string(deployments().join("scrape.yml")).expect("a file");
    assert!(text.contains(KUBERNETES), "{text}");
    let rules = deployments().join("alerts.yml");
    text.replace(KUBERNETES, &format!("static_configs:\n      - {pods}\n"))
        .replace("- alerts.yml", &format!("- {}", rules.display()))
}

#[test]
fn the_scrape_configuration_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scrape.yml");
    std::fs::write(&path, scrape_config("targets: [127.0.0.1:1]")).expect("a file");
    passes(&["check", "config", path.to_str().expect("a name")]);
}

#[tokio::test]
async fn a_scrape_is_clean_but_for_what_v1_named() {
    let stage = Stage::start("/metrics").await;
    samples().into_iter().for_each(|event| stage.offer(event));
    stage.api_traffic().await;
    stage.deaths(1);
    stage
        .until(|scrape| {
            let loaded = scrape.0.contains_key("blackbox_load_average");
            loaded && scrape.0.contains_key("formatter_bytes_total")
        })
        .await;
    let page = stage.get("/metrics").await.body;
    let output = promtool(&["check", "metrics"], &page);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut complaints: Vec<&str> = said.lines().collect();
    complaints.sort_unstable();
    let known = V1_GAUGES
        .map(|name| format!("{name} non-counter metrics should not have \"_total\" suffix"));
    assert_eq!(complaints, known, "{output:?}");
}
