//! What this process may do, and what it tried without being allowed to.

use super::families::{Families, number};
use crate::privileges::State;
use crate::privileges::seccomp::denied;

pub(super) fn collect(families: &mut Families, state: &State) {
    let uid = state.ids().uid.to_string();
    let seccomp = if state.filtered() { "on" } else { "off" };
    families
        .gauge(
            "blackbox_privileges_info",
            "Always 1; its user after the start, and whether its system calls are filtered.",
        )
        .add(&[("uid", &uid), ("seccomp", seccomp)], 1.0);
    families
        .counter(
            "blackbox_denied_calls_total",
            "System calls that the filter denied; the log names them.",
        )
        .add(&[], number(denied::total()));
}
