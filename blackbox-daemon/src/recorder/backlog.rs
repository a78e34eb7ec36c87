//! Cases that a former life left: handed on one after the other, for there may be more than destinations have room for.
//!
//! The next one goes when the report of the one before is out, or could not be put out in time.

use std::collections::VecDeque;
use std::time::Duration;

use super::core::Core;
use crate::record::BootTime;
use crate::report::case::Case;

/// So long the report of one is waited for; …
const PATIENCE: Duration = Duration::from_secs(5);
/// … of one of another boot nobody says when it is out: the next one comes after this.
const PAUSE: Duration = Duration::from_millis(200);

/// See the module.
#[derive(Debug, Default)]
pub struct Backlog {
    cases: VecDeque<Case>,
    /// The one that is out, and since when.
    waits: Option<(String, BootTime)>,
}

impl Backlog {
    /// These, in this order.
    #[must_use]
    pub fn new(cases: Vec<Case>) -> Self {
        Self {
            cases: cases.into(),
            waits: None,
        }
    }

    /// The case whose turn it is at `now`.
    pub(super) fn next(&mut self, core: &Core, now: BootTime) -> Option<Case> {
        if let Some((id, since)) = &self.waits {
            let patience = match core.is_untold(id) {
                true => PATIENCE,
                false => PAUSE,
            };
            if now.since(*since) < patience {
                return None;
            }
        }
        let case = self.cases.pop_front();
        self.waits = case.as_ref().map(|case| (case.incident.id(), now));
        case
    }

    /// Whether none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// All that are left: the recorder stops.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Case> + '_ {
        self.cases.drain(..)
    }
}
