//! `POST /api/v1/incident`: somebody reports that something went wrong. No field is required, as in v1.

use axum::extract::{Request, State};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fields::Fields;
use super::{MAX_WORD, at_most, container_id, map, object, pod, refused, short, tags};
use crate::api::auth::Caller;
use crate::api::body::{from_json, read_bytes};
use crate::api::json::Object;
use crate::api::moment::Moment;
use crate::api::openapi::schemas;
use crate::api::{Api, ApiError, auth};
use crate::clock::{self, WallOffset};
use crate::record::{BootTime, LaneName, Reported, Severity, Submission};
use crate::sources::sidecar::claimed;

/// Most characters of a message: it is shown whole, in logs too.
const MAX_MESSAGE: usize = 16 << 10;
/// Most bytes of a context: it lies in the lane of decisive records.
const MAX_CONTEXT: usize = 64 << 10;

/// An incident, as its reporter sees it.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct IncidentReport {
    /// The reporter's id; made if missing. A report that is sent again with the same id is the same incident.
    #[schema(max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    id: Option<String>,
    /// When it happened; now, if missing.
    #[schema(inline)]
    timestamp: Option<Moment>,
    #[schema(
        max_length = 253,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        example = "checkout-7d9f8"
    )]
    pod_name: Option<String>,
    #[schema(
        max_length = 63,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        example = "shop"
    )]
    namespace: Option<String>,
    #[schema(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    container_id: Option<String>,
    /// low, medium, high or critical; anything else counts as medium and is kept in the context.
    #[schema(
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        example = "high"
    )]
    severity: Option<String>,
    /// crash, oom, timeout, error, degraded, security or manual; anything is accepted.
    #[serde(rename = "type")]
    #[schema(
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        example = "timeout"
    )]
    kind: Option<String>,
    #[schema(
        max_length = 16384,
        example = "payment service did not answer within 30 s"
    )]
    message: Option<String>,
    /// Anything that helps: at most 64 KiB.
    #[schema(inline, value_type = Option<schemas::Free>)]
    context: Option<Fields>,
    /// Another name for `context`.
    #[schema(inline, value_type = Option<schemas::Free>)]
    metadata: Option<Fields>,
    /// At most 64.
    #[schema(inline, value_type = Option<schemas::Tags>)]
    tags: Option<Fields>,
}

/// An incident that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentAccepted {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    status: &'static str,
    /// What `GET /api/v1/incidents/{id}` finds once the report is written, some seconds later.
    incident_id: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    message: String,
}

/// Its route.
pub(in crate::api) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(report))
}

/// Report an incident.
#[utoipa::path(
    post, operation_id = "report_incident", path = "/api/v1/incident", tag = "sidecars",
    request_body = IncidentReport,
    responses((
        status = 200, description = "A report will follow", body = IncidentAccepted,
        links(("its_report" = (
            operation_id = "get_incident", parameters(("id" = "$response.body#/incident_id"))
        )))
    )),
    security(("bearerAuth" = []))
)]
pub async fn report(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<IncidentAccepted>, ApiError> {
    let body = read_bytes(request, &api.body).await?;
    let reported = body.parsed(move |body| parse(body, &caller)).await?;
    let severity = reported.severity;
    let place = api.sidecars.place(LaneName::Decisive).await;
    let place = place.map_err(|error| refused(&error))?;
    let (now, wall) = (clock::boot_now(), WallOffset::now());
    let incident_id = api.sidecars.report(place, reported, now, wall);
    let incident_id = incident_id.map_err(|error| refused(&error))?;
    api.metrics.incident_reported(severity);
    Ok(Json(IncidentAccepted {
        status: "accepted",
        incident_id,
        timestamp: wall.wall(now),
        message: "a report will be written when the incident has settled".to_owned(),
    }))
}

/// Reads a body. A caller that is proven to be a pod speaks of this pod, also when it names none.
///
/// # Errors
/// It is not JSON, a bound is exceeded, or the caller may not speak for the pod it names; the error says what is allowed.
pub fn parse(body: &[u8], caller: &Caller) -> Result<Reported, ApiError> {
    let Object(report): Object<IncidentReport> = from_json(body)?;
    let mut pod = pod(report.namespace, report.pod_name)?;
    if let Some(proven) = &caller.pod
        && pod.name.is_empty()
        && pod.namespace.is_empty()
    {
        pod.name.clone_from(&proven.name);
        pod.namespace.clone_from(&proven.namespace);
    }
    auth::may_speak_for(caller, &pod.namespace, &pod.name)?;
    let mut context = small("metadata", report.metadata)?;
    context.extend(small("context", report.context)?);
    let severity = short("severity", report.severity, MAX_WORD)?;
    let known = Severity::parse(&severity);
    if known.is_none() && !severity.is_empty() {
        context.insert("claimed_severity".to_owned(), Value::from(severity));
    }
    let kind = short("type", report.kind, MAX_WORD)?;
    let message = report.message.unwrap_or_default();
    at_most(
        "message",
        message.chars().count(),
        MAX_MESSAGE,
        "characters",
    )?;
    let context = Value::from(context).to_string();
    at_most("context", context.len(), MAX_CONTEXT, "bytes")?;
    Ok(Reported {
        id: short("id", report.id, MAX_WORD)?,
        pod: (!pod.name.is_empty() || !pod.namespace.is_empty()).then_some(pod),
        container_id: container_id(report.container_id)?,
        severity: known.unwrap_or(Severity::Medium),
        kind: if kind.is_empty() {
            "manual".to_owned()
        } else {
            kind
        },
        message,
        submission: Submission {
            by: caller.name.clone(),
            proven_uid: caller.pod.as_ref().map(|pod| pod.uid.clone()),
            received: BootTime(0),
            claimed: report.timestamp.map(|Moment(at)| claimed(at)),
        },
        tags: tags(report.tags)?,
        context,
    })
}

/// The object as values, for it must be small anyway.
fn small(field: &str, fields: Option<Fields>) -> Result<Map<String, Value>, ApiError> {
    let fields = fields.unwrap_or_default();
    at_most(field, fields.text.len(), MAX_CONTEXT, "bytes")?;
    let map = map(field, &fields)?;
    object(field, fields)?;
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::auth::{ProvenPod, Scope};

    fn caller(pod: Option<(&str, &str)>) -> Caller {
        Caller {
            name: "default".to_owned(),
            scopes: vec![Scope::Telemetry],
            pod: pod.map(|(namespace, name)| ProvenPod {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                uid: "uid".to_owned(),
            }),
        }
    }

    #[test]
    fn every_field_has_v1s_default() {
        let reported = parse(b"{}", &caller(None)).unwrap();
        assert_eq!(
            (reported.id.as_str(), reported.kind.as_str()),
            ("", "manual")
        );
        assert_eq!(reported.severity, Severity::Medium);
        assert_eq!((reported.pod, reported.context.as_str()), (None, "{}"));
    }

    #[test]
    fn context_and_metadata_are_one_and_unknown_severities_are_kept() {
        let body =
            br#"{"metadata":{"a":1,"b":2},"context":{"b":3},"severity":"warning","type":"x"}"#;
        let reported = parse(body, &caller(None)).unwrap();
        assert_eq!(
            reported.context,
            r#"{"a":1,"b":3,"claimed_severity":"warning"}"#
        );
        assert_eq!(reported.severity, Severity::Medium);
        let reported = parse(br#"{"severity":"HIGH"}"#, &caller(None)).unwrap();
        assert_eq!(reported.severity, Severity::High);
    }

    #[test]
    fn a_proven_pod_speaks_of_itself_only() {
        let me = caller(Some(("shop", "checkout")));
        let pod = parse(b"{}", &me).unwrap().pod.unwrap();
        assert_eq!(pod.to_string(), "shop/checkout");
        assert!(parse(br#"{"pod_name":"checkout","namespace":"shop"}"#, &me).is_ok());
        assert!(parse(br#"{"pod_name":"other","namespace":"shop"}"#, &me).is_err());
        assert!(parse(br#"{"pod_name":"checkout"}"#, &me).is_err());
    }

    #[test]
    fn bounds_are_named() {
        for (body, field) in [
            (
                format!(r#"{{"message":"{}"}}"#, "x".repeat(MAX_MESSAGE + 1)),
                "message",
            ),
            (
                format!(r#"{{"context":{{"a":"{}"}}}}"#, "x".repeat(MAX_CONTEXT)),
                "context",
            ),
            (format!(r#"{{"id":"{}"}}"#, "x".repeat(129)), "id"),
        ] {
            let error = parse(body.as_bytes(), &caller(None)).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field));
        }
    }
}
