//! What the recorder counted since it started, and the equation it must satisfy.
//!
//! The conservation of each class is exact: `attempted = recorded + lost + in_flight`. For classes the kernel
//! makes, `attempted` is the kernel's own count; for the others it is what the source offered.

use std::collections::BTreeMap;

use super::ClassCount;
use serde::{Deserialize, Serialize};

use crate::record::{Class, Health, KernelTally, LossCause, SourceName};

/// What the recorder counted since it started, as of one instant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Records that reached the window, by class.
    pub recorded: BTreeMap<Class, u64>,
    /// The kernel's latest counts.
    pub tally: Option<Counted>,
    /// Records lost after they left their source's hands, by class and cause.
    pub lost: BTreeMap<(Class, LossCause), u64>,
    /// Records evicted by a byte cap before their time, by class.
    pub evicted: BTreeMap<Class, u64>,
    /// The latest state of each source. Written down as records have it, by who does.
    #[serde(skip)]
    pub sources: BTreeMap<SourceName, Health>,
    /// Of the kernel's counts, what came before this recorder began to count: a daemon without a journal had read it.
    #[serde(default)]
    pub before: BTreeMap<Class, u64>,
    /// Reports that could not be made because the queue of cases was full.
    pub reports_dropped: u64,
}

/// The kernel's counts and, as they speak of one instant, what had been counted here when they arrived.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counted {
    pub kernel: KernelTally,
    pub recorded: BTreeMap<Class, u64>,
    pub lost: BTreeMap<(Class, LossCause), u64>,
}

impl Ledger {
    /// Takes the kernel's counts of this instant.
    pub fn count(&mut self, kernel: &KernelTally) {
        self.tally = Some(Counted {
            kernel: kernel.clone(),
            recorded: self.recorded.clone(),
            lost: self.lost.clone(),
        });
    }

    /// One row per class that has anything to tell.
    #[must_use]
    pub fn rows(&self) -> Vec<ClassCount> {
        Class::ALL
            .into_iter()
            .filter_map(|class| self.row(class))
            .collect()
    }

    fn row(&self, class: Class) -> Option<ClassCount> {
        if class == Class::Recorder {
            return None;
        }
        let kernel = self.tally.as_ref().and_then(|counted| {
            let mut rows = counted.kernel.rows.iter();
            Some((rows.find(|row| row.class == class)?, counted))
        });
        let (recorded, lost) = kernel.map_or((&self.recorded, &self.lost), |(_, counted)| {
            (&counted.recorded, &counted.lost)
        });
        let recorded = recorded.get(&class).copied().unwrap_or(0);
        let mut lost: BTreeMap<LossCause, u64> = lost
            .iter()
            .filter(|((of, _), count)| *of == class && **count > 0)
            .map(|((_, cause), count)| (*cause, *count))
            .collect();
        let attempted = match kernel {
            Some((row, _)) => {
                // The kernel's own counts are the newest word on its losses.
                for (cause, count) in [
                    (LossCause::Throttled, row.throttled),
                    (LossCause::RingFull, row.ring_full),
                ] {
                    lost.remove(&cause);
                    if count > 0 {
                        lost.insert(cause, count);
                    }
                }
                let before = self.before.get(&class).copied().unwrap_or(0);
                row.attempted.saturating_sub(before)
            }
            None => recorded + lost.values().sum::<u64>(),
        };
        let evicted = self.evicted.get(&class).copied().unwrap_or(0);
        let known = recorded + lost.values().sum::<u64>();
        let in_flight =
            i64::try_from(i128::from(attempted) - i128::from(known)).unwrap_or(i64::MAX);
        (attempted > 0 || recorded > 0 || evicted > 0).then_some(ClassCount {
            class,
            attempted,
            recorded,
            lost,
            in_flight,
            evicted,
        })
    }
}
