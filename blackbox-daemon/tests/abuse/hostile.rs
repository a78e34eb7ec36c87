//! Clients that do what hurts: slow ones, large ones, deep ones, many at once, until they are told to end.
//!
//! They run on a thread of their own at low priority: theirs is another machine's processor. Those with a key come
//! from other addresses than honest clients, as other pods do, and hold another key, as a tenant's limit is its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The key of hostile clients.
pub(crate) const KEY: &str = "a-key-of-the-hostile";
/// Sockets that send a head one byte a second.
const DRIPPING: usize = 1000;
/// Sockets that send a body of 1 MiB, a little each 100 ms.
const DAWDLING: usize = 48;
/// Sockets that ask for much and read nothing.
const DEAF: usize = 24;
/// Clients that throw one bomb after the other.
const BOMBERS: u8 = 3;
/// Longest wait for a bomb's answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often each kind was answered with each status; 0: with none.
pub(crate) type Answers = BTreeMap<(&'static str, u16), u64>;

/// The attack, while it goes on.
pub(crate) struct Attack {
    answers: Arc<Mutex<Answers>>,
    over: CancellationToken,
    thread: JoinHandle<()>,
}

impl Attack {
    pub(crate) fn start(port: u16) -> Self {
        let (answers, over) = (Arc::default(), CancellationToken::new());
        let thread = std::thread::spawn({
            let (answers, over) = (Arc::clone(&answers), over.clone());
            move || {
                // Only what a test can have: where it cannot, the figures are worse.
                rustix::process::nice(10).ok();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    spawn_all(port, &answers);
                    over.cancelled().await;
                });
            }
        });
        Self {
            answers,
            over,
            thread,
        }
    }

    /// Closes all its sockets.
    pub(crate) fn end(self) -> Answers {
        self.over.cancel();
        self.thread.join().unwrap();
        std::mem::take(&mut self.answers.lock().unwrap())
    }
}

fn spawn_all(port: u16, answers: &Arc<Mutex<Answers>>) {
    for _ in 0..DRIPPING {
        tokio::spawn(drip(port));
    }
    for _ in 0..DAWDLING {
        tokio::spawn(dawdle(port));
    }
    for _ in 0..DEAF {
        tokio::spawn(deaf(port));
    }
    let bombs = Arc::new(bombs());
    for bomber in 0..BOMBERS {
        let (bombs, answers) = (Arc::clone(&bombs), Arc::clone(answers));
        tokio::spawn(async move {
            for (name, bomb) in bombs.iter().cycle() {
                let status = throw(port, 10 + bomber, bomb).await.unwrap_or(0);
                *answers.lock().unwrap().entry((name, status)).or_default() += 1;
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
}

/// A connection from 127.0.0.`from`.
pub(crate) async fn connect(from: u8, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, from), 0)))?;
    socket
        .connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
}

/// Sends `bytes` bit by bit, until that fails or the other side says or closes something.
async fn send_slowly(stream: &mut TcpStream, bytes: &[u8], bit: usize, pause: Duration) {
    let mut said = [0];
    for part in bytes.chunks(bit) {
        if stream.write_all(part).await.is_err() {
            return;
        }
        tokio::select! {
            _ = stream.read(&mut said) => return,
            () = sleep(pause) => {}
        }
    }
}

async fn drip(port: u16) {
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(4000));
    loop {
        if let Ok(mut stream) = connect(1, port).await {
            send_slowly(&mut stream, head.as_bytes(), 1, Duration::from_secs(1)).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn dawdle(port: u16) {
    let request = post("", &" ".repeat(1 << 20));
    loop {
        if let Ok(mut stream) = connect(2, port).await {
            send_slowly(&mut stream, &request, 1 << 10, Duration::from_millis(100)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn deaf(port: u16) {
    let many = "GET /swagger.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
    loop {
        if let Ok(mut stream) = connect(3, port).await {
            let sending = stream.write_all(many.as_bytes());
            timeout(Duration::from_secs(5), sending).await.ok();
            sleep(Duration::from_secs(5)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends a whole request; the status of its first answer.
async fn throw(port: u16, from: u8, bomb: &[u8]) -> Option<u16> {
    let mut stream = connect(from, port).await.ok()?;
    let (mut reader, mut writer) = stream.split();
    let mut answer = [0; 4096];
    let answered = async {
        let size = reader.read(&mut answer).await.ok()?;
        let line = String::from_utf8_lossy(&answer[..size]);
        line.get(9..12)?.parse().ok()
    };
    // What cannot be sent is refused already.
    let sending = async {
        writer.write_all(bomb).await.ok();
        std::future::pending().await
    };
    tokio::select! {
        status = answered => status,
        () = sending => None,
        () = sleep(PATIENCE) => None,
    }
}

pub(crate) fn post(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /api/v1/telemetry HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{headers}"
    );
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn telemetry(data: &str) -> String {
    format!(r#"{{"pod_name":"bomb","namespace":"x","data":{data}}}"#)
}

/// Requests that are expensive to believe, by name.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let keys: Vec<String> = (0..60_000).map(|key| format!(r#""k{key}":1"#)).collect();
    let many = "a: b\r\n".repeat(5000);
    let huge = format!("a: {}\r\n", "x".repeat(60 << 10));
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(1 << 16));
    let chunked = "POST /api/v1/telemetry HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n";
    let chunked = format!("{chunked}Authorization: Bearer {KEY}\r\n\r\n");
    let levels = "[".repeat(100_000) + &"]".repeat(100_000);
    // Of no pod, so that the window does not grow by it.
    let numbers = format!(r#"{{"data":{{"a":[{}0]}}}}"#, "0,".repeat(500_000));
    let zeros = format!("{{\"a\":{}}}", "1".repeat(1_000_000));
    vec![
        (
            "gzip",
            post("Content-Encoding: gzip\r\n", &"\x1f".repeat(1 << 20)),
        ),
        ("nested", post("", &telemetry(&levels))),
        ("brackets", post("", &"[".repeat(1 << 20))),
        ("100 MB", post("", &" ".repeat(100 << 20))),
        (
            "100 MB chunked",
            (chunked + &chunk.repeat(1600)).into_bytes(),
        ),
        ("huge head", post(&huge, "{}")),
        ("many headers", post(&many, "{}")),
        (
            "many keys",
            post("", &telemetry(&format!("{{{}}}", keys.join(",")))),
        ),
        ("many numbers", post("", &numbers)),
        ("long number", post("", &telemetry(&zeros))),
        (
            "pipelined",
            b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000),
        ),
    ]
}
