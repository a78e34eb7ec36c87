//! The stream's own answer, which schemathesis would wait for without end: its head and its first event.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::running::{KEY, Running};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_stream_is_as_described() {
    let running = Running::start(&[("BLACKBOX_SWAGGER_ENABLE", "true")]).await;
    let api = running.get("/swagger.json").await.json();
    let described = &api["paths"]["/api/v1/stream"]["get"]["responses"]["200"];

    let url = format!(
        "http://127.0.0.1:{}/api/v1/stream?kind=reported,oom",
        running.port
    );
    let request = reqwest::Client::new().get(url).bearer_auth(KEY);
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    let kind = stream.headers()["content-type"].to_str().unwrap();
    assert!(
        described["content"][kind].is_object(),
        "{kind}: {described}"
    );
    for name in described["headers"].as_object().unwrap().keys() {
        assert!(stream.headers().contains_key(name.as_str()), "{name}");
    }

    let sent = running
        .post("/api/v1/incident", &json!({"message": "streamed"}))
        .await;
    assert_eq!(sent.status, 200);
    let mut text = String::new();
    let reading = async {
        while !text.contains("\n\n") {
            let chunk = stream.chunk().await.unwrap().unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    };
    timeout(LIMIT, reading).await.unwrap();
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data:"))
        .unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert!(text.starts_with("event:") && event.is_object(), "{text}");
}
