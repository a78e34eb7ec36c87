//! The JSON Schema of a report, made from its types. `docs/report.schema.json` is this, kept current by a test.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::{Report, SCHEMA};

/// The dialect: OpenAPI 3.1 schemas are schemas of it.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const COMPONENTS: &str = "#/components/schemas/";

/// The schema of the reports this version writes. Readers must allow keys that it does not name: later versions add some.
#[must_use]
pub fn schema() -> Value {
    let mut parts = Vec::new();
    Report::schemas(&mut parts);
    // By name, whatever the order the types are met in.
    parts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let parts = parts.into_iter().map(|(name, part)| (name, json!(part)));
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!(DIALECT));
    schema.insert("title".to_owned(), json!(SCHEMA));
    if let Value::Object(report) = json!(Report::schema()) {
        schema.extend(report);
    }
    schema.insert("$defs".to_owned(), parts.collect::<Map<_, _>>().into());
    let mut schema = Value::Object(schema);
    point(&mut schema);
    schema
}

/// Turns what points into an OpenAPI document into what points into this schema.
fn point(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replace(COMPONENTS, "#/$defs/");
                    }
                    other => point(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(point),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::schema;
    use crate::report::format::tests::{hostile, poison, sample_report, strict};

    #[test]
    fn the_documents_schema_is_current() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let path = root.join("docs/report.schema.json");
        let current = format!("{:#}\n", schema());
        if std::env::var_os("RENEW").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == current,
            "docs/report.schema.json is not what the types say: \
             RENEW=1 cargo test -p blackbox-daemon --lib report::schema"
        );
    }

    /// Everything that does not fit.
    fn errors(schema: &Value, report: &Value) -> Vec<String> {
        let validator = jsonschema::draft202012::new(schema).unwrap();
        let errors = validator.iter_errors(report).map(|e| e.to_string());
        errors.collect()
    }

    #[test]
    fn reports_are_as_the_schema_says_and_it_names_every_key() {
        let strict = strict(schema());
        let mut bare = sample_report();
        (bare.pod, bare.log, bare.stack) = (None, None, None);
        bare.history.clear();
        bare.last_words.clear();
        bare.neighbours.clear();
        (bare.oom_ledger, bare.divergence) = (None, None);
        (bare.incident.pod_name, bare.incident.namespace) = (None, None);
        let mut reports = vec![sample_report(), bare];
        for evil in hostile() {
            let mut report = sample_report();
            poison(&mut report, &evil);
            reports.push(report);
        }
        for report in reports {
            assert_eq!(errors(&strict, &json!(report)), [""; 0]);
        }
    }

    #[test]
    fn what_is_missing_unknown_or_of_another_type_is_an_error() {
        let (open, strict) = (schema(), strict(schema()));
        let planted = |plant: &dyn Fn(&mut Value)| {
            let mut report = json!(sample_report());
            plant(&mut report);
            (errors(&open, &report).len(), errors(&strict, &report).len())
        };
        let remove = |place: &mut Value, key: &str| {
            assert!(place.as_object_mut().unwrap().remove(key).is_some());
        };
        for key in [
            "schema",
            "verdict",
            "diagnosis",
            "completeness",
            "telemetry",
            "pod",
        ] {
            assert_eq!(planted(&|report| remove(report, key)), (1, 1), "{key}");
        }
        assert_eq!(
            planted(&|report| remove(&mut report["evidence"][0], "id")),
            (1, 1)
        );
        assert_eq!(
            planted(&|report| remove(&mut report["stack"], "frames")).1,
            1
        );
        assert_ne!(
            planted(&|report| report["verdict"]["grade"] = json!("certain")).0,
            0
        );
        assert_ne!(
            planted(&|report| report["telemetry"][0]["id"] = json!(14)).0,
            0
        );
        // A later version's keys are no error, except for who asks for exactly this version.
        for place in [
            "",
            "/verdict",
            "/diagnosis/facts/0",
            "/completeness/sources/1",
            "/log/lines/0",
        ] {
            let add = |report: &mut Value| report.pointer_mut(place).unwrap()["planted"] = json!(1);
            let (open, strict) = planted(&add);
            assert!(open == 0 && strict > 0, "{place}: {open} {strict}");
        }
    }
}
