//! An array of which no more is kept than is allowed: a body of 1 MiB has room for 350,000 objects of nothing.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The first of many values, [`MOST`](Self::MOST) at most; those beyond are counted and not kept.
#[derive(Debug)]
pub(super) struct Few<T, const MOST: usize> {
    pub(super) kept: Vec<T>,
    pub(super) count: usize,
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(AsFew(Vec::new()))
    }
}

struct AsFew<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for AsFew<T, MOST> {
    type Value = Few<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Self(mut kept) = self;
        while kept.len() < MOST {
            match seq.next_element()? {
                Some(value) => kept.push(value),
                None => break,
            }
        }
        let mut count = kept.len();
        // An array that has ended already may not be asked again.
        while count >= MOST && seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Few { kept, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_counted_and_few_are_kept() {
        for (json, kept, count) in [
            ("[]", 0, 0),
            ("[1,2]", 2, 2),
            ("[1,2,3]", 3, 3),
            ("[1,2,3,[4]]", 3, 4),
        ] {
            let few: Few<u8, 3> = serde_json::from_str(json).unwrap();
            assert_eq!((few.kept.len(), few.count), (kept, count), "{json}");
        }
    }
}
