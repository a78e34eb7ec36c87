//! `GET /api/v1/export`: the window as a file, JSON or CSV, as v1's documents promise.
//!
//! Reads a view of the window twice: once to count, once to write. No more of it is in memory than a few chunks.

mod body;
mod entry;
mod file;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::entry::Export;
use self::file::{Shape, Source};
use super::Api;
use super::error::{ApiError, Code, ErrorBody};
use super::openapi::schemas;
use super::query::{self, Now, Query};
use super::selection::Selection;
use crate::clock;
use crate::record::{Class, Severity};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Parameters {
    /// `json` or `csv`; `json` unless given.
    #[param(inline, value_type = Option<schemas::FileFormat>)]
    format: Option<String>,
    /// From when on: an RFC 3339 time, or a duration such as `10s` that ends now. The whole window unless given.
    #[param(inline, value_type = Option<schemas::Time>)]
    since: Option<String>,
    /// Up to when, in the same forms. Now unless given.
    #[param(inline, value_type = Option<schemas::Time>)]
    until: Option<String>,
    /// A pod's name: what its sidecars submitted, and the records of the containers they named.
    pod: Option<String>,
    /// A pod's namespace.
    namespace: Option<String>,
    /// `low`, `medium`, `high` or `critical`. Only incidents have a severity: with this, only those that sidecars
    /// reported, and nothing else.
    #[param(inline, value_type = Option<Severity>)]
    severity: Option<String>,
}

/// The window as a file.
///
/// One entry for each v1 telemetry entry, oldest first; at most the newest 100,000, and `export_info.truncated` says
/// how many older ones were left out. Entries made from one record share its id. A CSV file has the columns
/// `timestamp`, `type`, `pod_name`, `namespace`, `runtime` and `data_json`. A connection that ends before the file does
/// is cut, never closed in order.
#[utoipa::path(
    get, operation_id = "export_window", path = "/api/v1/export", tag = "window", params(Parameters),
    responses(
        (status = 200, description = "The entries", content(
            (Export = "application/json"), (String = "text/csv")
        )),
        (status = 404, description = "No entry matches", body = ErrorBody),
    ),
    security(("bearerAuth" = []))
)]
async fn export(
    State(api): State<Api>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, ApiError> {
    let shape = shape(parameters.format.as_deref())?;
    let severity = query::severity(parameters.severity.as_deref())?;
    let selection = Selection::new(None, None, parameters.pod, parameters.namespace)?;
    let selection = match severity {
        Some(_) => selection.only(Class::Reported),
        None => selection,
    };
    let now = Now::read();
    let oldest = now.at.minus(api.recorder.status().storage.retention);
    let (since, until) = (parameters.since.as_deref(), parameters.until.as_deref());
    let (start, end) = now.span(since, until, oldest)?;
    let seated = api.views.take(&api.recorder, start, end).await?;
    let source = Source {
        view: seated.view,
        selection,
        severity,
    };
    let counting = tokio::task::spawn_blocking(move || source.count());
    let counted = counting.await.map_err(|error| {
        tracing::error!(%error, "the window could not be read");
        ApiError::new(Code::InternalError, "the window could not be read")
    })?;
    if counted.total == 0 {
        let text = "no entry of the window matches; GET /api/v1/window shows what it holds";
        return Err(ApiError::new(Code::NotFound, text));
    }
    let (mut writer, chunks) = body::pair(clock::boot_now());
    tokio::task::spawn_blocking(move || {
        match counted
            .write(shape, &mut writer)
            .and_then(|()| writer.finish())
        {
            Ok(()) => {}
            Err(error) => tracing::info!(%error, "an export ended early"),
        }
        drop(seated.seat);
    });
    let headers = [(header::CONTENT_TYPE, shape.content_type())];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

fn shape(text: Option<&str>) -> Result<Shape, ApiError> {
    match text {
        None | Some("json") => Ok(Shape::Json),
        Some("csv") => Ok(Shape::Csv),
        Some(other) => {
            let message = format!("{other:?} is no format; allowed: json, csv");
            Err(ApiError::field("format", message))
        }
    }
}
