//! The published schema without its tolerance: a key that it does not name is an error. Shared with `tests/pipeline`.

use serde_json::{Value, json};

/// `schema` for readers of exactly this version; `docs/report.schema.json` allows keys of later ones.
pub(crate) fn strict(mut schema: Value) -> Value {
    let mut parts = schema["$defs"].take();
    for (name, part) in parts.as_object_mut().expect("definitions") {
        if part.get("allOf").is_some() {
            part["unevaluatedProperties"] = json!(false);
        } else if part.get("properties").is_some() && name != "Health" {
            part["additionalProperties"] = json!(false);
        }
    }
    schema["$defs"] = parts;
    schema["additionalProperties"] = json!(false);
    schema
}
