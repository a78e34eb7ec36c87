//! A daemon with its reads, asked without a network.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use blackbox_daemon::api::body::Bodies;
use blackbox_daemon::api::stream::Live;
use blackbox_daemon::api::views::Views;
use blackbox_daemon::api::{self, Api, ApiError};
use blackbox_daemon::clock::{self, WallOffset};
use blackbox_daemon::destinations::{DestinationConfig, DestinationState};
use blackbox_daemon::durability::Durability;
use blackbox_daemon::metrics::Metrics;
use blackbox_daemon::record::{
    BootTime, CgroupId, Class, Event, LaneName, PodName, Record, Reported, Severity, Subject,
    Submission, Telemetry,
};
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::sources::sidecar::{self, Sidecars};
use blackbox_daemon::{incident, recorder};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::support::daemon::{Daemon, PATIENCE, directory};
use crate::support::{WINDOW, config};

/// The cgroup of [`CONTAINER`], in the pod prod/shop-0.
pub(crate) const SHOP: CgroupId = CgroupId(40);
pub(crate) const CONTAINER: &str =
    "3f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d5abcd";
/// A text with everything a table must quote.
pub(crate) const EVIL: &str = "a,b\"c\r\nd;e=f";
/// Documents of one incident: text and JSON.
const DOCUMENTS: u64 = 2;

pub(crate) struct Lab {
    pub(crate) daemon: Daemon,
    pub(crate) stopping: CancellationToken,
    router: Router,
    sidecars: Sidecars,
    told: AtomicU32,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    error: Option<ApiError>,
    pub(crate) body: Bytes,
}

impl Lab {
    pub(crate) fn start(reports: &Path) -> Self {
        Self::with(vec![directory(reports)])
    }

    pub(crate) fn without_directory() -> Self {
        Self::with(Vec::new())
    }

    fn with(destinations: Vec<DestinationConfig>) -> Self {
        let quick = recorder::Config {
            incidents: incident::Config {
                settle: Duration::from_millis(10),
                ..config().incidents
            },
            ..config()
        };
        let limits = sidecar::Config::of(WINDOW, &quick.storage);
        let daemon = Daemon::start(quick, destinations);
        let sidecars = Sidecars::new(limits, daemon.feed.clone());
        let stopping = CancellationToken::new();
        let (recorder, told) = (daemon.recorder.clone(), daemon.told.clone());
        let api = Api::new(api::Parts {
            live: Live::new(recorder.clone(), told, stopping.clone()),
            recorder,
            sidecars: sidecars.clone(),
            archive: daemon.destinations.archive(),
            views: Views::default(),
            destinations: daemon.destinations.clone(),
            durability: Durability::default(),
            metrics: Metrics::new(NodeInfo::default(), Path::new("/proc")).expect("metrics"),
            body: Bodies::default(),
            started: clock::boot_now(),
            window: WINDOW,
            privileges: None,
            memory: None,
            metrics_served: false,
        });
        let path = format!("/kubepods/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/{CONTAINER}");
        let created = Record {
            at: clock::boot_now(),
            subject: Subject::Cgroup(SHOP),
            event: Event::CgroupCreated { path },
        };
        daemon.feed.offer(LaneName::Decisive, vec![created]);
        Self {
            daemon,
            stopping,
            router: api::reads()
                .merge(api::exports())
                .split_for_parts()
                .0
                .with_state(api),
            sidecars,
            told: AtomicU32::new(0),
        }
    }

    /// Deaths, each with a story of its own, until their reports are written.
    pub(crate) async fn die(&self, deaths: u32) {
        for _ in 0..deaths {
            self.daemon.kill(self.told.fetch_add(1, Ordering::Relaxed));
            self.written().await;
        }
    }

    /// An incident that a sidecar reports, until it is recorded, and its report written if there is a directory.
    pub(crate) async fn report(&self, reported: Reported) {
        let count = self.held(Class::Reported).await + 1;
        let place = self.sidecars.place(LaneName::Decisive).await;
        let place = place.expect("a place in the queue");
        let sent = self
            .sidecars
            .report(place, reported, clock::boot_now(), WallOffset::now());
        sent.expect("a share of the window");
        self.taken(Class::Reported, count).await;
        self.told.fetch_add(1, Ordering::Relaxed);
        if self.daemon.destinations.archive().is_some() {
            self.written().await;
        }
    }

    async fn written(&self) {
        let documents = u64::from(self.told.load(Ordering::Relaxed)) * DOCUMENTS;
        let done = |state: &DestinationState| state.written == documents;
        self.daemon.until(0, done).await;
    }

    /// Records of this class that the window holds.
    async fn held(&self, class: Class) -> u64 {
        let (start, end) = (BootTime(0), BootTime(u64::MAX));
        let view = self.daemon.recorder.view(start, end).await;
        let slice = view.expect("a recorder").slice;
        let segments = slice.decisive.iter().chain(&slice.bulk);
        segments.map(|one| one.index().by_class.of(class)).sum()
    }

    /// Until the recorder has taken as many records of this class.
    async fn taken(&self, class: Class, count: u64) {
        let taken = async {
            while self.held(class).await < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken)
            .await
            .expect("in time");
    }

    /// Records of one class, until they are recorded.
    pub(crate) async fn offer(&self, records: Vec<Record>) {
        let class = records[0].event.class();
        let count = self.held(class).await + records.len() as u64;
        self.daemon.feed.offer(class.lane(), records);
        self.taken(class, count).await;
    }

    /// What a sidecar submits, until it is recorded.
    pub(crate) async fn submit(&self, telemetry: Telemetry) {
        let count = self.held(Class::Telemetry).await + 1;
        let (now, wall) = (clock::boot_now(), WallOffset::now());
        let place = self.sidecars.place(LaneName::Bulk).await;
        let place = place.expect("a place in the queue");
        let sent = self.sidecars.submit(place, vec![telemetry], now, wall);
        sent.expect("a share of the window");
        self.taken(Class::Telemetry, count).await;
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.get_as(uri, "*/*").await
    }

    pub(crate) async fn get_as(&self, uri: &str, accept: &str) -> Answer {
        let (parts, body) = self.open_as(uri, accept).await.into_parts();
        Answer {
            status: parts.status,
            error: parts.extensions.get().cloned(),
            headers: parts.headers,
            body: body.collect().await.expect("a whole body").to_bytes(),
        }
    }

    /// The answer before its body.
    pub(crate) async fn open(&self, uri: &str) -> axum::response::Response {
        self.open_as(uri, "*/*").await
    }

    async fn open_as(&self, uri: &str, accept: &str) -> axum::response::Response {
        let request = Request::get(uri).header(header::ACCEPT, accept);
        let request = request.body(Body::empty()).expect("a request");
        let router = self.router.clone();
        router.oneshot(request).await.expect("an answer")
    }

    pub(crate) async fn json(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {:?}", answer.error);
        assert_eq!(answer.header("content-type"), "application/json");
        serde_json::from_slice(&answer.body).expect("JSON")
    }

    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        self.daemon.stop(PATIENCE).await;
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The error that the answer's middleware would render.
    pub(crate) fn error(self, status: u16) -> ApiError {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.error);
        self.error.expect("an error that can be rendered")
    }
}

fn pod() -> PodName {
    PodName {
        namespace: "prod".to_owned(),
        name: "shop-0".to_owned(),
    }
}

fn submission() -> Submission {
    Submission {
        by: "default".to_owned(),
        proven_uid: None,
        received: clock::boot_now(),
        claimed: None,
    }
}

/// Two entries of the shop's sidecar.
pub(crate) fn telemetry(container: Option<&str>) -> Telemetry {
    Telemetry {
        entry: 0,
        pod: pod(),
        container_id: container.map(str::to_owned),
        runtime: "jvm".to_owned(),
        submission: submission(),
        tags: Vec::new(),
        data: serde_json::json!({"heap_used": 7, "note": EVIL}).to_string(),
    }
}

/// An incident that the shop's sidecar reports.
pub(crate) fn reported(id: &str, severity: Severity) -> Reported {
    Reported {
        id: id.to_owned(),
        pod: Some(pod()),
        container_id: None,
        severity,
        kind: "degraded".to_owned(),
        message: "slow".to_owned(),
        submission: submission(),
        tags: Vec::new(),
        context: "{}".to_owned(),
    }
}
