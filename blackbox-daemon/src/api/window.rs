//! `GET /api/v1/window`: what the recorder holds right now, as v1 entries.
//!
//! Reads a view of the window, makes entries of the newest records that were asked for. Nothing it does reaches the
//! recorder: the view is clones of sealed segments, read off the async threads.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::error::{ApiError, Code};
use super::openapi::schemas;
use super::query::{self, Now, Query};
use super::selection::Selection;
use super::views::{Newest, Selected, skip_unwanted};
use crate::record::Class;
use crate::recorder::status::View;
use crate::report::{Entry, entries};

/// Entries of one answer, unless asked for.
const LIMIT: usize = 1000;
/// Most entries of one answer.
const MOST: usize = 10_000;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(window))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// From when on: an RFC 3339 time, or a duration such as `10s` that ends now. The whole window unless given.
    #[param(inline, value_type = Option<schemas::Time>)]
    since: Option<String>,
    /// Up to when, in the same forms. Now unless given.
    #[param(inline, value_type = Option<schemas::Time>)]
    until: Option<String>,
    /// 12 or more digits of a container's id, or a cgroup's path; cgroups below it are meant too.
    #[param(inline, value_type = Option<schemas::Container>)]
    container: Option<String>,
    /// A pod's name: what its sidecars submitted, and the records of the containers they named.
    pod: Option<String>,
    /// A pod's namespace.
    namespace: Option<String>,
    /// Kinds of records, comma between: `exec`, `exit`, `signal`, `oom`, `cgroup_lifecycle`, `failed_call`,
    /// `call_counts`, `node_sample`, `cgroup_sample`, `telemetry`, `reported`, `recorder`.
    #[param(value_type = Option<Vec<Class>>, style = Form, explode = false, min_items = 1)]
    kind: Option<String>,
    /// How many entries, 1 to 10000; 1000 unless given. The newest win.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 10_000)]
    limit: Option<String>,
}

/// A part of the window.
#[derive(Debug, Serialize, ToSchema)]
struct WindowView {
    window: WindowBounds,
    /// By time. Entries of one record share its id.
    entries: Vec<Entry>,
    /// Records that were asked for and are not here, because of the limit: older ones.
    truncated: u64,
    /// Records that could not be decoded.
    unreadable: u64,
}

/// Which part.
#[derive(Debug, Serialize, ToSchema)]
struct WindowBounds {
    start: Timestamp,
    end: Timestamp,
    /// Since when the window has every decisive record; `null`: it has none.
    #[schema(required = true)]
    decisive_start: Option<Timestamp>,
    /// The same of bulk records: failing calls, samples, telemetry.
    #[schema(required = true)]
    bulk_start: Option<Timestamp>,
}

/// What the recorder holds right now.
#[utoipa::path(
    get, operation_id = "read_window", path = "/api/v1/window", tag = "window", params(Parameters),
    responses((status = 200, description = "A part of the window", body = WindowView)),
    security(("bearerAuth" = []))
)]
async fn window(
    State(api): State<Api>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, ApiError> {
    let limit = query::limit(parameters.limit.as_deref(), LIMIT, MOST)?;
    let (kind, container) = (parameters.kind.as_deref(), parameters.container.as_deref());
    let selection = Selection::new(kind, container, parameters.pod, parameters.namespace)?;
    let now = Now::read();
    let oldest = now.at.minus(api.recorder.status().storage.retention);
    let (since, until) = (parameters.since.as_deref(), parameters.until.as_deref());
    let (start, end) = now.span(since, until, oldest)?;
    let seated = api.views.take(&api.recorder, start, end).await?;
    let reading = tokio::task::spawn_blocking(move || {
        let answer = read(seated.view, &selection, limit);
        let json = serde_json::to_vec(&answer);
        drop(seated.seat);
        json
    });
    let json = reading.await.map_err(anyhow::Error::from);
    let json = json.and_then(|json| Ok(json?)).map_err(|error| {
        tracing::error!(%error, "the window could not be read");
        ApiError::new(Code::InternalError, "the window could not be read")
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

fn read(mut view: View, selection: &Selection, limit: usize) -> WindowView {
    let wall = view.wall;
    let time = |at| wall.wall(at);
    let window = WindowBounds {
        start: time(view.slice.start),
        end: time(view.slice.end),
        decisive_start: view.slice.decisive_start.map(time),
        bulk_start: view.slice.bulk_start.map(time),
    };
    skip_unwanted(&mut view.slice, selection);
    let mut newest = Newest::new(limit);
    let mut selected = Selected::of(&view, selection);
    for (id, record, _) in selected.by_ref() {
        newest.push(id, record);
    }
    let unreadable = selected.unreadable();
    let mut truncated = newest.left_out;
    // One record can make thousands of entries, so they are limited too: newest first, until they are enough.
    let mut found: Vec<Entry> = Vec::new();
    for (id, record) in newest.into_records() {
        if found.len() >= limit {
            truncated += 1;
            continue;
        }
        let mut made = entries::project(id, &record, &view.names, wall);
        if made.len() > limit - found.len() {
            made.truncate(limit - found.len());
            truncated += 1;
        }
        found.extend(made.into_iter().rev());
    }
    found.reverse();
    WindowView {
        window,
        entries: found,
        truncated,
        unreadable,
    }
}
