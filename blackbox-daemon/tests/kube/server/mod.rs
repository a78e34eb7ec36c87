//! A scripted API server: lists and watches as a real one does, and fails in all the ways a test asks for.
//!
//! It runs on a runtime of its own; when it goes down, every connection breaks at once.

mod answers;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use blackbox_daemon::clock;
use blackbox_daemon::record::BootTime;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What it does instead of what it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Takes requests and says nothing, nor does it end what is open.
    Mute,
    /// Sends what it has to say at one byte a second.
    Drip,
    /// Answers every request with this status.
    Refuses(u16),
    /// Answers every request with 429 and this `Retry-After`.
    Busy(&'static str),
    /// Ends each list in the middle of its JSON and each watch in the middle of a line, as if that were all.
    Truncates,
    /// The same, and then the connection breaks.
    BreaksOff,
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
    asked: Vec<(BootTime, String)>,
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

impl World {
    fn note(&mut self, asked: String) {
        self.asked.push((clock::boot_now(), asked));
    }
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
            .route("/api/v1/pods", get(answers::pods))
            .route("/api/v1/events", get(answers::events))
            .fallback(answers::unknown)
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

    /// No watch can go on, wherever from.
    pub(crate) fn forget_always(&self, inside: bool) {
        self.forget(inside);
        self.world().forgotten = u64::MAX;
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
        self.when(what).len()
    }

    /// When each of these requests came.
    pub(crate) fn when(&self, what: &str) -> Vec<BootTime> {
        let world = self.world();
        let asked = world.asked.iter().filter(|(_, asked)| asked == what);
        asked.map(|(at, _)| *at).collect()
    }

    /// Every kind of request there was.
    pub(crate) fn kinds(&self) -> BTreeSet<String> {
        let world = self.world();
        world.asked.iter().map(|(_, asked)| asked.clone()).collect()
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
