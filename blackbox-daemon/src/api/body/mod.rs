//! A request's body as JSON, within bounds of size, time and depth.
//!
//! Reads what hyper delivers; makes values, or an [`ApiError`] that says which bound was met. Any `Content-Type` is
//! taken, as v1 took it; compressed bodies are not, for their size says nothing. Guarantee: never more than
//! [`BodyLimits::bytes`] and one frame is held, all bodies together have their [`Room`], and nothing deeper than
//! [`DEPTH`] is parsed.

use std::ops::Deref;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use self::room::{FREE, Place, Room};
use super::error::{ApiError, Code};

pub mod room;

#[cfg(test)]
mod tests;

/// Most levels of arrays and objects in a body.
pub const DEPTH: usize = 32;
/// Most bytes that are parsed at once where they are read: about a millisecond's work.
const SMALL: usize = 128 << 10;
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

/// What bodies are read with. Clones share the room.
#[derive(Clone, Debug, Default)]
pub struct Bodies {
    pub limits: BodyLimits,
    pub room: Room,
}

impl Bodies {
    /// Bodies within `limits` each, and the usual room for all.
    #[must_use]
    pub fn within(limits: BodyLimits) -> Self {
        Self {
            limits,
            room: Room::default(),
        }
    }
}

/// A body that has come whole. It keeps its place in the room until it is dropped.
#[derive(Debug)]
pub struct Whole {
    bytes: Vec<u8>,
    place: Place,
}

impl Whole {
    /// What `parse` makes of it; on another thread if that may take long.
    ///
    /// # Errors
    /// Those of `parse`.
    pub async fn parsed<T: Send + 'static>(
        self,
        parse: impl FnOnce(&[u8]) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if self.len() <= SMALL {
            return parse(&self);
        }
        let room = self.place.room().clone();
        room.apart(move || parse(&self)).await
    }
}

impl Deref for Whole {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a request's body as JSON.
///
/// # Errors
///
/// 415 for a compressed body, 413 for one that is too large, 408 for one that takes too long, 400 for one that is
/// not JSON, is too deep, or is no `T`, 503 when the room for bodies is full.
pub async fn read_json<T: DeserializeOwned>(
    request: Request,
    bodies: &Bodies,
) -> Result<T, ApiError> {
    let whole = read_bytes(request, bodies).await?;
    from_json(&whole)
}

/// Reads a request's body as it is.
///
/// # Errors
///
/// 415, 413, 408 and 503 as [`read_json`]; 400 when the client breaks off.
pub async fn read_bytes(request: Request, bodies: &Bodies) -> Result<Whole, ApiError> {
    let Bodies { limits, room } = bodies;
    let (parts, body) = request.into_parts();
    check_encoding(&parts.headers)?;
    match timeout(limits.time, collect(body, limits.bytes, room.place())).await {
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
    Shallow::of(bytes)?.parse()
}

/// JSON text that is not too deep, to be parsed as this or that.
#[derive(Clone, Copy, Debug)]
pub struct Shallow<'a>(&'a [u8]);

impl<'a> Shallow<'a> {
    /// # Errors
    ///
    /// 400 for more than [`DEPTH`] levels.
    pub fn of(bytes: &'a [u8]) -> Result<Self, ApiError> {
        if is_deeper_than(bytes, DEPTH) {
            let complaint = format!("Invalid JSON: nested deeper than {DEPTH} levels");
            return Err(ApiError::new(Code::ValidationFailed, complaint));
        }
        Ok(Self(bytes))
    }

    /// # Errors
    ///
    /// As [`from_json`].
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        serde_json::from_slice(self.0).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let place = format!(" at line {line} column {column}");
            let complaint = error.to_string();
            let complaint = complaint.strip_suffix(&place).unwrap_or(&complaint);
            let complaint: String = complaint.chars().take(COMPLAINT).collect();
            let message = format!("Invalid JSON: {complaint}{place}");
            ApiError::new(Code::ValidationFailed, message)
        })
    }
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

async fn collect(mut body: Body, most: u64, mut place: Place) -> Result<Whole, ApiError> {
    let too_large = || {
        let message = format!(
            "the body is larger than {most} bytes, the limit configured by BLACKBOX_API_MAX_BODY_SIZE"
        );
        ApiError::new(Code::PayloadTooLarge, message)
    };
    let size = body.size_hint();
    // With a Content-Length this is known before anything is read.
    if size.lower() > most {
        return Err(too_large());
    }
    let end = usize::try_from(size.upper().unwrap_or(most).min(most)).unwrap_or(usize::MAX);
    // Not all of what is announced: it may never come.
    let mut bytes = Vec::with_capacity(if size.exact().is_some() {
        FREE.min(end)
    } else {
        0
    });
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let message = format!("the body could not be read: {error}");
            ApiError::new(Code::ValidationFailed, message)
        })?;
        // Trailers say nothing to us.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = bytes.len() + data.len();
        if length as u64 > most {
            return Err(too_large());
        }
        if length > bytes.capacity() {
            let capacity = (bytes.capacity() * 2).min(end).max(length);
            place.grow(capacity).await?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Whole { bytes, place })
}

/// Whether JSON text opens more than `most` levels. Text that is no JSON gives some answer, at once.
pub(super) fn is_deeper_than(text: &[u8], most: usize) -> bool {
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
