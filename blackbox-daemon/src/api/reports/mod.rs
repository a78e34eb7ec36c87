//! `GET /api/v1/incidents` and `/api/v1/incidents/{id}`: the reports on disk, listed and in every format.
//!
//! Reads the archive only, so incidents outlive a restart. An id is any text: it is compared, and never becomes a path.

mod accept;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::error::{ApiError, Code, ErrorBody};
use super::openapi::schemas;
use super::query::{self, Now, Query};
use crate::destinations::{Archive, archive};
use crate::record::Severity;
use crate::report::format::UnknownFormat;
use crate::report::{Report, Summary};

/// Incidents of one page, unless asked for.
const LIMIT: usize = 100;
/// Most incidents of one page.
const MOST: usize = 1000;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// The pod's name, exactly.
    pod: Option<String>,
    /// The namespace, exactly.
    namespace: Option<String>,
    /// The type, exactly: `crash`, `oom`, or what a sidecar reported.
    r#type: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    #[param(inline, value_type = Option<Severity>)]
    severity: Option<String>,
    /// No older than this: an RFC 3339 time, or a duration such as `10m` that ends now.
    #[param(inline, value_type = Option<schemas::Time>)]
    since: Option<String>,
    /// No newer than this, in the same forms.
    #[param(inline, value_type = Option<schemas::Time>)]
    until: Option<String>,
    /// How many, 1 to 1000; 100 unless given.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of incidents, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct IncidentPage {
    incidents: Vec<Summary>,
    /// How many match the filter, on all pages.
    total: usize,
    /// For the next page, with the same filter; `null`: this is the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// Files that look like reports and cannot be read.
    unreadable: u64,
}

/// What a filter's texts mean.
struct Wanted {
    filter: Filter,
    severity: Option<Severity>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted {
    fn new(filter: Filter, now: Now) -> Result<Self, ApiError> {
        let severity = query::severity(filter.severity.as_deref())?;
        let since = now.time("since", filter.since.as_deref())?;
        let until = now.time("until", filter.until.as_deref())?;
        query::in_order(since, until)?;
        Ok(Self {
            filter,
            severity,
            since,
            until,
        })
    }

    fn covers(&self, summary: &Summary) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        same(&self.filter.pod, summary.pod_name.as_deref())
            && same(&self.filter.namespace, summary.namespace.as_deref())
            && same(&self.filter.r#type, Some(summary.kind.name()))
            && self
                .severity
                .is_none_or(|wanted| summary.severity == wanted)
            && self.since.is_none_or(|since| summary.timestamp >= since)
            && self.until.is_none_or(|until| summary.timestamp <= until)
    }
}

/// Lists incidents, newest first.
///
/// They are read from the report files of the first directory in `BLACKBOX_OUTPUT_PATH`, so they outlive a restart.
#[utoipa::path(
    get, operation_id = "list_incidents", path = "/api/v1/incidents", tag = "incidents", params(Filter),
    responses((status = 200, description = "A page of incidents", body = IncidentPage)),
    security(("bearerAuth" = []))
)]
async fn list(
    State(api): State<Api>,
    Query(filter): Query<Filter>,
) -> Result<Json<IncidentPage>, ApiError> {
    let limit = query::limit(filter.limit.as_deref(), LIMIT, MOST)?;
    let wanted = Wanted::new(filter, Now::read())?;
    let listing = archive(&api)?.list().await.map_err(unreadable)?;
    let mut matching = listing.reports;
    matching.retain(|listed| wanted.covers(&listed.summary));
    let total = matching.len();
    // A cursor is the name of the last file shown. Names fall by age, so those that come later shift no page.
    if let Some(cursor) = &wanted.filter.cursor {
        matching.retain(|listed| listed.name < *cursor);
    }
    let more = matching.len() > limit;
    matching.truncate(limit);
    let last = matching.last().filter(|_| more);
    Ok(Json(IncidentPage {
        total,
        next_cursor: last.map(|listed| listed.name.clone()),
        incidents: matching
            .iter()
            .map(|listed| Summary::clone(&listed.summary))
            .collect(),
        unreadable: listing.unreadable,
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Shape {
    /// `default`, `json`, `csv`, `markdown` or `brief`; wins over the `Accept` header.
    #[param(inline, value_type = Option<schemas::ReportFormat>)]
    format: Option<String>,
}

/// The report of one incident.
///
/// As JSON, as text (`format=default`, `Accept: text/plain`), as a page of Markdown (`format=markdown`,
/// `Accept: text/markdown`), as a brief for language models (`format=brief`) or as a table of its telemetry (`format=csv`, `Accept: text/csv`).
#[utoipa::path(
    get, operation_id = "get_incident", path = "/api/v1/incidents/{id}", tag = "incidents",
    params(("id" = String, Path, description = "The incident's id"), Shape),
    responses(
        (status = 200, description = "The report", content(
            (Report = "application/json"), (String = "text/plain"), (String = "text/csv"),
            (String = "text/markdown")
        )),
        (status = 404, description = "No report has this id", body = ErrorBody),
        (status = 406, description = "None of the formats is acceptable", body = ErrorBody),
    ),
    security(("bearerAuth" = []))
)]
async fn get(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    Query(shape): Query<Shape>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let not_text = |rejection: PathRejection| ApiError::field("id", rejection.body_text());
    let Path(id) = id.map_err(not_text)?;
    let format = match &shape.format {
        Some(name) => name
            .parse()
            .map_err(|error: UnknownFormat| ApiError::field("format", error.to_string()))?,
        None => accept::choose(&headers)?,
    };
    match archive(&api)?.get(id, format).await.map_err(unreadable)? {
        Some(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, format.content_type()),
                (header::VARY, "accept"),
            ];
            Ok((headers, bytes).into_response())
        }
        None => Err(ApiError::new(
            Code::NotFound,
            "no report has this id: it may be in the making, or so old that its file was removed; \
             GET /api/v1/incidents lists those there are",
        )),
    }
}

fn archive(api: &Api) -> Result<&Archive, ApiError> {
    api.archive.as_ref().ok_or_else(|| {
        ApiError::new(
            Code::ServiceUnavailable,
            "incidents are kept only where BLACKBOX_OUTPUT_PATH names a directory",
        )
    })
}

/// The log says all; a client needs no paths.
fn unreadable(error: archive::Error) -> ApiError {
    let full = format!("{:#}", anyhow::Error::from(error));
    tracing::warn!(error = full, "reports cannot be read");
    let text = "the report files cannot be read; the daemon's log says why";
    ApiError::new(Code::InternalError, text)
}
