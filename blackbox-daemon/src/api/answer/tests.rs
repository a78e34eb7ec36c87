//! What clients see, through a router with every kind of error in it.

use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

#[derive(serde::Deserialize)]
struct Page {
    number: u8,
}

async fn page(Query(page): Query<Page>) -> String {
    page.number.to_string()
}

async fn panics() -> StatusCode {
    panic!("a bug in {}", "a handler")
}

fn router() -> Router {
    let busy = ApiError::new(Code::RateLimitExceeded, "too many")
        .retry_after(Duration::from_millis(1_200));
    let router =
        Router::new()
            .route("/fine", get(|| async { "fine" }).post(|| async {}))
            .route("/page", get(page))
            .route("/panic", get(panics))
            .route("/busy", get(|| async { busy }))
            .route(
                "/field",
                post(|| async { ApiError::field("data", "data must be an object") }),
            )
            .route(
                "/status/{code}",
                get(|code: axum::extract::Path<u16>| async move {
                    StatusCode::from_u16(code.0).unwrap()
                }),
            )
            .route(
                "/own",
                get(|| async { (StatusCode::NOT_FOUND, axum::Json(json!({"own": 1}))) }),
            );
    answering(router)
}

async fn ask(method: Method, path: &str, id: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(REQUEST_ID, id)
        .body(Body::empty())
        .unwrap();
    router().oneshot(request).await.unwrap()
}

async fn body(response: Response) -> Vec<u8> {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await;
    bytes.unwrap().into()
}

async fn error(method: Method, path: &str) -> (u16, HeaderMap, Value) {
    let response = ask(method, path, "my-id").await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    let value = serde_json::from_slice(&body(response).await).unwrap();
    (status, headers, value)
}

#[tokio::test]
async fn an_error_has_all_its_fields() {
    let (status, headers, mut value) = error(Method::POST, "/field").await;
    assert_eq!(status, 400);
    assert_eq!(headers[REQUEST_ID], "my-id");
    let timestamp = value["timestamp"].take();
    assert!(timestamp.as_str().unwrap().parse::<Timestamp>().is_ok());
    let expected = json!({
        "error": "validation_failed", "code": "validation_failed", "message": "data must be an object",
        "details": {"field": "data", "code": "validation_failed"}, "timestamp": null,
        "request_id": "my-id",
    });
    assert_eq!(value, expected);
}

#[tokio::test]
async fn ids_of_clients_are_taken_when_plain() {
    let longest = "x".repeat(64);
    for id in ["a", "A.z_0-9", &longest] {
        assert_eq!(
            ask(Method::GET, "/fine", id).await.headers()[REQUEST_ID],
            id
        );
    }
    for id in ["", "two words", "semi;colon", &"x".repeat(65)] {
        let response = ask(Method::GET, "/fine", id).await;
        let made = response.headers()[REQUEST_ID].to_str().unwrap();
        assert_ne!(made, id);
        assert!(made.ends_with("-0"), "{made}");
    }
}

#[tokio::test]
async fn answers_from_below_get_the_shape() {
    for (method, path, status, code, message) in [
        (Method::GET, "/none", 404, "not_found", "no such path"),
        (
            Method::PUT,
            "/fine",
            405,
            "method_not_allowed",
            "Method not allowed; allowed: GET, HEAD, POST",
        ),
        (
            Method::GET,
            "/status/408",
            408,
            "request_timeout",
            "BLACKBOX_API_TIMEOUT",
        ),
        (
            Method::GET,
            "/status/413",
            413,
            "payload_too_large",
            "BLACKBOX_API_MAX_BODY_SIZE",
        ),
        (
            Method::GET,
            "/status/415",
            415,
            "unsupported_media_type",
            "allowed: JSON",
        ),
        (
            Method::GET,
            "/status/503",
            503,
            "service_unavailable",
            "try again",
        ),
        (
            Method::GET,
            "/status/409",
            409,
            "validation_failed",
            "Conflict",
        ),
        (
            Method::GET,
            "/page?number=x",
            400,
            "validation_failed",
            "number: invalid digit",
        ),
    ] {
        let (got, headers, value) = error(method, path).await;
        assert_eq!(
            (got, value["code"].as_str()),
            (status, Some(code)),
            "{path}"
        );
        assert!(
            value["message"].as_str().unwrap().contains(message),
            "{path}: {value}"
        );
        assert_eq!(headers.contains_key("allow"), status == 405);
        assert_eq!(
            headers.contains_key("connection"),
            [408, 413].contains(&status)
        );
    }
}

#[tokio::test]
async fn waits_and_challenges_are_headers() {
    let (status, headers, _) = error(Method::GET, "/busy").await;
    assert_eq!(
        (status, &headers["retry-after"]),
        (429, &HeaderValue::from(2))
    );
    let (status, headers, _) = error(Method::GET, "/status/401").await;
    assert_eq!(status, 401);
    assert_eq!(headers["www-authenticate"], "Bearer");
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let (status, _, value) = error(Method::GET, "/panic").await;
    assert_eq!(
        (status, value["code"].as_str()),
        (500, Some("internal_error"))
    );
    assert!(!value.to_string().contains("a bug"), "{value}");
}

#[tokio::test]
async fn json_of_a_handlers_own_passes() {
    let response = ask(Method::GET, "/own", "my-id").await;
    assert_eq!(response.headers()[REQUEST_ID], "my-id");
    assert_eq!(body(response).await, br#"{"own":1}"#);
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    for path in ["/fine", "/none", "/panic"] {
        let response = ask(Method::HEAD, path, "my-id").await;
        let length = response.headers()[CONTENT_LENGTH].to_str().unwrap();
        assert!(length.parse::<u64>().unwrap() > 0, "{path}");
        assert!(body(response).await.is_empty(), "{path}");
    }
}
