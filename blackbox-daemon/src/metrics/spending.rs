//! What the recorder costs, and what was switched off for it.

use super::families::{Families, number};
use crate::sources::ebpf::spending::{Done, Spending};

pub(super) fn collect(families: &mut Families, spending: &Spending) {
    families
        .gauge(
            "blackbox_cpu_budget_ratio",
            "Share of one processor that the recorder may take.",
        )
        .add(&[], f64::from(spending.budget()) / 100.0);
    families
        .gauge(
            "blackbox_cpu_spent_ratio",
            "Share of one processor that it took in the last second, what its programs add to the node's calls included.",
        )
        .add(&[], spending.percent() / 100.0);
    let mut family = families.counter(
        "blackbox_governor_steps_total",
        "What was switched off because that was too much, and on again.",
    );
    for done in Done::ALL {
        family.add(&[("step", done.name())], number(spending.times(done)));
    }
}
