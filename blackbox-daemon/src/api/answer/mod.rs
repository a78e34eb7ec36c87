//! The outermost layer: every request gets an id, every error one shape, and a handler's panic is one error of them.
//!
//! Reads the [`ApiError`] a handler left in its response, or, where a part below the handlers answered, the status
//! and headers; makes the JSON body. Answers that are no errors, or are JSON already, pass as they are, but for the
//! id. Guarantee: every request is answered, and no `HEAD` request with a body.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};

use super::error::{ApiError, Code};
use crate::clock;

mod render;
#[cfg(test)]
mod tests;

/// The header of a request's id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken from a client, bytes.
const LONGEST_ID: usize = 64;

/// A request's id. A request's extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

/// Makes ids that are unique as long as the node is up. Clones count together.
#[derive(Clone, Debug, Default)]
struct RequestIds(Arc<AtomicU64>);

impl RequestIds {
    /// The client's id when it is 1 to 64 characters of `[A-Za-z0-9._-]`, else the boot time in ns (hex) and a
    /// count.
    fn id(&self, headers: &HeaderMap) -> RequestId {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let theirs = headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .filter(|id| (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_plain));
        if let Some(id) = theirs {
            return RequestId(id.into());
        }
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        RequestId(format!("{:x}-{count}", clock::boot_now().0).into())
    }
}

/// A router whose every answer passes through here.
///
/// Around the whole of it, not a layer of its own: axum adds `Allow` to a 405 after a router's layers.
pub fn answering(router: Router) -> Router {
    Router::new()
        .fallback_service(router)
        .layer(from_fn_with_state(RequestIds::default(), answer))
}

async fn answer(State(ids): State<RequestIds>, mut request: Request, next: Next) -> Response {
    let id = ids.id(request.headers());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    request.extensions_mut().insert(id.clone());
    let mut response = caught(next.run(request)).await.unwrap_or_else(|panic| {
        let what = format!("{method} {}", uri.path());
        tracing::error!(request = %what, id = %id.0, panic, "a request's handler panicked");
        ApiError::new(
            Code::InternalError,
            "internal error; the daemon's log says more",
        )
        .into_response()
    });
    if render::needs_rendering(&response) {
        response = render::rendered(response, &id).await;
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if method == Method::HEAD {
        headless(response)
    } else {
        response
    }
}

/// The answer to `HEAD`: the headers of the answer to `GET`, and no body.
fn headless(mut response: Response) -> Response {
    let length = response.body().size_hint().exact().unwrap_or(0);
    let headers = response.headers_mut();
    // axum has said the length already where it took the body off.
    if length > 0 && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
    response
}

/// Runs a future to its end, or to a panic's message.
async fn caught<T>(run: impl Future<Output = T>) -> Result<T, String> {
    let mut run = pin!(run);
    std::future::poll_fn(|context| {
        // After a panic the future is never polled again.
        match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(message(panic.as_ref()))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of no known type".to_owned())
}

/// Whether a response's body is JSON of some kind.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| {
        let kind = kind.trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    })
}
