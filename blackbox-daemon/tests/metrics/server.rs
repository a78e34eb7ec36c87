//! A real Prometheus scrapes a daemon that is busy; every query of the dashboard has an answer, and no alert is broken.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use blackbox_daemon::record::{Class, Event, Health, KernelTally, LossCause, SourceName, TallyRow};
use blackbox_daemon::sources::cgroup::{CgroupSampler, Hierarchies};
use blackbox_daemon::sources::procfs::ProcfsSampler;
use blackbox_daemon::sources::{announce, sample_each};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::dashboard::panels;
use crate::promtool::{scrape_config, tools};
use crate::stage::{Stage, ask};
use crate::support::daemon::PATIENCE;
use crate::support::{DEMO, failed_call, process};

const TICK: Duration = Duration::from_millis(100);

/// A Prometheus that ends with the test.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody reads its data: it need not end well.
        if self.child.kill().is_ok() {
            let _status = self.child.wait();
        }
    }
}

impl Server {
    fn start(folder: &Path, config: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let path = folder.join("prometheus.yml");
        std::fs::write(&path, config).expect("a file");
        let child = Command::new(tools().server)
            .arg(format!("--config.file={}", path.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).expect("a file"))
            .spawn()
            .expect("prometheus starts");
        Self { child, address }
    }

    /// The result of a query: `None` while it does not answer.
    async fn query(&self, query: &str) -> Option<Value> {
        let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("/api/v1/query?query={query}")).await?;
        assert_eq!(answer["status"], "success", "{answer}");
        Some(answer["data"]["result"].clone())
    }

    async fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&ask(self.address, "GET", path).await.body).ok()
    }
}

/// Real samples of this node, and now and then everything else that can happen.
async fn keep_busy(stage: Arc<Stage>) {
    let never = CancellationToken::new();
    let procfs = stage.metrics.timed(ProcfsSampler::new("/proc".into()));
    let sampling = sample_each(procfs, TICK, stage.feed.clone(), never.clone());
    tokio::spawn(sampling);
    if let Ok(found) = Hierarchies::discover(Path::new("/proc")) {
        let cgroups = stage
            .metrics
            .timed(CgroupSampler::new(found, "/proc".into()));
        tokio::spawn(sample_each(cgroups, TICK, stage.feed.clone(), never));
    }
    let now = blackbox_daemon::clock::boot_now();
    let why = Health::Disabled("a test".to_owned());
    announce(SourceName::Kube, now, why, &stage.feed);
    for round in 1_u32.. {
        stage.api_traffic().await;
        stage.deaths(round);
        stage.feed.lose(Class::FailedCall, LossCause::FeedFull, 1);
        stage.program_ran(u64::from(round));
        let mut call = failed_call(process(9, "flood", DEMO), 0, 2);
        call.at = blackbox_daemon::clock::boot_now();
        let flood = vec![call; 500];
        stage
            .feed
            .offer(blackbox_daemon::record::LaneName::Bulk, flood);
        let row = TallyRow {
            class: Class::Exit,
            attempted: u64::from(round) * 2,
            throttled: 0,
            ring_full: 0,
        };
        stage.offer(Event::KernelTally(KernelTally { rows: vec![row] }));
        tokio::time::sleep(TICK).await;
    }
}

/// Scraped as a pod, by its annotations.
fn config(stage: &Stage) -> String {
    let address = stage.address;
    let pods = format!(
        "targets: [\"{}:1\"]\n        labels:\n          \
         __meta_kubernetes_pod_annotation_prometheus_io_scrape: \"true\"\n          \
         __meta_kubernetes_pod_annotation_prometheus_io_port: \"{}\"\n          \
         __meta_kubernetes_pod_annotation_prometheus_io_path: /metrics\n          \
         __meta_kubernetes_pod_name: blackbox-daemon-x7f2p\n          \
         __meta_kubernetes_pod_node_name: node-1",
        address.ip(),
        address.port()
    );
    scrape_config(&pods)
        .replace(
            "rule_files:",
            "global: {evaluation_interval: 1s}\nrule_files:",
        )
        .replace(
            "scrape_interval: 15s",
            "scrape_interval: 500ms\n    scrape_timeout: 400ms",
        )
        .replace("127.0.0.1:9090", "127.0.0.1:1")
}

/// What a query is on a machine that lacks the device.
fn may_be_empty(query: &str, page: &str) -> bool {
    [
        "blackbox_network_bytes_total",
        "blackbox_disk_io_bytes_total",
    ]
    .iter()
    .any(|name| query.contains(name) && !page.contains(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_answers_every_query_of_the_dashboard() {
    let stage = Arc::new(Stage::start("/metrics").await);
    tokio::spawn(keep_busy(Arc::clone(&stage)));
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &config(&stage));
    let queries: Vec<(String, String)> = panels()
        .into_iter()
        .flat_map(|(title, queries)| queries.into_iter().map(move |query| (title.clone(), query)))
        .map(|(title, query)| {
            let query = query
                .replace("$node", "node-1")
                .replace("$__rate_interval", "10s")
                .replace("$__range", "1m");
            (title, query)
        })
        .collect();
    let mut empty = Vec::new();
    let poll = async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            empty.clear();
            let page = stage.get("/metrics").await.body;
            for (title, query) in &queries {
                let result = server.query(query).await.unwrap_or_default();
                let some = result.as_array().is_some_and(|result| !result.is_empty());
                if !some && !may_be_empty(query, &page) {
                    empty.push(format!("{title}: {query}"));
                }
            }
            if empty.is_empty() {
                return;
            }
        }
    };
    let answered = tokio::time::timeout(PATIENCE, poll).await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    assert!(answered.is_ok(), "no data for {empty:#?}\n{log}");
    rules_work(&server).await;
}

/// Each alert is evaluated without an error; only the daemon that is not there is down.
async fn rules_work(server: &Server) {
    let poll = async {
        loop {
            let rules = rules(server).await;
            assert!(rules.len() >= 9, "{rules:#?}");
            let broken = rules.iter().find(|rule| rule["health"] == "err");
            assert_eq!(broken, None);
            if rules.iter().all(|rule| rule["health"] == "ok") {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    };
    let evaluated = tokio::time::timeout(PATIENCE, poll).await;
    evaluated.expect("every rule is evaluated in time");
    for (query, targets) in [
        (
            "up{job=\"blackbox-daemon-pods\",instance=\"node-1\"} == 1",
            1,
        ),
        ("up{job=\"blackbox-daemon\"} == 0", 1),
        ("up", 2),
    ] {
        let up = server.query(query).await.expect("an answer");
        assert_eq!(up.as_array().map(Vec::len), Some(targets), "{query}: {up}");
    }
}

async fn rules(server: &Server) -> Vec<Value> {
    let answer = server.get("/api/v1/rules").await.expect("rules");
    let groups = answer["data"]["groups"].as_array().expect("groups");
    let rules = groups.iter().filter_map(|group| group["rules"].as_array());
    rules.flatten().cloned().collect()
}
