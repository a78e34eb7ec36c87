//! Secrets in JSON: what a key's name says is one is hidden whole; every other text goes through the rules.

use serde_json::{Map, Value};

use super::{Kind, Redactor, assignment, card, plain};

impl Redactor {
    /// Hides secrets in place: values below keys that name a secret whole, all texts and keys by their form. Returns
    /// how many.
    pub fn json(&self, value: &mut Value) -> u32 {
        self.value(value, None)
    }

    /// JSON as text: as it was, to the byte, if there is nothing to hide.
    pub fn json_text(&self, text: &mut String) -> u32 {
        let Ok(mut value) = serde_json::from_str::<Value>(text) else {
            return self.string(text);
        };
        let hidden = self.json(&mut value);
        if hidden > 0 {
            *text = value.to_string();
        }
        hidden
    }

    /// Hides secrets in pairs of a name and a text; returns how many.
    pub fn pairs(&self, pairs: &mut [(String, String)]) -> u32 {
        let mut hidden = 0;
        for (name, text) in pairs {
            let mut value = Value::String(std::mem::take(text));
            hidden += self.value(&mut value, assignment::secret_name(name));
            if let Value::String(made) = value {
                *text = made;
            }
            hidden += self.string(name);
        }
        hidden
    }

    fn value(&self, value: &mut Value, named: Option<Kind>) -> u32 {
        match (value, named) {
            (Value::Null | Value::Bool(_), _) => 0,
            (Value::String(text), Some(_)) if plain::stands_for(text) || is_marker(text) => 0,
            (value @ (Value::String(_) | Value::Number(_)), Some(kind)) => {
                self.count(kind);
                *value = Value::from(kind.marker());
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
            (Value::Array(values), named) => values
                .iter_mut()
                .map(|value| self.value(value, named))
                .sum(),
            (Value::Object(fields), _) => self.fields(fields),
        }
    }

    fn fields(&self, fields: &mut Map<String, Value>) -> u32 {
        // `{"name": "DB_PASSWORD", "value": "…"}`, as environments are written.
        let named = ["name", "key"]
            .iter()
            .find_map(|key| fields.get(*key)?.as_str());
        let pair = named.and_then(assignment::secret_name);
        let mut hidden = 0;
        for (key, value) in fields.iter_mut() {
            let kind = match &**key {
                "value" => pair,
                key => assignment::secret_name(key),
            };
            hidden += self.value(value, kind);
        }
        if !fields.keys().any(|key| self.text(key).hidden > 0) {
            return hidden;
        }
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
