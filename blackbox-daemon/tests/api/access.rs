//! Who may ask: named keys, TLS, browsers; and starts that are refused.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{KEY, Running, answer, free_port};

const READ: &str = "the-key-of-the-grafana";
const SUBMIT: &str = "the-key-of-the-sidecars";

fn keys(path: &Path, list: &[(&str, &str, &str)]) {
    let keys: Vec<Value> = list
        .iter()
        .map(|(name, key, scope)| json!({"name": name, "key": key, "scopes": [scope]}))
        .collect();
    let temp = path.with_extension("new");
    std::fs::write(&temp, json!({ "keys": keys }).to_string()).unwrap();
    std::fs::rename(temp, path).unwrap();
}

async fn status(running: &Running, method: Method, path: &str, key: &str) -> u16 {
    running
        .send(method, path, Some(key), b"{}".to_vec())
        .await
        .status
}

#[tokio::test]
async fn named_keys_have_scopes_and_are_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    keys(
        &file,
        &[("grafana", READ, "read"), ("sidecars", SUBMIT, "telemetry")],
    );
    let running = Running::start(&[
        ("BLACKBOX_API_KEY", "unset"),
        ("BLACKBOX_API_KEYS_FILE", file.to_str().unwrap()),
    ])
    .await;
    for (method, path, read, submit) in [
        (Method::GET, "/api/v1/buffer/status", 200, 403),
        (Method::GET, "/api/v1/incidents", 200, 403),
        (Method::GET, "/api/v1/window", 200, 403),
        (Method::GET, "/api/v1/stream?kind=oom", 200, 403),
        (Method::POST, "/api/v1/incident", 403, 200),
        (Method::POST, "/api/v1/telemetry", 403, 400),
    ] {
        if path.starts_with("/api/v1/stream") {
            assert_eq!(
                status(&running, method, path, SUBMIT).await,
                submit,
                "{path}"
            );
            continue;
        }
        assert_eq!(
            status(&running, method.clone(), path, READ).await,
            read,
            "{path}"
        );
        assert_eq!(
            status(&running, method, path, SUBMIT).await,
            submit,
            "{path}"
        );
    }
    let refused = running
        .send(Method::GET, "/api/v1/window", Some(SUBMIT), Vec::new())
        .await;
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("read") && message.contains("telemetry"),
        "{message}"
    );

    let renewed = "another-key-of-the-grafana";
    keys(&file, &[("grafana", renewed, "read")]);
    let changed = async {
        while status(&running, Method::GET, "/api/v1/incidents", renewed).await != 200 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed)
        .await
        .expect("the new key is known");
    assert_eq!(
        status(&running, Method::GET, "/api/v1/incidents", READ).await,
        401
    );
    std::fs::write(&file, "{broken").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        status(&running, Method::GET, "/api/v1/incidents", renewed).await,
        200
    );
    assert!(!running.daemon.log().unwrap().contains(renewed));
}

#[tokio::test]
async fn tls_is_served_and_a_new_certificate_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (
        directory.path().join("tls.crt"),
        directory.path().join("tls.key"),
    );
    let make = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        made.cert.pem()
    };
    let first = make();
    let running = Running::start(&[
        ("BLACKBOX_API_TLS_CERT_FILE", cert.to_str().unwrap()),
        ("BLACKBOX_API_TLS_KEY_FILE", key.to_str().unwrap()),
    ])
    .await;
    let health = async |pem: &str| {
        let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([root])
            .build()
            .unwrap();
        let url = format!("https://localhost:{}/api/v1/health", running.port);
        client
            .get(url)
            .send()
            .await
            .map(|answer| answer.status().as_u16())
    };
    assert!(health(&first).await.is_ok());
    let plain = reqwest::get(format!("http://127.0.0.1:{}/api/v1/health", running.port)).await;
    assert!(plain.is_err(), "plain HTTP on a TLS port");
    let second = make();
    let renewed = async {
        while health(&second).await.is_err() {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), renewed)
        .await
        .expect("the new certificate is served");
}

#[tokio::test]
async fn browsers_may_ask_from_where_they_are_allowed_to() {
    let running = Running::start(&[("BLACKBOX_API_CORS_ORIGINS", "https://ops.example")]).await;
    let url = format!("http://127.0.0.1:{}/api/v1/telemetry", running.port);
    for (origin, allowed) in [
        ("https://ops.example", "https://ops.example"),
        ("https://evil.example", ""),
    ] {
        let preflight = reqwest::Client::new()
            .request(Method::OPTIONS, &url)
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization,content-type",
            );
        let answer = answer(preflight).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}

#[test]
fn keys_and_certificates_that_cannot_be_used_end_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    let short = r#"{"keys":[{"name":"a","key":"short","scopes":["read"]}]}"#;
    let scope = r#"{"keys":[{"name":"a","key":"long-enough-to-be-a-key","scopes":["write"]}]}"#;
    for (text, words) in [
        (short, ["keys.json", "16"]),
        (scope, ["keys.json", "telemetry"]),
        ("{", ["keys.json", "line 1"]),
    ] {
        std::fs::write(&file, text).unwrap();
        let told = refused_start(&[("BLACKBOX_API_KEYS_FILE", file.to_str().unwrap())]);
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        assert!(!told.contains("short"), "the error shows a key: {told}");
    }
    let missing = directory.path().join("none.pem");
    let told = refused_start(&[
        ("BLACKBOX_API_KEY", KEY),
        ("BLACKBOX_API_TLS_CERT_FILE", missing.to_str().unwrap()),
        ("BLACKBOX_API_TLS_KEY_FILE", missing.to_str().unwrap()),
    ]);
    assert!(told.contains("none.pem"), "{told}");
    let told = refused_start(&[
        ("BLACKBOX_API_KEY", KEY),
        ("BLACKBOX_API_TLS_CERT_FILE", missing.to_str().unwrap()),
    ]);
    assert!(told.contains("BLACKBOX_API_TLS_KEY_FILE"), "{told}");
}

/// What a daemon says that ends at once with exit code 2.
fn refused_start(env: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_blackbox-daemon"));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("BLACKBOX_") {
            command.env_remove(key);
        }
    }
    let settings = [
        ("BLACKBOX_EBPF", "off"),
        ("BLACKBOX_METRICS_ENABLED", "false"),
        ("BLACKBOX_OUTPUT_PATH", directory.path().to_str().unwrap()),
    ];
    let ended = command
        .envs(settings)
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{told}");
    told
}

#[tokio::test]
async fn without_a_key_there_is_no_api_and_recording_goes_on() {
    let port = free_port();
    let number = port.to_string();
    let settings = [
        ("BLACKBOX_API_KEY", "unset"),
        ("BLACKBOX_API_PORT", number.as_str()),
    ];
    let running = Running::start_without_api(&settings).await;
    let log = running.daemon.log().unwrap();
    let answer = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    assert!(answer.is_err(), "{port}: {log}");
    let disabled = r#"blackbox_source_state{source="sidecar",state="disabled"} 1"#;
    // It says so when it records, or in a moment.
    let said = async {
        while !running.metrics().await.contains(disabled) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(10), said).await;
    assert!(said.is_ok(), "{}", running.metrics().await);
}
