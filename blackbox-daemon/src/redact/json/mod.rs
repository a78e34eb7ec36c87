//! Secrets in JSON: what a key's name says is one is hidden whole; every other text goes through the rules.
//!
//! Pairs are known in the ways they are written: a key and its value, `{"name": …, "value": …}`, `["Cookie", "…"]`, and
//! `["--password", "…"]`. A key that stands twice in one object counts once, as for every reader: the last one.

mod twice;

use serde_json::{Map, Value};

use super::names::{Named, secret_name};
use super::{Kind, Redactor, card, plain};

/// Keys below which the value of a named object may stand.
const HOLDERS: [&str; 5] = ["value", "data", "raw", "plain", "current"];

impl Redactor {
    /// Hides secrets in place: values below keys that name a secret whole, all texts and keys by their form. Returns
    /// how many.
    pub fn json(&self, value: &mut Value) -> u32 {
        self.value(value, None)
    }

    /// JSON as text: as it was, to the byte, if there is nothing to hide and no key stands twice.
    pub fn json_text(&self, text: &mut String) -> u32 {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return self.string(text);
        };
        let hidden = self.json(&mut value);
        // What `value` has not, nobody looked at.
        if hidden > 0 || twice::has(text) {
            *text = value.to_string();
        }
        hidden
    }

    /// Hides secrets in pairs of a name and a text; returns how many.
    pub fn pairs(&self, pairs: &mut [(String, String)]) -> u32 {
        let mut hidden = 0;
        for (name, text) in pairs {
            let mut value = Value::String(std::mem::take(text));
            hidden += self.value(&mut value, secret_name(name));
            if let Value::String(made) = value {
                *text = made;
            }
            hidden += self.string(name);
        }
        hidden
    }

    fn value(&self, value: &mut Value, named: Option<Named>) -> u32 {
        match (value, named) {
            (Value::Null | Value::Bool(_), _) => 0,
            (Value::String(text), Some(_)) if plain::stands_for(text) || is_marker(text) => 0,
            (Value::String(text), Some(named)) if named.weak && !plain::coded_word(text) => {
                self.string(text)
            }
            (value @ (Value::String(_) | Value::Number(_)), Some(named)) => {
                self.count(named.kind);
                *value = Value::from(named.kind.marker());
                1
            }
            (Value::String(text), None) => self.string(text),
            (value @ Value::Number(_), None) => {
                if !card::is_card(&value.to_string()) || !value.is_u64() {
                    return 0;
                }
                self.count(Kind::Card);
                *value = Value::from(Kind::Card.marker());
                1
            }
            (Value::Array(values), named) => self.values(values, named),
            (Value::Object(fields), named) => self.fields(fields, named),
        }
    }

    /// A list of what `named` names, or one in which a name stands before its value.
    fn values(&self, values: &mut [Value], named: Option<Named>) -> u32 {
        let pair = values.len() == 2;
        let mut before = None;
        let mut hidden = 0;
        for value in values {
            let name = value.as_str().filter(|text| text.len() <= 64);
            let next = name.filter(|text| pair || text.starts_with("--"));
            let next = next.and_then(secret_name);
            hidden += self.value(value, before.or(named));
            before = next;
        }
        hidden
    }

    fn fields(&self, fields: &mut Map<String, Value>, of: Option<Named>) -> u32 {
        // `{"name": "DB_PASSWORD", "value": "…"}`, as environments are written.
        let named = ["name", "key"]
            .iter()
            .find_map(|key| fields.get(*key)?.as_str());
        let pair = named.and_then(secret_name).or(of);
        let mut hidden = 0;
        for (key, value) in fields.iter_mut() {
            let kind = match &**key {
                holder if HOLDERS.contains(&holder) => pair,
                key => secret_name(key),
            };
            hidden += self.value(value, kind);
        }
        hidden + self.keys(fields)
    }

    /// Hides secrets in keys; of two keys that look the same then, the second gets a number.
    fn keys(&self, fields: &mut Map<String, Value>) -> u32 {
        let secret = |key: &String| !self.rules.spans(key).is_empty();
        if !fields.keys().any(secret) {
            return 0;
        }
        let mut hidden = 0;
        let old = std::mem::take(fields);
        for (mut key, value) in old {
            hidden += self.string(&mut key);
            let mut free = key.clone();
            let mut number = 1;
            while fields.contains_key(&free) {
                number += 1;
                free = format!("{key} {number}");
            }
            fields.insert(free, value);
        }
        hidden
    }
}

fn is_marker(text: &str) -> bool {
    Kind::ALL.iter().any(|kind| kind.marker() == text)
}
