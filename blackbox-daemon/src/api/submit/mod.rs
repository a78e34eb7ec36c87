//! What sidecars submit: telemetry and incidents.
//!
//! Reads JSON bodies as v1 clients send them (unknown fields and `null`s are ignored, as they were), checks every bound,
//! and makes the records' contents. [`telemetry::parse`] and [`incident::parse`] are pure, for tests and fuzzing.

mod few;
mod fields;
pub mod incident;
pub mod telemetry;

use serde_json::{Map, Value};

use self::fields::Fields;
use crate::api::body::is_deeper_than;
use crate::api::{ApiError, Code};
use crate::record::PodName;
use crate::sources::sidecar::Refused;

/// Most characters of a pod's name (RFC 1123 subdomain, as Kubernetes checks it).
const MAX_POD: usize = 253;
/// Most characters of a namespace (RFC 1123 label).
const MAX_NAMESPACE: usize = 63;
/// Most characters of a container id with its runtime's scheme.
const MAX_CONTAINER_ID: usize = 256;
/// Most characters of other short texts: runtime, severity, type, id.
const MAX_WORD: usize = 128;
/// Most tags of one object.
pub(super) const MAX_TAGS: usize = 64;
/// Most characters of a tag's key, and of a key of `data` or `context`.
pub(super) const MAX_KEY: usize = 256;
/// Most characters of a tag's value.
pub(super) const MAX_TAG: usize = 1024;
/// Most keys of `data` or `context`.
pub(super) const MAX_KEYS: usize = 1024;

/// `text`, if it is no longer than `most` characters and holds no control characters.
fn short(field: &str, text: Option<String>, most: usize) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    if text.chars().any(char::is_control) {
        let message = format!("{field} holds a control character; allowed: none");
        return Err(ApiError::field(field, message));
    }
    at_most(field, text.chars().count(), most, "characters")?;
    Ok(text)
}

fn at_most(field: &str, found: usize, most: usize, what: &str) -> Result<(), ApiError> {
    if found <= most {
        return Ok(());
    }
    let message = format!("{field} has {found} {what}; allowed: at most {most}");
    Err(ApiError::field(field, message))
}

fn pod(namespace: Option<String>, name: Option<String>) -> Result<PodName, ApiError> {
    Ok(PodName {
        namespace: short("namespace", namespace, MAX_NAMESPACE)?,
        name: short("pod_name", name, MAX_POD)?,
    })
}

/// The id without a runtime's scheme (`containerd://…`); `None` for none at all.
fn container_id(id: Option<String>) -> Result<Option<String>, ApiError> {
    let id = short("container_id", id, MAX_CONTAINER_ID)?;
    let bare = id.split_once("://").map_or(id.as_str(), |(_, bare)| bare);
    Ok((!bare.is_empty()).then(|| bare.to_owned()))
}

fn tags(tags: Option<Fields>) -> Result<Vec<(String, String)>, ApiError> {
    let tags = tags.unwrap_or_default();
    at_most("tags", tags.keys, MAX_TAGS, "entries")?;
    if is_deeper_than(tags.text.as_bytes(), 1) {
        let message = "tags holds what is no string; allowed: strings";
        return Err(ApiError::field("tags", message));
    }
    let tags = map("tags", &tags)?;
    tags.into_iter()
        .map(|(key, value)| {
            let key = short("tags", Some(key), MAX_KEY)?;
            let Value::String(value) = value else {
                let message = format!("tags.{key} is no string; allowed: strings");
                return Err(ApiError::field("tags", message));
            };
            at_most(
                "tags",
                value.chars().count(),
                MAX_TAG,
                "characters in a value",
            )?;
            Ok((key, value))
        })
        .collect()
}

/// The object's text, if its keys are neither too many nor too long.
fn object(field: &str, object: Fields) -> Result<String, ApiError> {
    at_most(field, object.keys, MAX_KEYS, "keys")?;
    at_most(field, object.longest_key, MAX_KEY, "characters in a key")?;
    Ok(object.text)
}

/// The object as values, for those that are small.
fn map(field: &str, object: &Fields) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_str(&object.text).map_err(|error| ApiError::field(field, error.to_string()))
}

/// Memory that is short is not before this long.
const SHORT: std::time::Duration = std::time::Duration::from_secs(10);

fn refused(refused: &Refused) -> ApiError {
    let error = |code| ApiError::new(code, refused.to_string());
    match refused {
        Refused::PodShare { retry_after, .. } | Refused::TotalShare { retry_after, .. } => {
            error(Code::RateLimitExceeded).retry_after(*retry_after)
        }
        Refused::Memory => error(Code::RateLimitExceeded).retry_after(SHORT),
        Refused::Busy => {
            error(Code::ServiceUnavailable).retry_after(std::time::Duration::from_secs(1))
        }
    }
}
