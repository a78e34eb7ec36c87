//! The built daemon's memory while it lists ten thousand pods again and again.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ALONE;
use crate::daemon::until_metrics_within;
use crate::process::Process;
use crate::running::Running;
use crate::server::Server;
use crate::stage::{kubeconfig, running};

/// Pods of the node: ninety times as many as a kubelet runs by default.
const PODS: usize = 10_000;
/// Lists, and after how many the memory must not grow any more.
const LISTS: usize = 20;
const SETTLED: usize = 5;
/// What it may grow in the ten lists after those, KiB. Medians of five come and go by 10 MiB, in ninety lists as in twenty; this
/// is as much as 160 bytes of each pod that stay behind each time, and a pod that is kept takes several times that.
const GROWTH: u64 = 16 << 10;

const LIMIT: Duration = Duration::from_secs(60);

/// A pod as large as real ones are: most of it is what is dropped.
fn pod(number: usize) -> Value {
    let mut pod = running(&format!("{number:05}"));
    pod["metadata"]["resourceVersion"] = json!("1");
    let fields = json!({"f:metadata": {"f:labels": {"f:app": {}}}, "of": "m".repeat(1000)});
    pod["metadata"]["managedFields"] = json!([{"manager": "kubelet", "fieldsV1": fields}]);
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_ten_thousand_pods_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.populate((0..PODS).map(pod));
    let config = kubeconfig(directory.path(), server.port, "right");
    let daemon = Running::start(&[
        ("BLACKBOX_KUBERNETES", "on"),
        ("KUBECONFIG", config.to_str().unwrap()),
        ("NODE_NAME", "n"),
        // Its window must not grow meanwhile.
        ("BLACKBOX_COLLECTION_INTERVAL", "1h"),
    ])
    .await;
    let process = Process::of(daemon.daemon.pid());
    let mut resident = Vec::new();
    for lists in 1..=LISTS {
        let watching = server.asked("watch pods");
        let pages = lists * PODS / 500;
        let waiting = async {
            while server.asked("list pods") < pages || server.asked("watch pods") == watching {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.unwrap();
        until_metrics_within(&daemon, &["k8s_pods_watched_total 10000"], LIMIT).await;
        // A watch that ends sooner than after a second is taken for a failure, and followed by growing pauses.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        resident.push(process.kib("VmRSS"));
        server.forget(lists % 2 == 0);
        server.cut();
    }
    let peak = process.kib("VmHWM");
    println!("KiB after each list: {resident:?}; {peak} at most");
    // Single readings differ by some MiB: which thread freed what, and when.
    let settled = median(&resident[SETTLED..SETTLED + 5]);
    let last = median(&resident[LISTS - 5..]);
    assert!(last <= settled + GROWTH, "{resident:?}");
    // What it needs for a moment is no growth, and no surprise either: the list that is read while the one before is kept.
    assert!(
        peak <= settled + settled / 2,
        "{peak} at most: {resident:?}"
    );
}

fn median(readings: &[u64]) -> u64 {
    let mut readings = readings.to_vec();
    readings.sort_unstable();
    readings[readings.len() / 2]
}
