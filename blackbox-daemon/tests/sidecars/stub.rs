//! A daemon that answers what it is told to, and remembers what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use blackbox_daemon::clock;
use blackbox_daemon::record::BootTime;
use serde_json::Value;

/// An answer: its status, and the seconds of `Retry-After`.
pub(crate) type Answer = (u16, Option<u64>);

/// One request, and what was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: BootTime,
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
    pub(crate) answer: Answer,
}

impl Seen {
    /// The telemetry objects in it.
    pub(crate) fn objects(&self) -> Vec<Value> {
        match &self.body["entries"] {
            Value::Array(entries) => entries.clone(),
            _ => vec![self.body.clone()],
        }
    }
}

#[derive(Clone, Debug)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A running stub; it runs as long as the test's runtime.
#[derive(Debug)]
pub(crate) struct Stub {
    pub(crate) url: String,
    script: Script,
}

impl Stub {
    /// Starts one that gives `answers` in turn, and 200 to all that follows.
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        let script = Script {
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            seen: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests came.
    pub(crate) async fn until(&self, requests: usize) {
        let waiting = async {
            while self.seen().len() < requests {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        came.unwrap_or_else(|_| panic!("too few requests: {:#?}", self.seen()));
    }
}

async fn answer(
    State(script): State<Script>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let next = script.answers.lock().unwrap().pop_front();
    let (status, retry_after) = next.unwrap_or((200, None));
    let authorization = headers.get(header::AUTHORIZATION);
    script.seen.lock().unwrap().push(Seen {
        at: clock::boot_now(),
        path: uri.path().to_owned(),
        authorization: authorization
            .map_or("", |it| it.to_str().unwrap())
            .to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no JSON: {body:?}")),
        answer: (status, retry_after),
    });
    let status = StatusCode::from_u16(status).unwrap();
    let wait = retry_after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
    (status, wait, "{}").into_response()
}
