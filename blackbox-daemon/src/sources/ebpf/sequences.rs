//! Numbers of records, by CPU and kind: a jump proves a loss without trusting any counter.
//!
//! Reads the number that each record carries; says so, if there are more jumps than the kernel counted losses.

use std::collections::HashMap;

use blackbox_common::header::Kind;

/// Per CPU and kind, the number of the last record.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    last: HashMap<(u32, u32), u64>,
    jumped: [u64; Kind::COUNT],
    /// A former daemon read the first ones.
    goes_on: bool,
}

impl Sequences {
    /// Of programs that a former daemon had heard before, if `goes_on`.
    pub(super) fn new(goes_on: bool) -> Self {
        Self {
            goes_on,
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, kind: Kind, cpu: u32, seq: u64) {
        let first = if self.goes_on { seq - 1 } else { 0 };
        let last = self.last.entry((cpu, kind as u32)).or_insert(first);
        self.jumped[kind as usize] += seq.saturating_sub(*last + 1);
        *last = seq;
    }

    /// Jumps can only be records the ring refused; more jumps than refusals would be a fault of ours.
    pub(super) fn check(&self, ring_full: &[u64; Kind::COUNT]) {
        for kind in Kind::ALL {
            let (jumped, counted) = (self.jumped[kind as usize], ring_full[kind as usize]);
            if jumped > counted {
                tracing::error!(
                    ?kind,
                    jumped,
                    counted,
                    "sequence numbers and loss counts disagree"
                );
            }
        }
    }
}
