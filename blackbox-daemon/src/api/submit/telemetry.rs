//! `POST /api/v1/telemetry`: one object, or a batch of them, all accepted or none.

use axum::extract::{Request, State};
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::few::Few;
use super::fields::Fields;
use super::{MAX_WORD, at_most, container_id, object, pod, refused, short, tags};
use crate::api::auth::Caller;
use crate::api::body::{Shallow, read_bytes};
use crate::api::json::Object;
use crate::api::moment::Moment;
use crate::api::openapi::schemas;
use crate::api::{Api, ApiError, auth};
use crate::clock::{self, WallOffset};
use crate::record::{BootTime, LaneName, Submission, Telemetry};
use crate::report::entries::entry_id;
use crate::sources::sidecar::claimed;

/// Most objects of one batch.
const MAX_BATCH: usize = 1000;

/// What a sidecar measured. Each key of `data` becomes one entry.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct SidecarTelemetry {
    /// The pod's name. Required.
    #[schema(
        required = true,
        nullable = false,
        min_length = 1,
        max_length = 253,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]+$",
        example = "checkout-7d9f8"
    )]
    pod_name: Option<String>,
    /// The pod's namespace. Required.
    #[schema(
        required = true,
        nullable = false,
        min_length = 1,
        max_length = 63,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]+$",
        example = "shop"
    )]
    namespace: Option<String>,
    /// The container's id, with or without its runtime's scheme; joins it to what the kernel saw.
    #[schema(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    container_id: Option<String>,
    /// jvm, nodejs, python, dotnet, go, ruby or custom; anything is accepted.
    #[schema(
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        example = "nodejs"
    )]
    runtime: Option<String>,
    /// When it was measured; now, if missing. A time from the future or older than the window is kept beside the time
    /// of arrival, which then decides its place.
    #[schema(inline)]
    timestamp: Option<Moment>,
    /// The measurements, by name: at most 1024 keys.
    #[schema(inline, value_type = Option<schemas::Free>, example = json!({"heap_used_mb": 412.5, "active_connections": 17}))]
    data: Option<Fields>,
    /// Added to each entry's tags: at most 64.
    #[schema(inline, value_type = Option<schemas::Tags>)]
    tags: Option<Fields>,
    /// Not here: it makes a batch.
    #[schema(schema_with = schemas::nothing)]
    entries: Option<IgnoredAny>,
}

/// Many telemetry objects at once.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TelemetryBatch {
    /// At least one, at most 1000.
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<SidecarTelemetry>)]
    entries: Few<Object<SidecarTelemetry>, MAX_BATCH>,
    /// Not here: each object has its own.
    #[schema(schema_with = schemas::nothing)]
    pod_name: Option<IgnoredAny>,
}

/// One object, or many: the description's word for both. [`parse`] tells them apart.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum TelemetryBody {
    One(SidecarTelemetry),
    Batch(TelemetryBatch),
}

/// Tells a batch from a single object.
#[derive(Debug, Deserialize)]
struct Probe {
    entries: Option<IgnoredAny>,
}

/// Telemetry that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct TelemetryAccepted {
    /// Always `accepted`.
    #[schema(example = "accepted")]
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// The first object's id, as reports show it in an entry's metadata.
    #[schema(example = "e8d3f4a2b1")]
    entry_id: String,
    /// One id for each object.
    entry_ids: Vec<String>,
    /// Entries made: one for each key of each `data`.
    entries_added: usize,
    message: String,
}

/// Its route.
pub(in crate::api) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(submit))
}

/// Submit telemetry of a pod.
#[utoipa::path(
    post, operation_id = "submit_telemetry", path = "/api/v1/telemetry", tag = "sidecars",
    request_body = TelemetryBody,
    responses((status = 200, description = "It is in the window", body = TelemetryAccepted)),
    security(("bearerAuth" = []))
)]
pub async fn submit(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<TelemetryAccepted>, ApiError> {
    let body = read_bytes(request, &api.body).await?;
    let by = caller.clone();
    let parsed = body.parsed(move |body| parse(body, &by)).await?;
    for Parsed { telemetry, .. } in &parsed {
        auth::may_speak_for(&caller, &telemetry.pod.namespace, &telemetry.pod.name)?;
    }
    let entries_added = parsed.iter().map(|parsed| parsed.entries).sum();
    let runtimes: Vec<(String, u64)> = parsed
        .iter()
        .map(|parsed| (parsed.telemetry.runtime.clone(), parsed.entries as u64))
        .collect();
    let telemetry = parsed.into_iter().map(|parsed| parsed.telemetry).collect();
    let place = api.sidecars.place(LaneName::Bulk).await;
    let place = place.map_err(|error| refused(&error))?;
    let (now, wall) = (clock::boot_now(), WallOffset::now());
    let numbers = api.sidecars.submit(place, telemetry, now, wall);
    let numbers = numbers.map_err(|error| refused(&error))?;
    let counted = runtimes
        .iter()
        .map(|(runtime, entries)| (runtime.as_str(), *entries));
    api.metrics.telemetry(counted);
    let entry_ids: Vec<String> = numbers.into_iter().map(entry_id).collect();
    Ok(Json(TelemetryAccepted {
        status: "accepted",
        timestamp: wall.wall(now),
        entry_id: entry_ids.first().cloned().unwrap_or_default(),
        message: format!("entries recorded: {entries_added}"),
        entry_ids,
        entries_added,
    }))
}

/// One object of a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// `entry` and `submission.received` are still to be set.
    pub telemetry: Telemetry,
    /// How many v1 entries it makes.
    pub entries: usize,
}

/// Reads a body that `caller` sent.
///
/// # Errors
/// It is not JSON, a required field is missing, or a bound is exceeded; the error names the field and what is allowed.
pub fn parse(body: &[u8], caller: &Caller) -> Result<Vec<Parsed>, ApiError> {
    let body = Shallow::of(body)?;
    // One object is the common case, and is read once.
    match body.parse() {
        Ok(Object(one @ SidecarTelemetry { entries: None, .. })) => {
            return Ok(vec![check(one, caller)?]);
        }
        Ok(_batch) => {}
        // A batch may hold anything beside its entries.
        Err(error) => match body.parse() {
            Ok(Object(Probe { entries: Some(_) })) => {}
            _ => return Err(error),
        },
    }
    let Object(batch): Object<TelemetryBatch> = body.parse()?;
    if batch.pod_name.is_some() {
        let message =
            "a batch has no pod_name of its own; allowed: one object, or {\"entries\": […]}";
        return Err(ApiError::field("pod_name", message));
    }
    let entries = batch.entries;
    if entries.count == 0 {
        let message = format!("entries is empty; allowed: 1 to {MAX_BATCH} objects");
        return Err(ApiError::field("entries", message));
    }
    at_most("entries", entries.count, MAX_BATCH, "objects")?;
    let check = |(index, Object(one))| {
        check(one, caller).map_err(|error| ApiError {
            field: error.field.map(|field| format!("entries[{index}].{field}")),
            ..error
        })
    };
    entries.kept.into_iter().enumerate().map(check).collect()
}

fn check(one: SidecarTelemetry, caller: &Caller) -> Result<Parsed, ApiError> {
    if one.entries.is_some() {
        let message = "a batch has no batches in it; allowed: objects with data";
        return Err(ApiError::field("entries", message));
    }
    let pod = pod(one.namespace, one.pod_name)?;
    for (field, value) in [("pod_name", &pod.name), ("namespace", &pod.namespace)] {
        if value.is_empty() {
            let message =
                format!("Pod name and namespace are required: {field} is missing or empty");
            return Err(ApiError::field(field, message));
        }
    }
    let data = one.data.unwrap_or_default();
    let entries = data.keys;
    let telemetry = Telemetry {
        entry: 0,
        pod,
        container_id: container_id(one.container_id)?,
        runtime: short("runtime", one.runtime, MAX_WORD)?,
        submission: Submission {
            by: caller.name.clone(),
            proven_uid: caller.pod.as_ref().map(|pod| pod.uid.clone()),
            received: BootTime(0),
            claimed: one.timestamp.map(|Moment(at)| claimed(at)),
        },
        tags: tags(one.tags)?,
        data: object("data", data)?,
    };
    Ok(Parsed { telemetry, entries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Code;

    fn caller() -> Caller {
        Caller {
            name: "default".to_owned(),
            scopes: Vec::new(),
            pod: None,
        }
    }

    fn refusal(body: &str) -> (Option<String>, String) {
        let error = parse(body.as_bytes(), &caller()).unwrap_err();
        assert_eq!(error.code, Code::ValidationFailed, "{body}");
        (error.field, error.message)
    }

    #[test]
    fn what_v1_took_is_taken() {
        for body in [
            r#"{"pod_name":"a","namespace":"b"}"#,
            r#"{"pod_name":"a","namespace":"b","data":null,"runtime":null,"timestamp":null,"tags":null}"#,
            r#"{"pod_name":"a","namespace":"b","data":{},"unknown":[1,{"x":null}]}"#,
            r#"{"pod_name":"a","namespace":"b","timestamp":"2024-01-15T10:30:00Z","entries":null}"#,
            r#"{"pod_name":"a","namespace":"b","timestamp":"2024-01-15T10:30:00.123456789+02:00"}"#,
            r#"  {"pod_name":"ä ö","namespace":"b","data":{"a":1,"b":[{}],"":null}}"#,
        ] {
            let parsed = parse(body.as_bytes(), &caller()).unwrap();
            assert_eq!(parsed.len(), 1, "{body}");
        }
    }

    #[test]
    fn what_v1_refused_is_refused_in_its_words_and_named() {
        for body in [
            "",
            "{",
            "[]",
            "7",
            "null",
            r#"["a","b",null,null,null,null,null]"#,
            r#"{"entries":[["a","b",null,null,null,null,null]]}"#,
            r#"{"data":[]}"#,
            "{} {}",
            r#"{"timestamp":"yesterday"}"#,
        ] {
            assert!(refusal(body).1.contains("Invalid JSON"), "{body}");
        }
        for (body, field) in [
            (r#"{"namespace":"b"}"#, "pod_name"),
            (r#"{"pod_name":"a","namespace":""}"#, "namespace"),
            (r#"{}"#, "pod_name"),
        ] {
            let (found, message) = refusal(body);
            assert_eq!(found.as_deref(), Some(field));
            assert!(
                message.contains("Pod name and namespace are required"),
                "{message}"
            );
        }
    }

    #[test]
    fn bounds_are_named_with_what_is_allowed() {
        let one = |rest: &str| format!(r#"{{"pod_name":"a","namespace":"b"{rest}}}"#);
        let keys: Vec<String> = (0..1025).map(|key| format!(r#""k{key}":1"#)).collect();
        let tags: Vec<String> = (0..65).map(|key| format!(r#""k{key}":"v""#)).collect();
        for (body, field, allowed) in [
            (
                one(&format!(r#","runtime":"{}""#, "x".repeat(129))),
                "runtime",
                "at most 128",
            ),
            (one(r#","runtime":"a\u0007""#), "runtime", "none"),
            (
                one(&format!(r#","data":{{{}}}"#, keys.join(","))),
                "data",
                "at most 1024",
            ),
            (
                one(&format!(r#","data":{{"{}":1}}"#, "x".repeat(257))),
                "data",
                "at most 256",
            ),
            (
                one(&format!(r#","tags":{{{}}}"#, tags.join(","))),
                "tags",
                "at most 64",
            ),
            (one(r#","tags":{"a":1}"#), "tags", "strings"),
            (r#"{"entries":[]}"#.to_owned(), "entries", "1 to 1000"),
            (
                r#"{"entries":[{"pod_name":"a","namespace":"b"},{"namespace":"b"}]}"#.to_owned(),
                "entries[1].pod_name",
                "required",
            ),
        ] {
            let (found, message) = refusal(&body);
            assert_eq!(found.as_deref(), Some(field), "{message}");
            assert!(message.contains(allowed), "{message}");
        }
    }

    #[test]
    fn a_batch_keeps_its_order_and_ids_lose_their_scheme() {
        let body = r#"{"entries":[{"pod_name":"a","namespace":"n","container_id":"containerd://abc","data":{"x":1,"y":2}},{"pod_name":"b","namespace":"n"}]}"#;
        let parsed = parse(body.as_bytes(), &caller()).unwrap();
        let names: Vec<_> = parsed
            .iter()
            .map(|p| p.telemetry.pod.name.as_str())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((parsed[0].entries, parsed[1].entries), (2, 0));
        assert_eq!(parsed[0].telemetry.container_id.as_deref(), Some("abc"));
        assert_eq!(parsed[0].telemetry.data, r#"{"x":1,"y":2}"#);
        assert_eq!(parsed[0].telemetry.submission.by, "default");
    }
}
