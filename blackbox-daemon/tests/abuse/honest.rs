//! Clients that do as they should, and measure how they are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use blackbox_daemon::clock;
use reqwest::Client;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::running::KEY;

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(15);
/// Those that connect anew for each request; as many again keep their connection.
const CLIENTS: u32 = 2;

/// How requests were answered.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Of those that were answered as they should be.
    times: Vec<Duration>,
    /// What went wrong.
    pub(crate) refused: Vec<String>,
}

impl Served {
    /// The time below which `percent` of the answers came.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times[(self.times.len() * percent / 100).min(last)]
    }

    pub(crate) fn answers(&self) -> usize {
        self.times.len()
    }
}

/// Telemetry and health, by clients with new and with kept connections, until `over`.
pub(crate) async fn ask(port: u16, over: CancellationToken) -> Served {
    let number = Arc::new(AtomicU32::new(0));
    let clients: Vec<_> = (0..2 * CLIENTS)
        .map(|client| {
            let (number, over) = (Arc::clone(&number), over.clone());
            tokio::spawn(one(port, client < CLIENTS, number, over))
        })
        .collect();
    let mut all = Served::default();
    for client in clients {
        let served = client.await.unwrap();
        all.times.extend(served.times);
        all.refused.extend(served.refused);
    }
    all.times.sort();
    all
}

async fn one(port: u16, anew: bool, number: Arc<AtomicU32>, over: CancellationToken) -> Served {
    let keeping = |most| Client::builder().pool_max_idle_per_host(most).build();
    let client = keeping(if anew { 0 } else { 1 }).unwrap();
    let base = format!("http://127.0.0.1:{port}/api/v1");
    let mut served = Served::default();
    while !over.is_cancelled() {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let request = if number.is_multiple_of(2) {
            client.get(format!("{base}/health"))
        } else {
            let pod = format!("honest-{}", number % 16);
            let body = json!({"pod_name": pod, "namespace": "shop", "data": {"heap_mb": number}});
            client
                .post(format!("{base}/telemetry"))
                .bearer_auth(KEY)
                .body(body.to_string())
        };
        let begun = clock::boot_now();
        let answered = async { request.send().await?.error_for_status()?.bytes().await };
        match answered.await {
            Ok(_) => served.times.push(clock::boot_now().since(begun)),
            Err(error) => served.refused.push(format!("{error:?}")),
        }
        sleep(PAUSE).await;
    }
    served
}
