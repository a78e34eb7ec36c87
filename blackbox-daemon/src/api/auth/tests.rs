//! What the header must be, what refusals say, and what a caller may do.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Router};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{Authorizer, Caller, Config, ProvenPod, Scope, authenticate, may_speak_for, require};
use crate::api::{ApiError, Code};

const KEY: &str = "correct-horse";

fn with(key: Option<&str>) -> Authorizer {
    Authorizer::open(Config {
        key: key.map(str::to_owned),
        ..Config::default()
    })
    .unwrap()
}

async fn send(authorizer: &Authorizer, headers: &[&[u8]]) -> Result<Caller, ApiError> {
    let mut map = HeaderMap::new();
    for header in headers {
        map.append(AUTHORIZATION, HeaderValue::from_bytes(header).unwrap());
    }
    authorizer.authorize(&map).await
}

#[tokio::test]
async fn only_bearer_and_the_key_is_accepted() {
    let authorizer = with(Some(KEY));
    let caller = send(&authorizer, &[b"Bearer correct-horse"]).await.unwrap();
    assert_eq!((caller.name.as_str(), caller.pod), ("default", None));
    let none = send(&authorizer, &[]).await.unwrap_err();
    assert_eq!(none.code, Code::AuthenticationRequired);
    assert!(none.message.contains("Unauthorized"));
    let rows: [&[&[u8]]; 11] = [
        &[b""],
        &[b"Bearer "],
        &[b"Bearer"],
        &[b"correct-horse"],
        &[b"bearer correct-horse"],
        &[b"Bearer  correct-horse"],
        &[b"Bearer correct-horse "],
        &[b"Bearer correct-hors"],
        &[b"Bearer correct-horsf"],
        &[b"Bearer \xff\xfe"],
        &[b"Bearer correct-horse", b"Bearer correct-horse"],
    ];
    for row in rows {
        let error = send(&authorizer, row).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidApiKey, "{row:?}");
        assert!(error.message.contains("Unauthorized"), "{row:?}");
    }
}

#[tokio::test]
async fn without_credentials_the_refusal_says_how_to_set_one() {
    let authorizer = with(None);
    for headers in [&[][..], &[b"Bearer x".as_slice()]] {
        let message = send(&authorizer, headers).await.unwrap_err().message;
        assert!(message.contains("Unauthorized") && message.contains("set BLACKBOX_API_KEY"));
    }
    assert!(
        Authorizer::open(Config {
            key: Some(String::new()),
            ..Config::default()
        })
        .is_err()
    );
}

#[test]
fn a_missing_scope_is_named() {
    let caller = Caller {
        name: "grafana".to_owned(),
        scopes: vec![Scope::Read],
        pod: None,
    };
    assert_eq!(require(&caller, Scope::Read), Ok(()));
    let error = require(&caller, Scope::Telemetry).unwrap_err();
    assert_eq!(error.code, Code::Forbidden);
    assert_eq!(
        error.message,
        "Forbidden: this needs the scope telemetry; grafana has: read"
    );
    let admin = Caller {
        scopes: vec![Scope::Admin],
        ..caller
    };
    assert!(
        Scope::ALL
            .into_iter()
            .all(|scope| require(&admin, scope).is_ok())
    );
}

#[test]
fn a_pod_speaks_for_itself_only() {
    let pod = ProvenPod {
        namespace: "shop".to_owned(),
        name: "cart-1".to_owned(),
        uid: "u-1".to_owned(),
    };
    let mut caller = Caller {
        name: pod.to_string(),
        scopes: vec![Scope::Telemetry],
        pod: Some(pod),
    };
    assert_eq!(may_speak_for(&caller, "shop", "cart-1"), Ok(()));
    for (namespace, name) in [
        ("shop", "cart-2"),
        ("other", "cart-1"),
        ("", ""),
        ("shop", ""),
    ] {
        let error = may_speak_for(&caller, namespace, name).unwrap_err();
        assert_eq!(error.code, Code::Forbidden);
        assert!(error.message.contains("pod shop/cart-1"));
    }
    caller.pod = None;
    assert_eq!(may_speak_for(&caller, "any", "pod"), Ok(()));
}

#[test]
fn debug_shows_no_key() {
    let config = Config {
        key: Some(KEY.to_owned()),
        ..Config::default()
    };
    assert!(!format!("{config:?}").contains(KEY));
}

#[tokio::test]
async fn the_layer_lets_callers_pass_and_nobody_else() {
    let who = |Extension(caller): Extension<Caller>| async move { caller.name };
    let router = Router::new()
        .route("/", get(who))
        .layer(from_fn_with_state(with(Some(KEY)), authenticate));
    let ask = |key: &str| {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {key}"));
        router.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let answer = ask(KEY).await.unwrap();
    assert_eq!(to_bytes(answer.into_body(), 100).await.unwrap(), "default");
    let refused = ask("wrong").await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        refused.extensions().get::<ApiError>().unwrap().code,
        Code::InvalidApiKey
    );
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_the_watch_ends_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let write = |key: &str| {
        let text = format!(r#"{{"keys":[{{"name":"a","key":"{key}","scopes":["read"]}}]}}"#);
        std::fs::write(&path, text).unwrap();
    };
    write("the-former-key-of-a");
    let authorizer = Authorizer::open(Config {
        keys_file: Some(path.clone()),
        ..Config::default()
    })
    .unwrap();
    assert!(
        send(&authorizer, &[b"Bearer the-former-key-of-a"])
            .await
            .is_ok()
    );
    let stop = CancellationToken::new();
    let (watched, until) = (authorizer.clone(), stop.clone());
    let watch = tokio::spawn(async move { watched.watch(until).await });
    write("the-latter-key-of-a-now");
    let noticed = async {
        while send(&authorizer, &[b"Bearer the-latter-key-of-a-now"])
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noticed)
        .await
        .unwrap();
    assert!(
        send(&authorizer, &[b"Bearer the-former-key-of-a"])
            .await
            .is_err()
    );
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(20), watch)
        .await
        .unwrap()
        .unwrap();
}
