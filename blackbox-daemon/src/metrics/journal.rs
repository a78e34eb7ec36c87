//! What keeping the window on disk takes.

use super::families::{Families, number};
use crate::journal::State;

pub(super) fn collect(families: &mut Families, state: State) {
    let mut add = |name, help, value| {
        families.counter(name, help).add(&[], value);
    };
    add(
        "blackbox_journal_written_bytes_total",
        "Bytes written to window.ring, padding included.",
        number(state.written),
    );
    add(
        "blackbox_journal_syncs_total",
        "How often window.ring was synced.",
        number(state.syncs),
    );
    add(
        "blackbox_journal_sync_seconds_total",
        "Time the disk took for that.",
        state.syncing.as_secs_f64(),
    );
    add(
        "blackbox_journal_files_total",
        "Files made because there was none, or the one there was failed.",
        number(state.made),
    );
}
