//! The API server's two answers, and a count of how often each was asked for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::POD;

pub(super) const OWN_TOKEN: &str = "the-daemon's-own-token";

/// What the API server says of any token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Review {
    Genuine,
    /// The pod is gone.
    Deleted,
    OtherUid,
    NoUid,
    OtherAudience,
    NoAudience,
    /// 403: the daemon may not ask.
    Forbidden,
    /// 500.
    Broken,
    NotJson,
}

pub(super) struct Server {
    pub(super) jwks: Value,
    pub(super) review: Mutex<Review>,
    pub(super) fetches: AtomicUsize,
    pub(super) reviews: AtomicUsize,
}

pub(super) async fn serve(server: Arc<Server>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router(server)).await });
    url
}

pub(super) fn router(server: Arc<Server>) -> Router {
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    Router::new()
        .route("/openid/v1/jwks", get(publish))
        .route(reviews, post(review))
        .with_state(server)
}

fn is_the_daemon(headers: &HeaderMap) -> bool {
    headers["authorization"] == format!("Bearer {OWN_TOKEN}")
}

async fn publish(State(server): State<Arc<Server>>, headers: HeaderMap) -> Json<Value> {
    assert!(is_the_daemon(&headers));
    server.fetches.fetch_add(1, Ordering::Relaxed);
    Json(server.jwks.clone())
}

async fn review(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    Json(asked): Json<Value>,
) -> (StatusCode, String) {
    assert!(is_the_daemon(&headers));
    assert_eq!(asked["kind"], "TokenReview");
    assert_eq!(asked["spec"]["audiences"], json!(["blackbox"]));
    server.reviews.fetch_add(1, Ordering::Relaxed);
    let says = *server.review.lock().expect("no panic");
    let uid = match says {
        Review::OtherUid => json!(["another-uid"]),
        Review::NoUid => json!([]),
        _ => json!([POD.2]),
    };
    let audiences = match says {
        Review::OtherAudience => json!(["https://kubernetes.default.svc"]),
        Review::NoAudience => Value::Null,
        _ => json!(["blackbox"]),
    };
    let mut status = json!({"authenticated": true, "user": {
        "username": "system:serviceaccount:shop:cart", "uid": "77aa-sa",
        "extra": {"authentication.kubernetes.io/pod-name": [POD.1],
                  "authentication.kubernetes.io/pod-uid": uid}}});
    if !audiences.is_null() {
        status["audiences"] = audiences;
    }
    match says {
        Review::Deleted => status = json!({"user": {}, "error": "[invalid bearer token]"}),
        Review::Forbidden => return (StatusCode::FORBIDDEN, String::new()),
        Review::Broken => return (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        Review::NotJson => return (StatusCode::CREATED, "<html>".to_owned()),
        _ => {}
    }
    let answer = json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
                        "spec": asked["spec"], "status": status});
    (StatusCode::CREATED, answer.to_string())
}
