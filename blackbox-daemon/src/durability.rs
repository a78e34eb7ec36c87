//! Which parts of what is kept on disk are degraded, and why.
//!
//! Each part (the reports of a directory, the window on disk) has a [`Part`] and says how it fares; health, metrics and
//! the reports made meanwhile tell it. Nobody waits: a lock is held to copy a few words, never across a write. A change is
//! logged once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::report::DegradedPart;

/// Every part of what is kept on disk. Clones are handles on the same ones.
#[derive(Clone, Debug, Default)]
pub struct Durability(Arc<Mutex<Vec<PartState>>>);

/// How one part fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartState {
    /// Which part; a label of a metric.
    pub name: String,
    /// What is wrong with it; `None` while it works.
    pub degraded: Option<String>,
    /// How often it became degraded, since the start.
    pub times: u64,
}

/// One part's handle. Clones speak for the same part.
#[derive(Clone, Debug)]
pub struct Part {
    all: Durability,
    index: usize,
}

impl Durability {
    /// A new part, which works until it says otherwise. A second one of a name gets a number: `reports`, `reports_2`.
    #[must_use]
    pub fn part(&self, name: &str) -> Part {
        let mut parts = self.lock();
        let index = parts.len();
        let taken = |wanted: &String| parts.iter().any(|part| part.name == *wanted);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let name = names.find(|wanted| !taken(wanted)).unwrap_or_default();
        parts.push(PartState {
            name,
            degraded: None,
            times: 0,
        });
        drop(parts);
        Part {
            all: self.clone(),
            index,
        }
    }

    /// How every part fares at this moment, in the order they were made.
    #[must_use]
    pub fn read(&self) -> Vec<PartState> {
        self.lock().clone()
    }

    /// The parts that are degraded, and why.
    #[must_use]
    pub fn degraded(&self) -> Vec<DegradedPart> {
        let degraded =
            |PartState { name, degraded, .. }| degraded.map(|why| DegradedPart { part: name, why });
        self.read().into_iter().filter_map(degraded).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PartState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// It keeps less than it should. `why` is told to everybody without a key: no paths and no addresses.
    pub fn degraded(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    /// It keeps all that it should.
    pub fn works(&self) {
        self.set(None);
    }

    fn set(&self, now: Option<String>) {
        let mut parts = self.all.lock();
        let Some(part) = parts.get_mut(self.index) else {
            return;
        };
        if part.degraded == now {
            return;
        }
        let before = std::mem::replace(&mut part.degraded, now);
        part.times += u64::from(before.is_none());
        let PartState { name, degraded, .. } = part.clone();
        drop(parts);
        match degraded {
            Some(why) => tracing::warn!(part = name, why, "durability degraded"),
            None => tracing::info!(part = name, before, "durability restored"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DegradedPart, Durability};

    #[test]
    fn each_part_speaks_for_itself() {
        let durability = Durability::default();
        let (reports, window) = (durability.part("reports"), durability.part("window"));
        assert!(durability.degraded().is_empty());
        window.degraded("no space left");
        let told = [DegradedPart {
            part: "window".to_owned(),
            why: "no space left".to_owned(),
        }];
        assert_eq!(durability.clone().degraded(), told);
        reports.works();
        assert_eq!(durability.degraded(), told);
        window.clone().works();
        assert!(durability.degraded().is_empty());
    }

    #[test]
    fn only_the_change_from_working_to_degraded_counts() {
        let durability = Durability::default();
        let part = durability.part("reports");
        for why in ["full", "full", "read-only"] {
            part.degraded(why);
        }
        assert_eq!(durability.read()[0].times, 1);
        assert_eq!(durability.read()[0].degraded.as_deref(), Some("read-only"));
        part.works();
        part.degraded("full");
        assert_eq!(durability.read()[0].times, 2);
    }

    #[test]
    fn parts_of_one_name_are_told_apart() {
        let durability = Durability::default();
        let parts = ["reports", "reports", "reports"].map(|name| durability.part(name));
        parts[2].degraded("full");
        let names: Vec<_> = durability
            .read()
            .into_iter()
            .map(|part| part.name)
            .collect();
        assert_eq!(names, ["reports", "reports_2", "reports_3"]);
        assert_eq!(durability.degraded()[0].part, "reports_3");
    }
}
