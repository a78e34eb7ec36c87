//! A scripted API server: lists and watches as a real one does, and fails in all the ways a test asks for.
//!
//! It runs on a runtime of its own; when it goes down, every connection breaks at once.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// What it does instead of what it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Takes requests and says nothing, nor does it end what is open.
    Mute,
    /// Sends what it has to say so slowly that it never ends.
    Drip,
    /// Answers every request with this status.
    Refuses(u16),
    /// Ends each watch in the middle of a line.
    Truncates,
}

#[derive(Debug, Default)]
struct World {
    pods: Vec<Value>,
    /// (version, resource, line)
    log: Vec<(u64, &'static str, String)>,
    version: u64,
    /// Watches from before this version get 410.
    forgotten: u64,
    /// Whether that is said inside the watch, and not as its answer.
    gone_inside: bool,
    token: Option<String>,
    mood: Mood,
    asked: Vec<String>,
    selectors: Vec<String>,
}

/// The server and what it knows. What it knows outlives it.
pub(crate) struct Server {
    world: Arc<Mutex<World>>,
    changed: watch::Sender<u64>,
    /// Each change of it ends the open watches.
    cut: watch::Sender<u64>,
    pub(crate) port: u16,
    running: Option<tokio::runtime::Runtime>,
}

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    changed: watch::Receiver<u64>,
    cut: watch::Receiver<u64>,
}

impl Server {
    /// One that is not up yet.
    pub(crate) fn down() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self {
            world: Arc::default(),
            changed: watch::channel(0).0,
            cut: watch::channel(0).0,
            port,
            running: None,
        }
    }

    pub(crate) fn start() -> Self {
        let mut server = Self::down();
        server.rise();
        server
    }

    pub(crate) fn rise(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Shared {
            world: Arc::clone(&self.world),
            changed: self.changed.subscribe(),
            cut: self.cut.subscribe(),
        };
        let router = Router::new()
            .route("/api/v1/pods", get(pods))
            .route("/api/v1/events", get(events))
            .with_state(shared);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        self.running = Some(runtime);
    }

    pub(crate) fn fall(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
        // Until the port is free again.
        while TcpListener::bind(("127.0.0.1", self.port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Adds a pod, or changes the one of this uid.
    pub(crate) fn apply(&self, mut pod: Value) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version;
        pod["metadata"]["resourceVersion"] = json!(version.to_string());
        let uid = pod["metadata"]["uid"].clone();
        let known = world
            .pods
            .iter()
            .position(|it| it["metadata"]["uid"] == uid);
        let kind = match known {
            Some(index) => {
                world.pods[index] = pod.clone();
                "MODIFIED"
            }
            None => {
                world.pods.push(pod.clone());
                "ADDED"
            }
        };
        let line = json!({"type": kind, "object": pod}).to_string();
        world.log.push((version, "pods", line));
        self.changed.send_replace(version);
    }

    /// Has these pods from the start.
    pub(crate) fn populate(&self, pods: impl IntoIterator<Item = Value>) {
        let mut world = self.world();
        world.pods.extend(pods);
        world.version += 1;
    }

    pub(crate) fn delete(&self, uid: &str) {
        let mut world = self.world();
        let index = world
            .pods
            .iter()
            .position(|it| it["metadata"]["uid"] == uid)
            .unwrap();
        let pod = world.pods.remove(index);
        self.tell(&mut world, "pods", "DELETED", pod);
    }

    /// Tells of an event of the cluster.
    pub(crate) fn happen(&self, event: Value) {
        self.tell(&mut self.world(), "events", "ADDED", event);
    }

    fn tell(&self, world: &mut World, resource: &'static str, kind: &str, mut object: Value) {
        world.version += 1;
        object["metadata"]["resourceVersion"] = json!(world.version.to_string());
        let line = json!({"type": kind, "object": object}).to_string();
        world.log.push((world.version, resource, line));
        self.changed.send_replace(world.version);
    }

    /// Sends this line to watches of pods, whatever it is.
    pub(crate) fn raw(&self, line: &str) {
        let mut world = self.world();
        world.version += 1;
        let version = world.version;
        world.log.push((version, "pods", line.to_owned()));
        self.changed.send_replace(version);
    }

    /// Watches can go on from now only.
    pub(crate) fn forget(&self, inside: bool) {
        let mut world = self.world();
        world.version += 1;
        world.forgotten = world.version;
        world.gone_inside = inside;
        world.log.clear();
    }

    /// Ends all watches.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    pub(crate) fn feel(&self, mood: Mood) {
        self.world().mood = mood;
    }

    pub(crate) fn accept(&self, token: &str) {
        self.world().token = Some(token.to_owned());
    }

    /// The requests so far: `list pods`, `watch events` …
    pub(crate) fn asked(&self, what: &str) -> usize {
        self.world()
            .asked
            .iter()
            .filter(|asked| *asked == what)
            .count()
    }

    /// The field selectors that were asked with.
    pub(crate) fn selectors(&self) -> Vec<String> {
        self.world().selectors.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked {
    watch: bool,
    resource_version: Option<String>,
    field_selector: String,
    limit: Option<usize>,
    #[serde(rename = "continue")]
    next: Option<usize>,
    timeout_seconds: u64,
}

async fn pods(state: State<Shared>, asked: Query<Asked>, headers: HeaderMap) -> Response {
    answer("pods", state, asked, headers).await
}

async fn events(state: State<Shared>, asked: Query<Asked>, headers: HeaderMap) -> Response {
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
        world.asked.push(format!("{verb} {resource}"));
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
        Mood::Well | Mood::Drip | Mood::Truncates if asked.watch => {
            watching(resource, shared, asked)
        }
        Mood::Well | Mood::Drip | Mood::Truncates => list(resource, &shared, &asked),
    }
}

fn status(code: u16) -> Response {
    let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no"});
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

fn list(resource: &str, shared: &Shared, asked: &Asked) -> Response {
    let world = shared.world.lock().unwrap();
    let all: &[Value] = if resource == "pods" { &world.pods } else { &[] };
    let from = asked.next.unwrap_or(0);
    let to = asked
        .limit
        .map_or(all.len(), |limit| (from + limit).min(all.len()));
    let next = (to < all.len()).then(|| to.to_string());
    axum::Json(json!({
        "kind": "List",
        "metadata": {"resourceVersion": world.version.to_string(), "continue": next},
        "items": all[from..to],
    }))
    .into_response()
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
    let (lines, body) = mpsc::channel::<Result<Bytes, Infallible>>(16);
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
async fn say(
    resource: &str,
    mut shared: Shared,
    (mut from, life): (u64, Duration),
    to: mpsc::Sender<Result<Bytes, Infallible>>,
) {
    let send = async |text: String| to.send(Ok(text.into())).await.is_ok();
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
        if mood == Mood::Mute {
            std::future::pending().await
        }
        from = version;
        for line in fresh {
            match mood {
                Mood::Truncates => {
                    send(line[..line.len() / 2].to_owned()).await;
                    return;
                }
                Mood::Drip => {
                    for byte in line.chars() {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        if !send(byte.to_string()).await {
                            return;
                        }
                    }
                }
                _ => {
                    if !send(format!("{line}\n")).await {
                        return;
                    }
                }
            }
        }
        let bookmark = json!({"type": "BOOKMARK", "object": {"kind": "Pod",
            "metadata": {"resourceVersion": from.to_string()}, "spec": {"containers": null}, "status": {}}});
        if mood == Mood::Well && !send(format!("{bookmark}\n")).await {
            return;
        }
        tokio::select! {
            _ = shared.changed.changed() => {}
            _ = shared.cut.changed() => return,
            () = &mut end => return,
        }
    }
}
