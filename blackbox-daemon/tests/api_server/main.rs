//! The server under clients that behave badly: honest ones beside them notice nothing, and it ends when told.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::routing::{get, post};
use blackbox_daemon::api::ApiError;
use blackbox_daemon::api::answer::answering;
use blackbox_daemon::api::body::{Bodies, BodyLimits, read_bytes};
use blackbox_daemon::api::server::{Connections, Limits, Listener};
use blackbox_daemon::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

mod bounds;
mod slow;
mod stop;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/// A head that never ends.
const DRIP: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ";

struct Server {
    address: SocketAddr,
    counts: Arc<Connections>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = Listener::bind(HERE, 0).await.expect("a port");
        let (address, counts) = (
            listener.local_addr().expect("an address"),
            listener.connections(),
        );
        let stop = CancellationToken::new();
        let task = tokio::spawn(listener.serve(router(), limits, None, stop.clone()));
        Self {
            address,
            counts,
            stop,
            task,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address)
            .await
            .expect("a connection")
    }

    /// One request on a connection of its own; the whole answer.
    async fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.expect("a client");
        rest(&mut stream).await
    }

    /// Stops it; how long that took.
    async fn stop(self) -> Duration {
        let begun = clock::boot_now();
        self.stop.cancel();
        self.task.await.expect("no panic");
        clock::boot_now().since(begun)
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    read.await.expect("in time").expect("an end");
    String::from_utf8(answer).expect("text")
}

async fn upload(request: Request) -> Result<String, ApiError> {
    let bodies = Bodies::within(BodyLimits {
        time: Duration::from_secs(2),
        ..BodyLimits::default()
    });
    let read = read_bytes(request, &bodies).await?;
    Ok(read.len().to_string())
}

fn router() -> Router {
    let ticks = || async {
        let ticks = tokio_stream::iter(0..100_000).throttle(Duration::from_millis(10));
        Body::from_stream(ticks.map(|_| Ok::<_, Infallible>(Bytes::from_static(b"tick\n"))))
    };
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    let large = || async { vec![b'x'; 64 << 20] };
    let slow = || async {
        sleep(Duration::from_millis(300)).await;
        "done"
    };
    let router = Router::new()
        .route("/", get(|| async { "fine" }))
        .route("/peer", get(peer))
        .route("/ticks", get(ticks))
        .route("/large", get(large))
        .route("/slow", get(slow))
        .route("/upload", post(upload));
    answering(router)
}

#[tokio::test]
async fn one_socket_serves_both_families() {
    let listener = Listener::bind(Ipv6Addr::UNSPECIFIED.into(), 0)
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Listener::bind(Ipv6Addr::UNSPECIFIED.into(), port).await;
    assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(router(), Limits::default(), None, stop.clone()));
    let mut stream = TcpStream::connect((HERE, port)).await.unwrap();
    let request = b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(rest(&mut stream).await.ends_with("\r\n\r\n127.0.0.1"));
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn head_leaves_the_connection_in_order() {
    let server = Server::start(Limits::default()).await;
    let head = b"HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n".as_slice();
    let answers = server.ask(&[head, REQUEST].concat()).await;
    let (first, second) = answers.split_once("\r\n\r\n").expect("a head");
    assert!(first.starts_with("HTTP/1.1 404"), "{first}");
    assert!(first.contains("content-length: "), "{first}");
    assert!(second.starts_with("HTTP/1.1 200"), "{second}");
    server.stop().await;
}
