//! How the daemon stands to its soft limit of memory.

use super::families::{Families, number};
use crate::memory::Memory;

pub(super) fn collect(families: &mut Families, memory: &Memory) {
    families
        .gauge(
            "blackbox_memory_soft_limit_bytes",
            "Resident size above which bulk records are shed and sidecars asked to wait.",
        )
        .add(&[], number(memory.limit()));
    families
        .gauge(
            "blackbox_memory_degraded",
            "1 while the daemon is above its soft limit, or has not come well below it again; else 0.",
        )
        .add(&[], f64::from(u8::from(memory.is_short())));
    families
        .counter(
            "blackbox_memory_degraded_total",
            "How often the daemon came above its soft limit.",
        )
        .add(&[], number(memory.times()));
}
