//! Keys, limits and the description.

use reqwest::Method;
use serde_json::{Value, json};

use super::{INCIDENT, TELEMETRY, check_error, telemetry};
use crate::running::{KEY, Running};

#[tokio::test]
async fn without_the_key_nothing_but_health_is_told() {
    let running = Running::start(&[]).await;
    for path in [
        TELEMETRY,
        INCIDENT,
        "/api/v1/buffer/status",
        "/api/v1/export",
        "/api/v1/incidents",
        "/api/v1/incidents/x",
        "/api/v1/window",
        "/api/v1/stream",
        "/swagger.json",
        "/swagger/",
        "/nothing",
        "/",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = running.send(method.clone(), path, None, Vec::new()).await;
            check_error(&answer, 401, "authentication_required", "Unauthorized");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            let answer = running.send(method, path, Some("wrong"), Vec::new()).await;
            check_error(&answer, 401, "invalid_api_key", "Unauthorized");
        }
    }
    for header in [
        format!("bearer {KEY}"),
        format!("Bearer  {KEY}"),
        KEY.to_owned(),
        format!("Basic {KEY}"),
        format!("Bearer {KEY}x"),
    ] {
        let url = format!("http://127.0.0.1:{}/api/v1/buffer/status", running.port);
        let request = reqwest::Client::new()
            .get(url)
            .header("Authorization", &header);
        let answer = crate::running::answer(request).await;
        assert_eq!(answer.status, 401, "{header}");
    }
    let health = running.send(Method::GET, "/api/v1/health", None, Vec::new());
    assert_eq!(health.await.json()["service"], "blackbox-daemon");
    assert!(
        !running.daemon.log().unwrap().contains(KEY),
        "the log shows the key"
    );
}

#[tokio::test]
async fn limits_are_told_and_kept() {
    let running = Running::start(&[
        ("BLACKBOX_API_RATE_LIMIT", "3"),
        ("BLACKBOX_API_MAX_BODY_SIZE", "2048"),
    ])
    .await;
    for left in (0..3).rev() {
        let answer = running.post(TELEMETRY, &telemetry("a", json!({}))).await;
        assert_eq!(
            (answer.status, answer.header("x-ratelimit-limit")),
            (200, "3")
        );
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
        let reset: i64 = answer.header("x-ratelimit-reset").parse().unwrap();
        let ahead = reset - jiff::Timestamp::now().as_second();
        assert!((0..=61).contains(&ahead), "{ahead}");
    }
    let refused = running.post(TELEMETRY, &telemetry("a", json!({}))).await;
    check_error(&refused, 429, "rate_limit_exceeded", "3 requests");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    for (path, limit) in [
        ("/api/v1/export", "10"),
        ("/api/v1/buffer/status", "300"),
        ("/api/v1/incidents", "300"),
    ] {
        assert_eq!(
            running.get(path).await.header("x-ratelimit-limit"),
            limit,
            "{path}"
        );
    }
    let incident = running.post(INCIDENT, &json!({})).await;
    assert_eq!(incident.header("x-ratelimit-limit"), "100");
    let large = json!({"message": "x".repeat(4096)});
    check_error(
        &running.post(INCIDENT, &large).await,
        413,
        "payload_too_large",
        "BLACKBOX_API_MAX_BODY_SIZE",
    );
    let url = format!("http://127.0.0.1:{}{INCIDENT}", running.port);
    let zipped = reqwest::Client::new()
        .post(url)
        .header("Authorization", format!("Bearer {KEY}"))
        .header("Content-Encoding", "gzip")
        .body(vec![0x1f, 0x8b]);
    check_error(
        &crate::running::answer(zipped).await,
        415,
        "unsupported_media_type",
        "identity",
    );
}

#[tokio::test]
async fn the_description_is_served_only_where_it_is_wanted() {
    let running = Running::start(&[("BLACKBOX_SWAGGER_ENABLE", "true")]).await;
    for path in ["/swagger.json", "/swagger/doc.json"] {
        let api = running
            .send(Method::GET, path, None, Vec::new())
            .await
            .json();
        assert!(api["openapi"].as_str().unwrap().starts_with("3."));
        assert_eq!(api["info"]["title"], "BlackBox Daemon API");
        assert!(api["components"]["securitySchemes"]["bearerAuth"].is_object());
        for schema in ["SidecarTelemetry", "IncidentReport"] {
            assert!(api["components"]["schemas"][schema].is_object(), "{schema}");
        }
        check_refs(&api, &api);
        let paths: Vec<&String> = api["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths.len(), 9, "{paths:?}");
    }
    for path in ["/swagger/", "/swagger/index.html"] {
        let page = running.send(Method::GET, path, None, Vec::new()).await;
        assert_eq!(page.status, 200);
        let text = page.unzipped();
        assert!(
            text.contains("swagger-ui") && !text.contains("//cdn") && !text.contains("https://"),
            "{text}"
        );
    }
    let bundle = running
        .send(
            Method::GET,
            "/swagger/swagger-ui-bundle.js",
            None,
            Vec::new(),
        )
        .await;
    assert!(bundle.status == 200 && bundle.unzipped().len() > 100_000);
    // v1 opened these paths exactly, and no others.
    assert_eq!(
        running
            .send(Method::GET, "/swagger.jsonx", None, Vec::new())
            .await
            .status,
        401
    );
}

/// Every `$ref` leads somewhere (v1's did not).
fn check_refs(value: &Value, root: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                let pointer = to.strip_prefix('#').unwrap();
                assert!(root.pointer(pointer).is_some(), "{to} leads nowhere");
            }
            map.values().for_each(|value| check_refs(value, root));
        }
        Value::Array(list) => list.iter().for_each(|value| check_refs(value, root)),
        _ => {}
    }
}
