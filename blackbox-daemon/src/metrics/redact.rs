//! How many secrets were hidden, by kind: before anything was kept.

use super::families::{Families, number};
use crate::redact::Redactor;

pub(super) fn collect(families: &mut Families, redactor: &Redactor) {
    let mut hidden = families.counter(
        "blackbox_redacted_total",
        "Secrets hidden before anything was kept, by kind.",
    );
    for (kind, count) in redactor.counts() {
        hidden.add(&[("kind", kind.name())], number(count));
    }
}
