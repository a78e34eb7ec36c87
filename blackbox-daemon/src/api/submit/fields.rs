//! An object of anything, read straight into checked JSON text.
//!
//! A tree of values takes many times the bytes it was read from (32 for each `0,` of an array), so a body within its
//! bound could still take sixteen times as much. Here nothing is built: what is parsed is written again,
//! without white space, and only the number of its keys is kept. A key that comes twice is one; readers take the last.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The text of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) text: String,
    /// Different keys.
    pub(super) keys: usize,
    /// Characters of the longest key.
    pub(super) longest_key: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            text: "{}".to_owned(),
            keys: 0,
            longest_key: 0,
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AsFields)
    }
}

struct AsFields;

impl<'de> Visitor<'de> for AsFields {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut text = Vec::with_capacity(64);
        let mut keys = Vec::new();
        write_map(&mut map, &mut text, |from, to| keys.push((from, to)))?;
        let text = String::from_utf8(text).map_err(Error::custom)?;
        // They are JSON texts, but written one way, so that equal keys are equal texts.
        let different: BTreeSet<&str> = match keys.len() {
            0..=1 => BTreeSet::new(),
            _ => keys.iter().map(|&(from, to)| &text[from..to]).collect(),
        };
        let characters = keys.iter().map(|&(from, to)| characters(&text[from..to]));
        Ok(Fields {
            keys: different.len().max(keys.len().min(1)),
            longest_key: characters.max().unwrap_or(0),
            text,
        })
    }
}

/// How many characters a JSON text of a string stands for.
fn characters(text: &str) -> usize {
    let bare = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let mut rest = bare.unwrap_or(text).chars();
    let mut count = 0;
    while let Some(character) = rest.next() {
        count += 1;
        if character == '\\' && rest.next() == Some('u') {
            rest.nth(3);
        }
    }
    count
}

fn write<E: Error>(value: impl Serialize, text: &mut Vec<u8>) -> Result<(), E> {
    serde_json::to_writer(text, &value).map_err(E::custom)
}

/// Writes the rest of an object; `key` hears where each key is.
fn write_map<'de, A: MapAccess<'de>>(
    map: &mut A,
    text: &mut Vec<u8>,
    mut key: impl FnMut(usize, usize),
) -> Result<(), A::Error> {
    text.push(b'{');
    let mut from = text.len();
    while map.next_key_seed(Written(text))?.is_some() {
        key(from, text.len());
        text.push(b':');
        map.next_value_seed(Written(text))?;
        text.push(b',');
        from = text.len();
    }
    close(text, b'}');
    Ok(())
}

/// Puts the end in the place of the last comma, if there is one.
fn close(text: &mut Vec<u8>, end: u8) {
    match text.last_mut() {
        Some(last) if *last == b',' => *last = end,
        _ => text.push(end),
    }
}

/// Writes one value, whatever it is.
struct Written<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Written<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Written<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        write((), self.0)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        write(value, self.0)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        write(value, self.0)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        write(value, self.0)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        write(value, self.0)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        write(value, self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.push(b'[');
        while seq.next_element_seed(Written(self.0))?.is_some() {
            self.0.push(b',');
        }
        close(self.0, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        write_map(&mut map, self.0, |_, _| {})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_object_is_written_as_it_was_meant() {
        let json = r#" { "a" : [ ] , "b":[1, -2,3.50,1e3,"\u00e4\n",null,true,{ }],"":{"x":{"y":[[]]}},"a":"," } "#;
        let fields: Fields = serde_json::from_str(json).unwrap();
        let text =
            r#"{"a":[],"b":[1,-2,3.5,1000.0,"ä\n",null,true,{}],"":{"x":{"y":[[]]}},"a":","}"#;
        assert_eq!(
            (fields.text.as_str(), fields.keys, fields.longest_key),
            (text, 3, 1)
        );
        let escaped: Fields = serde_json::from_str(r#"{"\"\n\u0001ä\u00e4":1}"#).unwrap();
        assert_eq!(escaped.longest_key, 5);
        let none: Fields = serde_json::from_str("{}").unwrap();
        assert_eq!(none, Fields::default());
        for wrong in [
            "[]",
            "1",
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1,}"#,
        ] {
            assert!(serde_json::from_str::<Fields>(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_text_is_the_same_object(keys in prop::collection::vec(("\\PC{0,4}", any::<f64>()), 0..8)) {
            let object: serde_json::Map<String, Value> =
                keys.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
            let fields: Fields = serde_json::from_value(Value::from(object.clone())).unwrap();
            prop_assert_eq!(fields.keys, object.len());
            prop_assert_eq!(serde_json::from_str::<Value>(&fields.text).unwrap(), Value::from(object));
        }
    }
}
