//! How destinations fare. Two of the same name are shown as one; a URL shows no more than its origin.

use std::collections::BTreeMap;
use std::time::Duration;

use super::families::{Families, number};
use crate::destinations::DestinationState;

pub(super) fn collect(families: &mut Families, states: &[DestinationState]) {
    let by_name = sums(states, |state| &state.name);
    let mut family = families.counter(
        "blackbox_destination_documents_total",
        "Documents written, failed, or dropped because the queue was full.",
    );
    for (destination, sum) in &by_name {
        for (result, count) in [
            ("written", sum.written),
            ("failed", sum.failed),
            ("dropped", sum.dropped),
        ] {
            let labels = [("destination", *destination), ("result", result)];
            family.add(&labels, number(count));
        }
    }
    let mut family = families.gauge(
        "blackbox_destination_waiting",
        "Documents in the queue, and the one being written.",
    );
    for (destination, sum) in &by_name {
        family.add(&[("destination", destination)], number(sum.waiting));
    }
    let mut family = families.counter(
        "blackbox_destination_retries_total",
        "Attempts at documents that did not succeed, and were or are made again.",
    );
    for (destination, sum) in &by_name {
        family.add(&[("destination", destination)], number(sum.retried));
    }
    let by_kind = sums(states, |state| kind(&state.name));
    let mut family = families.counter(
        "destination_writes_total",
        "Documents a kind of destination was asked to write.",
    );
    for (kind, sum) in &by_kind {
        family.add(&[("type", kind)], number(sum.written + sum.failed));
    }
    let mut family = families.counter(
        "destination_errors_total",
        "Documents a kind of destination could not write or had no room for.",
    );
    for (kind, sum) in &by_kind {
        family.add(&[("type", kind)], number(sum.failed + sum.dropped));
    }
    let mut family = families.summary(
        "destination_duration_seconds",
        "Time a kind of destination took for its documents.",
    );
    for (kind, sum) in &by_kind {
        family.add_times(&[("type", kind)], sum.written + sum.failed, sum.took);
    }
}

#[derive(Default)]
struct Sum {
    written: u64,
    failed: u64,
    dropped: u64,
    waiting: u64,
    retried: u64,
    took: Duration,
}

fn sums<'a>(
    states: &'a [DestinationState],
    key: impl Fn(&'a DestinationState) -> &'a str,
) -> BTreeMap<&'a str, Sum> {
    let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
    for state in states {
        let sum = sums.entry(key(state)).or_default();
        sum.written += state.written;
        sum.failed += state.failed;
        sum.dropped += state.dropped;
        sum.waiting += state.waiting;
        sum.retried += state.retried;
        sum.took += state.took;
    }
    sums
}

/// The kind of a destination, from its name.
fn kind(name: &str) -> &'static str {
    match name {
        "stdout" => "stdout",
        name if name.starts_with("file:") => "file",
        _ => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_of_one_name_are_one() {
        let state = |name: &str, written| DestinationState {
            name: name.to_owned(),
            written,
            failed: 1,
            dropped: 2,
            waiting: 3,
            retried: 0,
            took: Duration::ZERO,
            last_error: None,
        };
        let states = [state("file:/a", 1), state("stdout", 5), state("file:/a", 2)];
        let by_name = sums(&states, |state| &state.name);
        assert_eq!(by_name.len(), 2);
        assert_eq!(
            (by_name["file:/a"].written, by_name["file:/a"].waiting),
            (3, 6)
        );
        assert_eq!(kind("https://reports.example"), "http");
    }
}
