//! The description as a document: valid OpenAPI 3.1, whole, and every operation says all it may answer.

use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::run::tools;
use crate::running::Running;

async fn description() -> (Value, String) {
    let running = Running::start(&[("BLACKBOX_SWAGGER_ENABLE", "true")]).await;
    let answer = running
        .send(Method::GET, "/swagger.json", None, Vec::new())
        .await;
    (answer.json(), answer.text)
}

#[tokio::test]
async fn it_is_valid() {
    let (api, text) = description().await;
    assert!(
        api["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        api["openapi"]
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("swagger.json");
    std::fs::write(&file, text).unwrap();
    let mut validator = Command::new(tools().validator);
    let output = validator
        .args(["--schema", "3.1"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:#?}");
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let (api, _) = description().await;
    let mut found = 0;
    check_references(&api, &api, &mut found);
    assert!(found > 50, "{found}");
}

fn check_references(value: &Value, root: &Value, found: &mut usize) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get("$ref") {
                let pointer = to.strip_prefix('#').unwrap();
                assert!(root.pointer(pointer).is_some(), "{to} leads nowhere");
                *found += 1;
            }
            for value in map.values() {
                check_references(value, root, found);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|value| check_references(value, root, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_operation_says_what_it_is_and_what_it_answers() {
    let (api, _) = description().await;
    let resolve = |value: &'_ Value| match value["$ref"].as_str() {
        Some(to) => api.pointer(to.trim_start_matches('#')).unwrap().clone(),
        None => value.clone(),
    };
    let mut names = Vec::new();
    for item in api["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            names.push(name);
            assert!(
                operation["summary"].is_string() && operation["tags"].is_array(),
                "{name}"
            );
            let responses = operation["responses"].as_object().unwrap();
            let mut expected = vec!["200", "408", "500", "503"];
            if operation["security"].is_array() {
                expected.extend(["401", "403", "429"]);
            }
            if operation["requestBody"].is_object() {
                expected.extend(["400", "413", "415"]);
            }
            for status in expected {
                assert!(responses.contains_key(status), "{name}: {status}");
            }
            for (status, response) in responses {
                let response = resolve(response);
                assert!(
                    !response["description"].as_str().unwrap().is_empty(),
                    "{name} {status}"
                );
                assert!(response["content"].is_object(), "{name} {status}");
                let headers = response["headers"].as_object().unwrap();
                assert!(headers.contains_key("X-Request-Id"), "{name} {status}");
                let limited = headers.contains_key("X-RateLimit-Remaining");
                let counted = ["200", "400", "404", "406", "413", "415", "429"];
                let counted =
                    counted.contains(&status.as_str()) && operation["security"].is_array();
                assert_eq!(limited, counted, "{name} {status}");
                assert!(
                    status != "429" || headers.contains_key("Retry-After"),
                    "{name}"
                );
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{name}: {parameter}");
            }
        }
    }
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "buffer_status",
            "export_window",
            "get_incident",
            "health",
            "list_incidents",
            "read_window",
            "report_incident",
            "stream_events",
            "submit_telemetry"
        ]
    );
}
