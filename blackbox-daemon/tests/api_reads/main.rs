//! What the API answers from: a real recorder, a real directory of reports, and the routers as a server has them.

mod incidents;
mod lab;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod window;

use blackbox_daemon::api;
use serde_json::Value;

#[test]
fn every_read_is_described_and_no_reference_is_broken() {
    let (_, document) = api::reads().merge(api::exports()).split_for_parts();
    let document = api::openapi::complete(document);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths.len(), 5, "{paths:?}");
    for (path, item) in document["paths"].as_object().unwrap() {
        for status in ["200", "400", "401", "403", "429", "503"] {
            assert!(
                item["get"]["responses"][status].is_object(),
                "{path} {status}"
            );
        }
        assert!(
            item["get"]["security"][0]["bearerAuth"].is_array(),
            "{path}"
        );
    }
    let mut refs = Vec::new();
    references(&document, &mut refs);
    assert!(refs.len() > 10);
    for reference in refs {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => found.push(reference.clone()),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
