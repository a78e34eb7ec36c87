//! How long to wait before another attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Longest pause between two attempts, unless the configured one is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Before the attempt after this many failures: twice as long each time, and then any time from half of that on.
pub(super) fn pause(first: Duration, failures: u32) -> Duration {
    let grown = first.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let grown = grown.min(longest(first));
    // A hasher's random key is random enough, and there already.
    let random = RandomState::new().hash_one(failures) % 1024;
    grown / 2 + grown / 2 * u32::try_from(random).unwrap_or(0) / 1024
}

/// The longest pause, if `pause` is the first one.
pub(super) fn longest(pause: Duration) -> Duration {
    pause.max(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ_within_bounds() {
        let first = Duration::from_secs(5);
        for (failures, full) in [(1, 5), (2, 10), (3, 20), (4, 30), (40, 30)] {
            let full = Duration::from_secs(full);
            for _ in 0..100 {
                let pause = pause(first, failures);
                assert!((full / 2..=full).contains(&pause), "{failures}: {pause:?}");
            }
        }
        let long = Duration::from_secs(300);
        assert!(pause(long, 9) >= long / 2);
    }
}
