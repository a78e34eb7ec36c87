//! When to try again: a second after the first failure, then twice as long each time, up to 10 s.

use std::time::Duration;

use crate::record::BootTime;

/// Shortest pause.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause: what heals is used within that time.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses between attempts at one thing.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    pause: Duration,
    due: BootTime,
}

impl Backoff {
    /// Whether it is time for an attempt.
    pub(super) fn due(&self, now: BootTime) -> bool {
        now >= self.due
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, now: BootTime) {
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        self.due = now.plus(self.pause);
    }

    /// An attempt succeeded, or things have changed: the next one may be made at once.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_seconds_and_no_longer() {
        let (mut backoff, mut now) = (Backoff::default(), BootTime(5_000_000_000));
        assert!(backoff.due(now));
        for seconds in [1, 2, 4, 8, 10, 10] {
            backoff.failed(now);
            let then = now.plus(Duration::from_secs(seconds));
            assert!(!backoff.due(BootTime(then.0 - 1)) && backoff.due(then));
            now = then;
        }
        backoff.reset();
        assert!(backoff.due(now));
    }
}
