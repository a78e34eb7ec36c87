//! One run's start: its steps in the order of their first time, each once. Bounded in steps, in bytes and in time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::{BootTime, RecordId};

/// How much of a run is its start, and how long a run must live to count as healthy: what a program needs is open by
/// then, and what crashes because of its start has crashed.
pub const SPAN: Duration = Duration::from_secs(60);
/// Most steps of a run.
pub const MOST_STEPS: usize = 256;
/// Most bytes of a run's steps.
const MOST_BYTES: usize = 16 << 10;

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// In words.
    pub text: String,
    /// The record of its first time, and when that was.
    pub id: RecordId,
    pub at: BootTime,
}

/// The start of one run of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub started: BootTime,
    /// By time.
    pub steps: Vec<Step>,
    /// It had more steps than are kept.
    pub full: bool,
    /// Records of it may be missing: what is not among its steps may have happened.
    pub lost: bool,
    /// When its first process ended.
    pub ended: Option<BootTime>,
}

impl Run {
    /// One that begins.
    #[must_use]
    pub fn new(started: BootTime) -> Self {
        Self {
            started,
            steps: Vec::new(),
            full: false,
            lost: false,
            ended: None,
        }
    }

    /// Whether what happened at `at` is of the start.
    pub(super) fn covers(&self, at: BootTime) -> bool {
        let ended = self.ended.is_some_and(|ended| at > ended);
        at >= self.started && !ended && at.since(self.started) <= SPAN
    }

    /// Takes a step, unless it is not of the start. Records of several queues come in any order: the time counts.
    pub(super) fn take(&mut self, step: Step) {
        if !self.covers(step.at) {
            return;
        }
        match self.steps.iter().position(|known| known.text == step.text) {
            Some(known) if self.steps[known].at <= step.at => return,
            Some(known) => drop(self.steps.remove(known)),
            None => {
                let bytes: usize = self.steps.iter().map(|step| step.text.len()).sum();
                if self.steps.len() >= MOST_STEPS || bytes + step.text.len() > MOST_BYTES {
                    self.full = true;
                    return;
                }
            }
        }
        let place = self
            .steps
            .partition_point(|known| (known.at, known.id) <= (step.at, step.id));
        self.steps.insert(place, step);
    }

    /// How long after its start a step was.
    #[must_use]
    pub fn after(&self, step: &Step) -> Duration {
        step.at.since(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str, at: u64) -> Step {
        Step {
            text: text.to_owned(),
            id: RecordId(at),
            at: BootTime(at),
        }
    }

    fn texts(run: &Run) -> Vec<&str> {
        run.steps.iter().map(|step| step.text.as_str()).collect()
    }

    #[test]
    fn each_step_once_at_its_first_time_in_whatever_order_it_came() {
        let mut run = Run::new(BootTime(10));
        for (text, at) in [
            ("b", 30),
            ("c", 40),
            ("a", 20),
            ("b", 50),
            ("c", 15),
            ("x", 5),
        ] {
            run.take(step(text, at));
        }
        assert_eq!(texts(&run), ["c", "a", "b"]);
        run.ended = Some(BootTime(60));
        run.take(step("late", 61));
        run.ended = None;
        run.take(step("long after", 11 + SPAN.as_nanos() as u64));
        assert_eq!(texts(&run), ["c", "a", "b"]);
        assert!(!run.full);
    }

    #[test]
    fn it_is_bounded_and_says_so() {
        let mut run = Run::new(BootTime(0));
        for at in 0..300 {
            run.take(step(&at.to_string(), at));
        }
        assert_eq!((run.steps.len(), run.full), (MOST_STEPS, true));
        let mut run = Run::new(BootTime(0));
        for at in 0..300 {
            run.take(step(&format!("{at}{}", "x".repeat(250)), at));
        }
        let bytes: usize = run.steps.iter().map(|step| step.text.len()).sum();
        assert!(
            run.full && bytes <= MOST_BYTES && bytes > MOST_BYTES - 300,
            "{bytes}"
        );
    }
}
