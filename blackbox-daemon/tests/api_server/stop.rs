//! What the stop waits for, and how long.

use std::sync::Arc;
use std::time::Duration;

use blackbox_daemon::api::server::Limits;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::{DRIP, Server, rest};

#[tokio::test]
async fn the_stop_finishes_requests_and_waits_for_nobody_else() {
    let server = Server::start(Limits::default()).await;
    let (mut silent, mut slow, mut idle) = (
        server.connect().await,
        server.connect().await,
        server.connect().await,
    );
    silent.write_all(DRIP).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_millis(100)).await;
    let took = server.stop().await;
    assert!(took < Duration::from_millis(600), "{took:?}");
    assert!(rest(&mut slow).await.ends_with("done"));
    assert!(rest(&mut idle).await.ends_with("fine"));
    assert_eq!(rest(&mut silent).await, "");
}

#[tokio::test]
async fn the_stop_cuts_streams_after_its_grace() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_millis(50)).await;
    let (address, counts) = (server.address, Arc::clone(&server.counts));
    let took = server.stop().await;
    assert!(took < Duration::from_millis(1_300), "{took:?}");
    assert!(rest(&mut stream).await.contains("tick"));
    assert_eq!(counts.open(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}
