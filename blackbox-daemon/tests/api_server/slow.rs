//! A thousand clients that send one byte a second, at the address of honest ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use blackbox_daemon::api::server::{Limits, Refusal};
use blackbox_daemon::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::{DRIP, REQUEST, Server};

/// Sends a head one byte a second, for ever; connects anew whenever it is closed. Counts how often it was.
async fn drip(address: SocketAddr, closed: Arc<AtomicU64>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let mut bytes = DRIP.iter().chain(std::iter::repeat(&b'x'));
            let mut ended = [0];
            while stream
                .write_all(&[*bytes.next().expect("endless")])
                .await
                .is_ok()
            {
                tokio::select! {
                    _ = stream.read(&mut ended) => break,
                    () = sleep(Duration::from_secs(1)) => {}
                }
            }
        }
        closed.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_do_not_notice_a_thousand_slow_ones_at_their_address() {
    let server = Server::start(Limits::default()).await;
    // Theirs is another machine's processor, so here it is another runtime's thread.
    let (address, closed) = (server.address, Arc::new(AtomicU64::new(0)));
    let over = CancellationToken::new();
    let hostile = std::thread::spawn({
        let (closed, over) = (Arc::clone(&closed), over.clone());
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for _ in 0..1000 {
                    tokio::spawn(drip(address, Arc::clone(&closed)));
                }
                over.cancelled().await;
            });
        }
    });
    while server.counts.accepted_total() < 1000 {
        sleep(Duration::from_millis(10)).await;
    }
    let mut times = Vec::new();
    for _ in 0..600 {
        let begun = clock::boot_now();
        let answer = timeout(Duration::from_secs(10), server.ask(REQUEST)).await;
        times.push(clock::boot_now().since(begun));
        assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
        assert!(server.counts.open() <= 1024 + 256, "evicted ones end soon");
        sleep(Duration::from_millis(10)).await;
    }
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    println!(
        "p50 {:?} p99 {p99:?} max {:?}; {} closed, {} accepted, {} open",
        times[times.len() / 2],
        times[times.len() - 1],
        closed.load(Ordering::Relaxed),
        server.counts.accepted_total(),
        server.counts.open(),
    );
    assert!(p99 < Duration::from_millis(100), "{p99:?}");
    assert!(server.counts.refused_total(Refusal::MadeRoom) > 0);
    assert_eq!(server.counts.refused_total(Refusal::Peer), 0);
    over.cancel();
    hostile.join().unwrap();
    server.stop().await;
}
