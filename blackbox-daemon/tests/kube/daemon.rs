//! The built daemon with a kubeconfig: it names pods, says how the API server fares, and starts without one.

use std::time::Duration;

use tempfile::TempDir;

use crate::running::Running;
use crate::server::Server;
use crate::stage::{kubeconfig, restarted, running};

const LIMIT: Duration = Duration::from_secs(30);

/// Waits until the metrics have all of these lines.
async fn until_metrics(daemon: &Running, lines: &[&str]) {
    until_metrics_within(daemon, lines, LIMIT).await;
}

/// The same, within this time.
pub(crate) async fn until_metrics_within(daemon: &Running, lines: &[&str], limit: Duration) {
    let waiting = async {
        loop {
            let metrics = daemon.metrics().await;
            if lines
                .iter()
                .all(|line| metrics.lines().any(|it| it == *line))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(limit, waiting).await.is_err() {
        panic!("{lines:?} not in:\n{}", daemon.metrics().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_starts_without_an_api_server_and_finds_it_later() {
    let (mut server, directory) = (Server::down(), TempDir::new().unwrap());
    let config = kubeconfig(directory.path(), server.port, "right");
    let state = directory.path().join("state");
    let env = [
        ("BLACKBOX_KUBERNETES", "on"),
        ("KUBECONFIG", config.to_str().unwrap()),
        ("NODE_NAME", "n"),
        ("BLACKBOX_K8S_RETRY_INTERVAL", "200ms"),
        ("BLACKBOX_STATE_DIR", state.to_str().unwrap()),
    ];
    let daemon = Running::start(&env).await;
    let down = ["blackbox_source_state{source=\"kube\",state=\"failed\"} 1"];
    until_metrics(&daemon, &down).await;
    daemon
        .until("/api/v1/health", |answer| answer.status == 200)
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let log = daemon.daemon.log().unwrap();
    let errors = log.lines().filter(|line| line.contains(" ERROR "));
    assert_eq!(
        errors.count(),
        1,
        "said once, however often it is tried: {log}"
    );
    server.apply(running("a"));
    server.rise();
    let up = [
        "blackbox_source_state{source=\"kube\",state=\"ok\"} 1",
        "k8s_pods_watched_total 1",
    ];
    until_metrics(&daemon, &up).await;
    server.apply(restarted("a", 1));
    let ended = daemon
        .until("/api/v1/window?kind=container_ended", |answer| {
            answer.text.contains("OOMKilled")
        })
        .await;
    assert!(ended.text.contains("web-a"), "{ended:?}");
    until_metrics(&daemon, &["blackbox_k8s_container_ends_total 1"]).await;
    // Remembered at once: a daemon that is killed must not tell it again.
    let file = state.join("kube-seen.json");
    let remembered = async {
        loop {
            let seen = std::fs::read_to_string(&file).unwrap_or_default();
            if seen.contains("blackbox.seen/1") && seen.contains('@') {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, remembered).await.unwrap();
    drop(daemon);
    let again = Running::start(&env).await;
    until_metrics(&again, &up).await;
    until_metrics(&again, &["blackbox_k8s_container_ends_total 0"]).await;
}
