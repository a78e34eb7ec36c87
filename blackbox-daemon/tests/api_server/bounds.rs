//! Each bound on one connection: time to send, time to read, size of head and body.

use std::time::Duration;

use blackbox_daemon::api::server::Limits;
use blackbox_daemon::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::{DRIP, Server, rest};

#[tokio::test]
async fn slow_heads_and_idle_connections_end_in_time() {
    let limits = Limits {
        head: Duration::from_millis(200),
        idle: Duration::from_millis(400),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let (mut silent, mut slow, mut idle) = (
        server.connect().await,
        server.connect().await,
        server.connect().await,
    );
    slow.write_all(DRIP).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let begun = clock::boot_now();
    assert_eq!(rest(&mut silent).await, "");
    assert_eq!(rest(&mut slow).await, "");
    assert!(clock::boot_now().since(begun) < Duration::from_millis(390));
    assert!(rest(&mut idle).await.ends_with("fine"));
    assert!(clock::boot_now().since(begun) >= Duration::from_millis(390));
    // A later head that drips has the same time.
    let mut later = server.connect().await;
    later
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    later.write_all(DRIP).await.unwrap();
    assert!(rest(&mut later).await.ends_with("fine"));
    assert_eq!(server.counts.timed_out_total(), 4);
    server.stop().await;
}

#[tokio::test]
async fn oversize_bodies_are_answered_and_not_taken() {
    let server = Server::start(Limits::default()).await;
    let hundred_megabytes: &[u8] =
        b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n";
    let chunked: &[u8] = b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for head in [hundred_megabytes, chunked] {
        let mut stream = server.connect().await;
        stream.write_all(head).await.unwrap();
        let block = format!("10000\r\n{}\r\n", "x".repeat(1 << 16));
        let mut sent = 0;
        let (mut reader, mut writer) = stream.split();
        let writing = async {
            while sent < 100 << 20 && writer.write_all(block.as_bytes()).await.is_ok() {
                sent += block.len();
            }
        };
        let mut answer = vec![0; 1 << 16];
        let reading = async {
            let size = reader.read(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[..size]).into_owned()
        };
        let (answer, ()) = tokio::join!(reading, writing);
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("BLACKBOX_API_MAX_BODY_SIZE"), "{answer}");
        assert!(sent < 16 << 20, "{sent} bytes were taken");
    }
    let late = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx";
    assert!(server.ask(late).await.starts_with("HTTP/1.1 408"));
    server.stop().await;
}

#[tokio::test]
async fn oversize_heads_are_refused() {
    let server = Server::start(Limits::default()).await;
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(65));
    assert!(
        server
            .ask(many.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    let large = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
        "b".repeat(80 << 10)
    );
    assert!(
        server
            .ask(large.as_bytes())
            .await
            .starts_with("HTTP/1.1 431")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let limits = Limits {
        answer: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..300 {
        if server.counts.timed_out_total() == 1 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.counts.timed_out_total(), 1);
    assert_eq!(server.counts.open(), 0);
    server.stop().await;
}
