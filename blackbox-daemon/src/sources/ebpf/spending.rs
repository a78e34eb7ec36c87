//! What the recorder costs and what was switched off for it, for those who show it. Clones share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// See the module.
#[derive(Clone, Debug)]
pub struct Spending(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: u32,
    /// The bits of an `f64`.
    percent: AtomicU64,
    steps: [AtomicU64; 3],
}

/// What the governor did, by the name it is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A container's calls are no longer kept.
    Disarmed,
    /// Calls that fail are no longer told.
    CallsOff,
    /// They are again.
    CallsOn,
}

impl Done {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Disarmed, Self::CallsOff, Self::CallsOn];

    /// The name, as metrics show it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disarmed => "container_disarmed",
            Self::CallsOff => "failed_calls_off",
            Self::CallsOn => "failed_calls_on",
        }
    }
}

impl Spending {
    /// Nothing was spent yet of `budget`, percent of one processor.
    #[must_use]
    pub fn new(budget: u32) -> Self {
        Self(Arc::new(Inner {
            budget,
            percent: AtomicU64::new(0),
            steps: Default::default(),
        }))
    }

    pub(super) fn note(&self, percent: f64) {
        self.0.percent.store(percent.to_bits(), Relaxed);
    }

    pub(super) fn count(&self, done: Done) {
        self.0.steps[done as usize].fetch_add(1, Relaxed);
    }

    /// What the recorder may take, percent of one processor.
    #[must_use]
    pub fn budget(&self) -> u32 {
        self.0.budget
    }

    /// What it took in the last second, its kernel programs included, percent of one processor.
    #[must_use]
    pub fn percent(&self) -> f64 {
        f64::from_bits(self.0.percent.load(Relaxed))
    }

    /// How often that was done.
    #[must_use]
    pub fn times(&self, done: Done) -> u64 {
        self.0.steps[done as usize].load(Relaxed)
    }
}
