//! What the scripted API server answers, in each of its moods.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Mood, Shared};

/// Between two bytes of a server that drips.
const DRIP: Duration = Duration::from_secs(1);

/// The pieces of a body.
type Pieces = mpsc::Sender<io::Result<Bytes>>;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Asked {
    watch: bool,
    resource_version: Option<String>,
    field_selector: String,
    limit: Option<usize>,
    #[serde(rename = "continue")]
    next: Option<usize>,
    timeout_seconds: u64,
}

pub(super) async fn pods(
    state: State<Shared>,
    asked: Query<Asked>,
    headers: HeaderMap,
) -> Response {
    answer("pods", state, asked, headers).await
}

pub(super) async fn events(
    state: State<Shared>,
    asked: Query<Asked>,
    headers: HeaderMap,
) -> Response {
    answer("events", state, asked, headers).await
}

async fn answer(
    resource: &'static str,
    State(shared): State<Shared>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let (mood, token) = {
        let mut world = shared.world.lock().unwrap();
        let verb = if asked.watch { "watch" } else { "list" };
        world.note(format!("{verb} {resource}"));
        world.selectors.push(asked.field_selector.clone());
        (world.mood, world.token.clone())
    };
    if let Some(token) = token {
        let sent = headers
            .get("authorization")
            .map(|value| value.to_str().unwrap());
        if sent != Some(&format!("Bearer {token}")) {
            return status(401);
        }
    }
    match mood {
        Mood::Mute => std::future::pending().await,
        Mood::Refuses(code) => status(code),
        Mood::Busy(when) => ([(RETRY_AFTER, when)], status(429)).into_response(),
        _ if asked.watch => watching(resource, shared, asked),
        _ => slowly_or_broken(mood, list(resource, &shared, &asked)),
    }
}

/// What nobody should ask for is noted.
pub(super) async fn unknown(State(shared): State<Shared>, request: Request) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    shared.world.lock().unwrap().note(asked);
    status(404)
}

fn status(code: u16) -> Response {
    let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no"});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

fn list(resource: &str, shared: &Shared, asked: &Asked) -> String {
    let world = shared.world.lock().unwrap();
    let all: &[Value] = if resource == "pods" { &world.pods } else { &[] };
    let from = asked.next.unwrap_or(0);
    let to = asked
        .limit
        .map_or(all.len(), |limit| (from + limit).min(all.len()));
    let next = (to < all.len()).then(|| to.to_string());
    json!({
        "kind": "List",
        "metadata": {"resourceVersion": world.version.to_string(), "continue": next},
        "items": all[from..to],
    })
    .to_string()
}

/// An answer of this text, as far as the mood lets it come.
fn slowly_or_broken(mood: Mood, text: String) -> Response {
    let (to, body) = mpsc::channel(16);
    tokio::spawn(async move { say_once(mood, text, &to).await });
    Response::new(Body::from_stream(ReceiverStream::new(body)))
}

/// Says this. Whether there is more to say.
async fn say_once(mood: Mood, text: String, to: &Pieces) -> bool {
    let half = || Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    match mood {
        Mood::Truncates | Mood::BreaksOff => {
            let said = to.send(Ok(half())).await.is_ok();
            if said && mood == Mood::BreaksOff {
                let broken = io::Error::from(io::ErrorKind::ConnectionReset);
                to.send(Err(broken)).await.ok();
            }
            false
        }
        Mood::Drip => {
            for byte in text.into_bytes() {
                tokio::time::sleep(DRIP).await;
                if to.send(Ok(Bytes::from(vec![byte]))).await.is_err() {
                    return false;
                }
            }
            true
        }
        _ => to.send(Ok(text.into())).await.is_ok(),
    }
}

fn watching(resource: &'static str, shared: Shared, asked: Asked) -> Response {
    let from: u64 = asked
        .resource_version
        .as_deref()
        .unwrap_or("0")
        .parse()
        .unwrap();
    let (forgotten, inside) = {
        let world = shared.world.lock().unwrap();
        (from < world.forgotten, world.gone_inside)
    };
    if forgotten && !inside {
        return status(410);
    }
    let (lines, body) = mpsc::channel(16);
    tokio::spawn(async move {
        if forgotten {
            let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410}});
            lines.send(Ok(format!("{gone}\n").into())).await.ok();
            return;
        }
        let life = Duration::from_secs(asked.timeout_seconds);
        say(resource, shared, (from, life), lines).await;
    });
    Response::new(Body::from_stream(ReceiverStream::new(body)))
}

/// Says what happens from version `from` on.
async fn say(resource: &str, mut shared: Shared, (mut from, life): (u64, Duration), to: Pieces) {
    shared.cut.mark_unchanged();
    // Only a server that is well ends a watch as it was asked to.
    let mut end = std::pin::pin!(tokio::time::sleep(life));
    loop {
        let (mood, fresh, version) = {
            let world = shared.world.lock().unwrap();
            let fresh = world
                .log
                .iter()
                .filter(|(at, of, _)| *at > from && *of == resource);
            let fresh: Vec<String> = fresh.map(|(_, _, line)| line.clone()).collect();
            (world.mood, fresh, world.version)
        };
        let fresh = match mood {
            Mood::Mute => std::future::pending().await,
            // What is open stays so, and hears nothing.
            Mood::Refuses(_) | Mood::Busy(_) => Vec::new(),
            _ => {
                from = version;
                fresh
            }
        };
        for line in fresh {
            if !say_once(mood, format!("{line}\n"), &to).await {
                return;
            }
        }
        let bookmark = json!({"type": "BOOKMARK", "object": {"kind": "Pod",
            "metadata": {"resourceVersion": from.to_string()}, "spec": {"containers": null}, "status": {}}});
        if mood == Mood::Well && !say_once(mood, format!("{bookmark}\n"), &to).await {
            return;
        }
        tokio::select! {
            _ = shared.changed.changed() => {}
            _ = shared.cut.changed() => return,
            () = &mut end => return,
        }
    }
}
