//! The built daemon on free ports, and a client that asks it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;
use xtask::stage::{Daemon, DaemonOptions};

/// The key every test daemon knows.
pub(crate) const KEY: &str = "a-key-of-the-tests";
const LIMIT: Duration = Duration::from_secs(30);

/// A running daemon. Dropped, it is killed.
pub(crate) struct Running {
    pub(crate) daemon: Daemon,
    pub(crate) port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) directory: TempDir,
    client: reqwest::Client,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// As it came: `text` is of no use where it is compressed.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What a browser shows of a body that was sent compressed.
    pub(crate) fn unzipped(&self) -> String {
        assert_eq!(self.header("content-encoding"), "gzip");
        std::io::read_to_string(flate2::read::GzDecoder::new(&*self.body)).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

/// A port nobody has: below those the kernel gives to clients, and no two tests of a run ask for the same.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Running {
    /// Starts a daemon without kernel programs, whose reports go to a directory of its own.
    pub(crate) async fn start(env: &[(&str, &str)]) -> Self {
        Self::start_in(TempDir::new().unwrap(), env).await
    }

    /// The same, in a directory that another one has left.
    pub(crate) async fn start_in(directory: TempDir, env: &[(&str, &str)]) -> Self {
        let running = Self::launch(directory, env, &[]);
        running.wait_listening(running.port).await;
        running.wait_listening(running.metrics_port).await;
        running
    }

    /// One that serves metrics only.
    pub(crate) async fn start_without_api(env: &[(&str, &str)]) -> Self {
        let running = Self::launch(TempDir::new().unwrap(), env, &[]);
        running.wait_listening(running.metrics_port).await;
        running
    }

    /// One that records, started by `wrapper`, and does not listen yet.
    pub(crate) fn launch(directory: TempDir, env: &[(&str, &str)], wrapper: &[&str]) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let (port, metrics_port) = (free_port(), free_port());
        let mut all = vec![
            ("BLACKBOX_EBPF".to_owned(), "off".to_owned()),
            ("BLACKBOX_API_KEY".to_owned(), KEY.to_owned()),
            ("BLACKBOX_API_PORT".to_owned(), port.to_string()),
            ("BLACKBOX_METRICS_ENABLED".to_owned(), "true".to_owned()),
            ("BLACKBOX_METRICS_PORT".to_owned(), metrics_port.to_string()),
            (
                "BLACKBOX_COLLECTION_INTERVAL".to_owned(),
                "200ms".to_owned(),
            ),
            ("BLACKBOX_SETTLE_TIME".to_owned(), "300ms".to_owned()),
        ];
        for (key, value) in env {
            all.retain(|(other, _)| other != key);
            if *value != "unset" {
                all.push(((*key).to_owned(), (*value).to_owned()));
            }
        }
        let mut daemon = Daemon::start(&DaemonOptions {
            binary: env!("CARGO_BIN_EXE_blackbox-daemon").into(),
            directory: directory.path().to_owned(),
            env: all,
            wrapper: wrapper.iter().map(|&word| word.to_owned()).collect(),
        })
        .unwrap();
        daemon.wait_ready(LIMIT).unwrap();
        Self {
            daemon,
            port,
            metrics_port,
            directory,
            client: reqwest::Client::new(),
        }
    }

    /// Waits until a port can be reached.
    pub(crate) async fn wait_listening(&self, port: u16) {
        let waiting = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let listening = tokio::time::timeout(LIMIT, waiting).await;
        listening.unwrap_or_else(|_| panic!("{}", self.daemon.log().unwrap()));
    }

    /// Sends a request, with `key` as the bearer token if there is one.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Vec<u8>,
    ) -> Answer {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = self.client.request(method, url).body(body);
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        answer(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Some(KEY), Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(KEY), body.to_string().into_bytes())
            .await
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics_port);
        let answer = answer(self.client.get(url)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text
    }

    /// Asks `path` until the answer fits.
    pub(crate) async fn until(&self, path: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(path).await;
                if fits(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        match tokio::time::timeout(LIMIT, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("{path}: {:?}", self.get(path).await),
        }
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.unwrap().to_vec();
    Answer {
        status,
        headers,
        text: String::from_utf8_lossy(&body).into_owned(),
        body,
    }
}
