//! An error as JSON: v1's documented fields, its code twice, as one of v1's documents has `error` and one `code`.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::header::{
    ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER,
    TRANSFER_ENCODING, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;

use super::{RequestId, is_json};
use crate::api::error::{ApiError, Code};
use crate::clock::{self, WallOffset};

/// Longest text of a part below the handlers that is passed on, bytes.
const LONGEST_TEXT: u64 = 1024;

#[derive(Serialize)]
struct Answer<'a> {
    error: Code,
    code: Code,
    message: &'a str,
    details: Details<'a>,
    /// RFC 3339, UTC, milliseconds.
    timestamp: String,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Details<'a> {
    field: Option<&'a str>,
    code: Code,
}

/// Whether a response is an error that does not have its shape yet.
pub(super) fn needs_rendering(response: &Response) -> bool {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    response.extensions().get::<ApiError>().is_some() || is_error && !is_json(response.headers())
}

/// The response with its error as its body. Other headers (CORS, rate limits, `Allow`) stay.
pub(super) async fn rendered(response: Response, id: &RequestId) -> Response {
    let (mut parts, body) = response.into_parts();
    let error = match parts.extensions.remove::<ApiError>() {
        Some(error) => error,
        None => from_below(parts.status, &parts.headers, body).await,
    };
    let now = WallOffset::now().wall(clock::boot_now());
    let answer = Answer {
        error: error.code,
        code: error.code,
        message: &error.message,
        details: Details {
            field: error.field.as_deref(),
            code: error.code,
        },
        timestamp: format!("{now:.3}"),
        request_id: &id.0,
    };
    let body = match serde_json::to_vec(&answer) {
        Ok(json) => Body::from(json),
        // Strings and nothing else: this does not fail.
        Err(_) => Body::empty(),
    };
    let headers = &mut parts.headers;
    for of_the_old_body in [CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
        headers.remove(of_the_old_body);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(wait) = error.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    match parts.status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // The rest of the body is not wanted, so there is no next request either.
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    Response::from_parts(parts, body)
}

/// Rounded up, and at least 1: a client that comes at 0 comes too early.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The error that a status without one stands for.
async fn from_below(status: StatusCode, headers: &HeaderMap, body: Body) -> ApiError {
    let allowed = headers.get(ALLOW).and_then(|allowed| allowed.to_str().ok());
    let message = match status {
        StatusCode::UNAUTHORIZED => "Unauthorized".to_owned(),
        StatusCode::NOT_FOUND => "no such path".to_owned(),
        StatusCode::METHOD_NOT_ALLOWED => {
            let allowed = allowed.unwrap_or_default().split(',').map(str::trim);
            let allowed: Vec<_> = allowed.filter(|method| !method.is_empty()).collect();
            match allowed.as_slice() {
                [] => "Method not allowed".to_owned(),
                some => format!("Method not allowed; allowed: {}", some.join(", ")),
            }
        }
        StatusCode::REQUEST_TIMEOUT => {
            "the request took longer than BLACKBOX_API_TIMEOUT allows".to_owned()
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            "the body is larger than the limit configured by BLACKBOX_API_MAX_BODY_SIZE".to_owned()
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "unsupported media type; allowed: JSON, not compressed".to_owned()
        }
        StatusCode::SERVICE_UNAVAILABLE => "service unavailable; try again later".to_owned(),
        status if status.is_server_error() => {
            "internal error; the daemon's log says more".to_owned()
        }
        // axum says in plain text which part of a path or query it could not take.
        status => text(body).await.unwrap_or_else(|| {
            status
                .canonical_reason()
                .unwrap_or("bad request")
                .to_owned()
        }),
    };
    ApiError::new(Code::of(status), message)
}

/// A body's text, if it is short and says something.
async fn text(body: Body) -> Option<String> {
    body.size_hint()
        .exact()
        .filter(|&size| 0 < size && size <= LONGEST_TEXT)?;
    let bytes = axum::body::to_bytes(body, usize::MAX).await.ok()?;
    String::from_utf8(bytes.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_001, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
