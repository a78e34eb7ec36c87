//! Throttle: one full report per signature and minute; what else happens is counted, and told.
//!
//! Deaths that find their signature reported less than an interval ago are held back. When the interval is
//! over, the latest of them becomes an incident that speaks for all: every death is in some report.

use std::collections::HashMap;
use std::time::Duration;

use super::trigger::{Signature, Trigger};
use serde::{Deserialize, Serialize};

use crate::record::BootTime;

/// Signatures remembered; beyond, a new one is always reported.
const MAX_SIGNATURES: usize = 4096;

/// What to do with a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Open,
    /// Counted; it will be told of at the end of the interval at the latest.
    Held,
}

/// The latest of the deaths held back, and how many others it speaks for.
#[derive(Debug)]
pub struct Released {
    pub trigger: Trigger,
    pub others: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Story {
    reported: BootTime,
    held: u64,
    latest: Option<Trigger>,
}

/// Which signatures were reported when.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Throttle {
    interval: Duration,
    stories: HashMap<Signature, Story>,
}

impl Throttle {
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            stories: HashMap::new(),
        }
    }

    /// The same, with another interval.
    #[must_use]
    pub fn paced(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Decides about a trigger that joined no open incident.
    pub fn decide(&mut self, trigger: &Trigger, now: BootTime) -> Decision {
        if let Some(story) = self.stories.get_mut(&trigger.signature) {
            if now.since(story.reported) < self.interval {
                story.held += 1;
                story.latest = Some(trigger.clone());
                return Decision::Held;
            }
            story.reported = now;
            return Decision::Open;
        }
        if self.stories.len() < MAX_SIGNATURES {
            let story = Story {
                reported: now,
                held: 0,
                latest: None,
            };
            self.stories.insert(trigger.signature.clone(), story);
        }
        Decision::Open
    }

    /// A further trigger of a death that is counted: when it is the one that will be told, it says more of it.
    pub fn renew(&mut self, trigger: Trigger) {
        if let Some(story) = self.stories.get_mut(&trigger.signature)
            && let Some(latest) = &mut story.latest
            && latest.about.identity() == trigger.about.identity()
        {
            *latest = trigger;
        }
    }

    /// What is to be told now: stories whose interval is over, or all of them at the end (`everything`).
    pub fn release(&mut self, now: BootTime, everything: bool) -> Vec<Released> {
        let mut released = Vec::new();
        let interval = self.interval;
        self.stories.retain(|_, story| {
            let over = now.since(story.reported) >= interval;
            if !over && !everything {
                return true;
            }
            let Some(trigger) = story.latest.take() else {
                return !over;
            };
            released.push(Released {
                trigger,
                others: story.held - 1,
            });
            story.held = 0;
            story.reported = now;
            true
        });
        released.sort_by_key(|released| released.trigger.record);
        released
    }
}
