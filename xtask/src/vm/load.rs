//! What the load submits: objects that prove by themselves that they are whole. Pure; both sides know it.

use serde_json::{Value, json};

/// The pod that the telemetry is of.
pub(super) const POD: &str = "load";
const NAMESPACE: &str = "vm";
/// Bytes that each object has besides.
const FILLING: usize = 120;

/// The body that submits the object number `counter`.
pub(super) fn body(counter: u64) -> Value {
    json!({"pod_name": POD, "namespace": NAMESPACE, "data": data(counter)})
}

/// The number of an object, if it is what was submitted under that number.
pub(super) fn number(data: &Value) -> Option<u64> {
    let counter = data["counter"].as_u64()?;
    (*data == self::data(counter)).then_some(counter)
}

fn data(counter: u64) -> Value {
    // Too short for the number of a card, which would be hidden.
    let check = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34;
    let letters =
        (0..FILLING as u64).map(|at| char::from(b'a' + ((check >> (at % 26)) % 16) as u8));
    json!({"counter": counter, "check": check, "filling": letters.collect::<String>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_was_changed_is_none() {
        let mut data = body(7)["data"].take();
        assert_eq!(number(&data), Some(7));
        data["check"] = json!(8);
        assert_eq!(number(&data), None);
        assert_eq!(number(&json!({})), None);
    }
}
