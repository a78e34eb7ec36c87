//! Each bound met, and what passes just below it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

use super::*;

fn bodies() -> Bodies {
    Bodies::within(BodyLimits {
        bytes: 1024,
        time: Duration::from_millis(50),
    })
}

async fn read(body: impl Into<Body>) -> Result<Value, ApiError> {
    read_json(Request::new(body.into()), &bodies()).await
}

async fn refused(body: impl Into<Body>, code: Code) -> String {
    let error = read(body).await.unwrap_err();
    assert_eq!(error.code, code, "{}", error.message);
    error.message
}

#[tokio::test]
async fn json_is_read_whatever_its_type_is_called() {
    assert_eq!(read(r#"{"a": [1]}"#).await.unwrap(), json!({"a": [1]}));
    let request = Request::builder()
        .header("content-type", "text/plain")
        .header("content-encoding", "Identity")
        .body(Body::from("1"))
        .unwrap();
    assert_eq!(read_json::<u8>(request, &bodies()).await.unwrap(), 1);
}

#[tokio::test]
async fn compressed_bodies_are_refused() {
    let request = Request::builder()
        .header("content-encoding", "gzip")
        .body(Body::from("{}"))
        .unwrap();
    let error = read_json::<Value>(request, &bodies()).await.unwrap_err();
    assert_eq!(error.code, Code::UnsupportedMediaType);
    assert!(error.message.contains("identity"), "{}", error.message);
}

#[tokio::test]
async fn complaints_say_where() {
    let message = refused("{\n  \"a\": }", Code::ValidationFailed).await;
    assert!(message.starts_with("Invalid JSON: "), "{message}");
    assert!(message.ends_with(" at line 2 column 8"), "{message}");
    let error = from_json::<u8>(format!("\"{}\"", "x".repeat(900)).as_bytes()).unwrap_err();
    assert!(error.message.len() < 320, "{}", error.message);
    assert!(error.message.contains("at line 1"), "{}", error.message);
    refused("", Code::ValidationFailed).await;
}

#[tokio::test]
async fn depth_is_bounded() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(from_json::<Value>(nested(DEPTH).as_bytes()).is_ok());
    for levels in [DEPTH + 1, 100_000] {
        let error = from_json::<Value>(nested(levels).as_bytes()).unwrap_err();
        assert!(error.message.contains("32 levels"), "{}", error.message);
    }
    let text = format!(r#"{{"a": "\"{}", "b\\": []}}"#, "[{".repeat(99));
    assert!(from_json::<Value>(text.as_bytes()).is_ok());
}

#[tokio::test]
async fn a_body_announced_too_large_is_not_read() {
    let message = refused(" ".repeat(1025), Code::PayloadTooLarge).await;
    assert!(message.contains("BLACKBOX_API_MAX_BODY_SIZE"), "{message}");
    assert!(read(" ".repeat(1023) + "1").await.is_ok());
}

#[tokio::test]
async fn a_body_without_length_is_read_to_the_limit_only() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let chunks = tokio_stream::iter(0..100_000).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Bytes::from_static(&[b' '; 100]))
    });
    refused(Body::from_stream(chunks), Code::PayloadTooLarge).await;
    assert_eq!(sent.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn a_body_that_dribbles_is_given_up() {
    let drops = tokio_stream::iter(0..1000).throttle(Duration::from_millis(5));
    let drops = drops.map(|_| Ok::<_, Infallible>(Bytes::from_static(b" ")));
    refused(Body::from_stream(drops), Code::RequestTimeout).await;
}

#[tokio::test]
async fn a_body_without_room_is_refused_and_a_small_one_is_not() {
    let bodies = Bodies {
        limits: BodyLimits::default(),
        room: Room::of(60 << 10),
    };
    let read = async |size: usize| {
        let parts = vec![Ok::<_, Infallible>(Bytes::from(vec![b' '; 1000])); size / 1000];
        let body = Body::from_stream(tokio_stream::iter(parts));
        read_bytes(Request::new(body), &bodies).await
    };
    let kept = read(50_000).await.unwrap();
    assert_eq!(kept.len(), 50_000);
    assert_eq!(read(8_000).await.unwrap().len(), 8_000);
    let refused = read(50_000).await.unwrap_err();
    assert_eq!(refused.code, Code::ServiceUnavailable);
    drop(kept);
    assert!(read(50_000).await.is_ok());
}
