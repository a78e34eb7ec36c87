//! Whether what is kept on disk is kept as it should be, part by part.

use super::families::{Families, number};
use crate::durability::PartState;

pub(super) fn collect(families: &mut Families, parts: &[PartState]) {
    let mut degraded = families.gauge(
        "blackbox_durability_degraded",
        "1 while a part of what is kept on disk keeps less than it should; health and reports say why.",
    );
    for part in parts {
        let value = f64::from(u8::from(part.degraded.is_some()));
        degraded.add(&[("part", &part.name)], value);
    }
    let mut times = families.counter(
        "blackbox_durability_degradations_total",
        "How often a part of what is kept on disk became degraded.",
    );
    for part in parts {
        times.add(&[("part", &part.name)], number(part.times));
    }
}
