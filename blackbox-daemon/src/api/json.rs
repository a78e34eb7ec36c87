//! JSON read more strictly than serde does: a struct comes from an object, never from an array of its values.
//!
//! Derived readers take `["a", 1]` for a struct of two fields. In a credential that is a second spelling, which
//! whoever checked the first may read otherwise; here it is an error, at every level that says [`Object`].

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A `T` that was written as an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::api) struct Object<T>(pub T);

/// Reads one object that is all of `json`.
///
/// # Errors
/// It isn't JSON, isn't an object, or isn't a `T`. The error can quote what it read.
pub(in crate::api) fn object<'de, T: Deserialize<'de>>(json: &'de [u8]) -> serde_json::Result<T> {
    serde_json::from_slice(json).map(|Object(read)| read)
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AsObject(PhantomData))
    }
}

struct AsObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AsObject<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Object, object};

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        inner: Object<Inner>,
        note: Option<Object<Inner>>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        value: u8,
    }

    #[test]
    fn only_an_object_is_a_struct() {
        let read: Outer = object(br#"{"inner":{"value":1}}"#).unwrap();
        assert_eq!(read.inner.0.value, 1);
        for wrong in [
            r#"[{"value":1},null]"#,
            r#"{"inner":[1]}"#,
            r#"{"inner":{"value":1},"note":[1]}"#,
            r#"{"inner":{"value":1,"value":2}}"#,
            r#"{"inner":{"value":1}} {}"#,
            r#""inner""#,
            "",
        ] {
            assert!(object::<Outer>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
