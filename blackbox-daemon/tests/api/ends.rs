//! How the API begins and ends: a port that is taken, and a stop while clients are at it.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use blackbox_daemon::clock;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::running::{KEY, Running};

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_had_when_it_is_free() {
    let taken = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let directory = TempDir::new().unwrap();
    let env = [("BLACKBOX_API_PORT", port.to_string())];
    let env = env.each_ref().map(|(key, value)| (*key, value.as_str()));
    let mut running = Running::launch(directory, &env, &[]);
    running.port = port;
    let failed = r#"blackbox_source_state{source="sidecar",state="failed"} 1"#;
    let telling = async {
        while !running.metrics().await.contains(failed) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(5), telling).await.unwrap();
    let log = running.daemon.log().unwrap();
    assert!(
        log.contains(&format!("port {port}: Address already in use")),
        "{log}"
    );
    let recorded = |metrics: &str| {
        let name = r#"blackbox_telemetry_entries_total{source="system"}"#;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse::<f64>().unwrap()
    };
    let first = recorded(&running.metrics().await);
    sleep(Duration::from_millis(2500)).await;
    assert!(recorded(&running.metrics().await) > first, "records on");

    drop(taken);
    let freed = clock::boot_now();
    running.wait_listening(port).await;
    let took = clock::boot_now().since(freed);
    assert!(took < Duration::from_secs(6), "{took:?}");
    let health = running.get("/api/v1/health").await;
    assert_eq!(health.status, 200, "{health:?}");
    let body = json!({"pod_name": "a", "namespace": "b", "data": {"x": 1}});
    assert_eq!(running.post("/api/v1/telemetry", &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_no_client_longer_than_promised() {
    let mut running = Running::start(&[]).await;
    let connect = async || {
        TcpStream::connect(("127.0.0.1", running.port))
            .await
            .unwrap()
    };
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n")
    };
    let mut first = [0; 12];
    let (mut streaming, mut slow) = (connect().await, connect().await);
    streaming
        .write_all(get("/api/v1/stream").as_bytes())
        .await
        .unwrap();
    streaming.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut idle = Vec::new();
    for _ in 0..8 {
        let mut stream = connect().await;
        stream
            .write_all(get("/api/v1/health").as_bytes())
            .await
            .unwrap();
        stream.read_exact(&mut first).await.unwrap();
        idle.push(stream);
    }
    let head = get("/api/v1/telemetry").replace("GET", "POST");
    let head = head.replace("\r\n\r\n", "\r\nContent-Length: 1000\r\n\r\n");
    slow.write_all(head.as_bytes()).await.unwrap();
    let slowly = tokio::spawn(async move {
        while slow.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    sleep(Duration::from_millis(300)).await;
    let begun = clock::boot_now();
    let status = tokio::task::block_in_place(|| running.daemon.stop()).unwrap();
    let took = clock::boot_now().since(begun);
    assert_eq!(status.code(), Some(0), "{}", running.daemon.log().unwrap());
    assert!(took < Duration::from_secs(5), "{took:?}");
    println!("ended after {took:?}");
    timeout(Duration::from_secs(5), slowly)
        .await
        .unwrap()
        .unwrap();
    drop((streaming, idle));
}
