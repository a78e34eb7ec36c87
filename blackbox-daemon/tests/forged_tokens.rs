//! Tokens of pods against an API server: the genuine are accepted, the forged are not, each for its own reason.

mod cluster;

use std::path::Path;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use blackbox_daemon::api::auth::tokens::jwt;
use blackbox_daemon::api::auth::{Authorizer, Caller, Scope, may_speak_for, require};
use blackbox_daemon::api::{ApiError, Code};
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::cluster::forgeries::{forged, unfit, with};
use crate::cluster::{Cluster, POD, Review, claims, signed, unsigned};

async fn present(daemon: &Authorizer, token: &str) -> Result<Caller, ApiError> {
    let mut headers = HeaderMap::new();
    let header = HeaderValue::from_str(&format!("Bearer {token}")).expect("visible ASCII");
    headers.insert(AUTHORIZATION, header);
    daemon.authorize(&headers).await
}

#[tokio::test]
async fn a_genuine_token_proves_its_pod() {
    let cluster = Cluster::start().await;
    let daemon = cluster.daemon();
    let (namespace, name, uid) = POD;
    for token in [cluster.rs256(&claims("r")), cluster.es256(&claims("e"))] {
        let caller = present(&daemon, &token).await.unwrap();
        assert_eq!(caller.name, "pod shop/cart-1");
        assert_eq!(caller.scopes, [Scope::Telemetry]);
        let pod = caller.pod.as_ref().unwrap();
        assert_eq!((&*pod.namespace, &*pod.name, &*pod.uid), POD);
        assert_eq!(uid, pod.uid);
        assert!(require(&caller, Scope::Read).is_err());
        assert_eq!(may_speak_for(&caller, namespace, name), Ok(()));
        let other = may_speak_for(&caller, namespace, "cart-2").unwrap_err();
        assert_eq!(other.code, Code::Forbidden);
        // Again: by the answer that is remembered.
        assert_eq!(present(&daemon, &token).await, Ok(caller));
    }
    assert_eq!(cluster.asked(), (1, 2));
    let one_audience = with("one", |claims| claims["aud"] = json!("blackbox"));
    assert!(
        present(&daemon, &cluster.rs256(&one_audience))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn signed_claims_that_do_not_fit_are_refused_without_a_review() {
    let cluster = Cluster::start().await;
    let daemon = cluster.daemon();
    for (name, claims, why) in unfit() {
        for token in [cluster.rs256(&claims), cluster.es256(&claims)] {
            refused(&daemon, name, &token, why).await;
        }
    }
    assert_eq!(cluster.asked(), (1, 0));
}

/// 401, v1's word, and the reason.
async fn refused(daemon: &Authorizer, name: &str, token: &str, why: &str) {
    let error = present(daemon, token).await.expect_err(name);
    assert_eq!(error.code, Code::InvalidApiKey, "{name}: {error:?}");
    assert!(error.message.contains("Unauthorized"), "{name}: {error:?}");
    assert!(error.message.contains(why), "{name}: {error:?}");
}

#[tokio::test]
async fn forged_tokens_are_refused_without_a_review() {
    let cluster = Cluster::start().await;
    let daemon = cluster.daemon();
    for (name, token, why) in forged(&cluster) {
        refused(&daemon, name, &token, why).await;
    }
    // Rows with unknown kids among them: the keys are fetched once.
    assert_eq!(cluster.asked(), (1, 0));
    // What the table changes is what made it fail.
    let token = cluster.rs256(&claims("forged"));
    assert!(present(&daemon, &token).await.is_ok());
    // No header carries these; whatever else brings bytes gets the same answer.
    for bytes in [
        &token.replace('.', "\0.")[..],
        &format!("{token}\0"),
        "\0",
        "",
    ] {
        assert!(jwt::parse(bytes.as_bytes()).is_err());
    }
    assert!(jwt::parse(token.as_bytes()).is_ok());
}

#[tokio::test]
async fn the_review_has_the_last_word() {
    let cluster = Cluster::start().await;
    let daemon = cluster.daemon();
    for (says, why) in [
        (Review::Deleted, "was its pod deleted"),
        (Review::OtherUid, "another pod's"),
        (Review::NoUid, "another pod's"),
        (Review::OtherAudience, "other audiences only"),
        (Review::NoAudience, "other audiences only"),
    ] {
        let name = format!("{says:?}");
        cluster.will_say(says);
        let token = cluster.rs256(&claims(&name));
        refused(&daemon, &name, &token, why).await;
        let asked = cluster.asked();
        // The no is remembered, for this token only.
        cluster.will_say(Review::Genuine);
        refused(&daemon, &name, &token, why).await;
        assert_eq!(cluster.asked(), asked);
    }
}

#[tokio::test]
async fn without_the_api_server_nobody_is_let_in() {
    let cluster = Cluster::start().await;
    let daemon = cluster.daemon();
    let not_now = |answer: Result<Caller, ApiError>| {
        let error = answer.unwrap_err();
        assert_eq!(error.code, Code::ServiceUnavailable);
        assert!(error.retry_after.is_some());
    };
    for says in [Review::Forbidden, Review::Broken, Review::NotJson] {
        cluster.will_say(says);
        let token = cluster.es256(&claims(&format!("{says:?}")));
        not_now(present(&daemon, &token).await);
        // Not remembered: as soon as the API server is well, so is the token.
        cluster.will_say(Review::Genuine);
        assert!(present(&daemon, &token).await.is_ok());
    }
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let alone = cluster.daemon_that_asks(&url, Path::new(""));
    for _ in 0..3 {
        not_now(present(&alone, &cluster.rs256(&claims("alone"))).await);
    }
    // What needs no API server is refused without one.
    let header = json!({"alg": "none", "kid": "rsa"});
    let none = format!("{}.AAAA", unsigned(&header, &claims("alone")));
    refused(&alone, "alg none", &none, "not allowed").await;
}

#[tokio::test]
async fn unknown_kids_do_not_reach_the_api_server() {
    let cluster = Cluster::start().await;
    let daemon = cluster.daemon();
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..100 {
        let header = json!({"alg": "RS256", "kid": format!("invented-{number}")});
        let token = signed(&header, &claims("x"), &cluster.rsa, Algorithm::RS256);
        let daemon = daemon.clone();
        tries.spawn(async move { refused(&daemon, "invented", &token, "publish").await });
    }
    tries.join_all().await;
    assert_eq!(cluster.asked(), (1, 0));
}

#[tokio::test]
async fn an_api_server_of_another_ca_is_not_believed() {
    let cluster = Cluster::start().await;
    let (url, ca) = cluster.serve_tls().await;
    let (_, other_ca) = cluster.serve_tls().await;
    let token = cluster.es256(&claims("tls"));
    let fooled = cluster.daemon_that_asks(&url, &other_ca);
    let error = present(&fooled, &token).await.unwrap_err();
    assert_eq!(error.code, Code::ServiceUnavailable);
    assert_eq!(cluster.asked(), (0, 0));
    let daemon = cluster.daemon_that_asks(&url, &ca);
    assert!(present(&daemon, &token).await.is_ok());
}
