//! `GET /api/v1/stream`: deaths and reports as they happen, as server-sent events.
//!
//! ```text
//!   recorder ─ view each 250 ms ─► tail ─► broadcast ─┬─► stream: its filter, its 16 events ─► client
//!   reporter ────────────────────► Told ──────────────┘
//! ```
//!
//! One tail for all streams, and only while there is one. Every queue is bounded: a client that reads too slowly
//! misses the oldest, and is told how many. Nobody waits for a client but its own stream.

mod tail;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::tail::{News, Tail};
use super::Api;
use super::error::{ApiError, Code};
use super::openapi::schemas;
use super::query::Query;
use super::selection::{Selection, Whereabouts};
use crate::clock;
use crate::record::{Class, PodName};
use crate::recorder::status::Handle;
use crate::report::Finished;
use crate::reporter::Told;

/// Streams at once; each is a task and a connection.
const MAX_STREAMS: usize = 16;
/// When a client that found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Events that may wait for one client, beside those it finds in the broadcast.
const WAITING: usize = 16;
/// How often a quiet stream says that it is alive, so that proxies keep it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What happens, as it happens. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    tail: Arc<Tail>,
    told: Told,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Live {
    /// The recorder's decisive records and the reporter's reports. `stop` ends every stream.
    #[must_use]
    pub fn new(recorder: Handle, told: Told, stop: CancellationToken) -> Self {
        Self {
            tail: Arc::new(Tail::new(recorder, stop.clone())),
            told,
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
            stop,
        }
    }

    /// Opens a stream of what `selection` wants, from this moment on.
    fn open(&self, selection: Selection) -> Result<mpsc::Receiver<Event>, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let place = place.ok_or_else(|| {
            let text = format!("all {MAX_STREAMS} streams are taken; try again");
            ApiError::new(Code::ServiceUnavailable, text).retry_after(RETRY_AFTER)
        })?;
        let (events, waiting) = mpsc::channel(WAITING);
        let stream = Stream {
            selection,
            reports: self.told.listen(),
            records: self.tail.follow(clock::boot_now()),
            events,
            stop: self.stop.clone(),
            _place: place,
        };
        tokio::spawn(stream.run());
        Ok(waiting)
    }
}

/// One client's stream.
struct Stream {
    selection: Selection,
    records: broadcast::Receiver<Arc<News>>,
    reports: broadcast::Receiver<Arc<Finished>>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    /// Until the client goes or the daemon stops.
    async fn run(mut self) {
        loop {
            let event = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.events.closed() => return,
                report = self.reports.recv() => self.report(report),
                news = self.records.recv() => self.record(news),
            };
            let Some(event) = event else { continue };
            let sent = self.stop.run_until_cancelled(self.events.send(event)).await;
            if !matches!(sent, Some(Ok(()))) {
                return;
            }
        }
    }

    fn record(&self, news: Result<Arc<News>, RecvError>) -> Option<Event> {
        match news.as_deref() {
            Ok(News::Record { class, place, json }) => {
                let wanted = self.selection.wants(*class) && self.selection.covers(place);
                wanted.then(|| Event::default().event("record").data(json))
            }
            Ok(News::Lost(count)) | Err(RecvError::Lagged(count)) => Some(lost(*count)),
            Err(RecvError::Closed) => None,
        }
    }

    fn report(&self, report: Result<Arc<Finished>, RecvError>) -> Option<Event> {
        match report {
            Ok(finished) => {
                let covered = self.selection.covers(&whereabouts(&finished));
                covered.then(|| event("incident", &finished.summary))
            }
            Err(RecvError::Lagged(count)) => Some(lost(count)),
            Err(RecvError::Closed) => None,
        }
    }
}

fn whereabouts(
    Finished {
        summary,
        cgroup_path,
        ..
    }: &Finished,
) -> Whereabouts {
    let pod = summary.pod_name.clone().zip(summary.namespace.clone());
    Whereabouts {
        path: cgroup_path.clone(),
        container: summary.container_id.clone(),
        pod: pod.map(|(name, namespace)| PodName { namespace, name }),
    }
}

/// JSON has no raw line break, so this is one line.
fn event(name: &str, data: &impl Serialize) -> Event {
    let json = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).data(json)
}

fn lost(count: u64) -> Event {
    event("lost", &json!({ "count": count }))
}

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stream))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// Kinds of records, comma between: `exec`, `exit`, `signal`, `oom`, `cgroup_lifecycle`, `reported`, `recorder`.
    /// Incidents always come.
    #[param(value_type = Option<Vec<Class>>, style = Form, explode = false, min_items = 1)]
    kind: Option<String>,
    /// 12 or more digits of a container's id, or a cgroup's path; cgroups below it are meant too.
    #[param(inline, value_type = Option<schemas::Container>)]
    container: Option<String>,
    /// A pod's name: what its sidecars reported, and the records of the containers they named.
    pod: Option<String>,
    /// A pod's namespace.
    namespace: Option<String>,
}

/// What happens, as it happens.
///
/// Server-sent events, each with JSON: `record` (a death, a signal, … as it is recorded: `id`, `class`, `timestamp`,
/// `sentence`, `entries`), `incident` (a finished report in short, as in `GET /api/v1/incidents`) and `lost` (`count`:
/// events that this client was too slow for, whether it wanted them or not). A comment every 15 s.
#[utoipa::path(
    get, operation_id = "stream_events", path = "/api/v1/stream", tag = "window", params(Parameters),
    responses(
        (status = 200, description = "Events, until either side ends it",
            content_type = "text/event-stream", body = String),
    ),
    security(("bearerAuth" = []))
)]
async fn stream(
    State(api): State<Api>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, ApiError> {
    let (kind, container) = (parameters.kind.as_deref(), parameters.container.as_deref());
    let selection = Selection::new(kind, container, parameters.pod, parameters.namespace)?;
    let events = ReceiverStream::new(api.live.open(selection)?);
    let events = Sse::new(events.map(Ok::<_, Infallible>));
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    // Proxies that buffer would hold events back.
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, events.keep_alive(alive)).into_response())
}
