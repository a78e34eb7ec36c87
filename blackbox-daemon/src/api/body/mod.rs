//! A request's body as JSON, within bounds of size, time and depth.
//!
//! Reads what hyper delivers; makes values, or an [`ApiError`] that says which bound was met. Any `Content-Type` is
//! taken, as v1 took it; compressed bodies are not, for their size says nothing. Guarantee: never more than
//! [`BodyLimits::bytes`] and one frame is held, and nothing deeper than [`DEPTH`] is parsed.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::{ApiError, Code};

#[cfg(test)]
mod tests;

/// Most levels of arrays and objects in a body.
pub const DEPTH: usize = 32;
/// What is reserved for a body before any of it came, bytes: its announced length may never come.
const FIRST_RESERVE: u64 = 16 << 10;
/// Longest text of a parser's complaint, in characters: it may quote the body.
const COMPLAINT: usize = 256;

/// Bounds of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Largest body, bytes: `BLACKBOX_API_MAX_BODY_SIZE`.
    pub bytes: u64,
    /// Most time for all of it.
    pub time: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            time: Duration::from_secs(10),
        }
    }
}

/// An extractor: the request's body as `T`.
#[derive(Clone, Copy, Debug)]
pub struct JsonBody<T>(pub T);

impl<S, T> FromRequest<S> for JsonBody<T>
where
    BodyLimits: FromRef<S>,
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        read_json(request, BodyLimits::from_ref(state))
            .await
            .map(Self)
    }
}

/// Reads a request's body as JSON.
///
/// # Errors
///
/// 415 for a compressed body, 413 for one that is too large, 408 for one that takes too long, 400 for one that is
/// not JSON, is too deep, or is no `T`.
pub async fn read_json<T: DeserializeOwned>(
    request: Request,
    limits: BodyLimits,
) -> Result<T, ApiError> {
    let bytes = read_bytes(request, limits).await?;
    from_json(&bytes)
}

/// Reads a request's body as it is.
///
/// # Errors
///
/// 415, 413 and 408 as [`read_json`]; 400 when the client breaks off.
pub async fn read_bytes(request: Request, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    check_encoding(&parts.headers)?;
    match timeout(limits.time, collect(body, limits.bytes)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(ApiError::new(
            Code::RequestTimeout,
            format!("the body did not arrive within {:?}", limits.time),
        )),
    }
}

/// Parses JSON that is not too deep.
///
/// # Errors
///
/// 400; the message begins with `Invalid JSON`, as v1's did, and says where.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if is_deeper_than(bytes, DEPTH) {
        let complaint = format!("Invalid JSON: nested deeper than {DEPTH} levels");
        return Err(ApiError::new(Code::ValidationFailed, complaint));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let place = format!(" at line {line} column {column}");
        let complaint = error.to_string();
        let complaint = complaint.strip_suffix(&place).unwrap_or(&complaint);
        let complaint: String = complaint.chars().take(COMPLAINT).collect();
        let message = format!("Invalid JSON: {complaint}{place}");
        ApiError::new(Code::ValidationFailed, message)
    })
}

fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_identity = |value: &axum::http::HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.is_empty() || value.eq_ignore_ascii_case(b"identity")
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Ok(());
    }
    Err(ApiError::new(
        Code::UnsupportedMediaType,
        "unsupported Content-Encoding; allowed: identity (send the body uncompressed)",
    ))
}

async fn collect(mut body: Body, most: u64) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!(
            "the body is larger than {most} bytes, the limit configured by BLACKBOX_API_MAX_BODY_SIZE"
        );
        ApiError::new(Code::PayloadTooLarge, message)
    };
    // With a Content-Length this is known before anything is read.
    let announced = body.size_hint().lower();
    if announced > most {
        return Err(too_large());
    }
    let reserve = usize::try_from(announced.min(FIRST_RESERVE)).unwrap_or(0);
    let mut read = BytesMut::with_capacity(reserve);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let message = format!("the body could not be read: {error}");
            ApiError::new(Code::ValidationFailed, message)
        })?;
        // Trailers say nothing to us.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (read.len() + data.len()) as u64 > most {
            return Err(too_large());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// Whether JSON text opens more than `most` levels. Text that is no JSON gives some answer, at once.
fn is_deeper_than(text: &[u8], most: usize) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
