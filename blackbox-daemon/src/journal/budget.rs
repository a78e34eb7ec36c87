//! How much may be written: so much that the ring always holds the last minute. Pure.
//!
//! A bucket of a quarter of the ring, which fills with the other three quarters in the time the window reaches back: what is
//! written in any such time fits the ring, so a flood of bulk never costs it a decisive record. Decisive records are written
//! in any case and paid from the same bucket.

use std::time::Duration;

use crate::record::BootTime;

/// See the module.
#[derive(Debug)]
pub struct Budget {
    /// Bytes.
    burst: u64,
    /// Bytes per second.
    rate: u64,
    left: u64,
    at: BootTime,
}

impl Budget {
    /// For a ring of `size` bytes that is to reach back `span`, of whose speed `percent` may be used.
    #[must_use]
    pub fn new(size: u64, span: Duration, percent: u64) -> Self {
        let burst = size / 4;
        let seconds = span.as_secs().max(1);
        Self {
            burst,
            rate: (size - burst) / seconds * percent.min(100) / 100,
            left: burst,
            at: BootTime(0),
        }
    }

    /// Bytes that may be written at `now`.
    pub fn left(&mut self, now: BootTime) -> u64 {
        let millis = now.since(self.at).as_millis();
        let more = u128::from(self.rate) * millis / 1000;
        // Else many short steps would add up to nothing.
        if more > 0 {
            let more = u64::try_from(more).unwrap_or(u64::MAX);
            self.left = self.left.saturating_add(more).min(self.burst);
            self.at = now;
        }
        self.left
    }

    /// So many were written.
    pub fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_in_the_span_fits_the_ring() {
        const SIZE: u64 = 32 << 20;
        let span = Duration::from_secs(62);
        let mut budget = Budget::new(SIZE, span, 100);
        let mut written = Vec::new();
        for step in 1..3000_u64 {
            let now = BootTime(step * 100_000_000);
            let bytes = budget.left(now);
            budget.spend(bytes);
            written.push((now, bytes));
        }
        for (end, _) in &written {
            let within = written
                .iter()
                .filter(|(at, _)| at <= end && end.since(*at) < span);
            let sum: u64 = within.map(|(_, bytes)| bytes).sum();
            assert!(sum <= SIZE, "{sum}");
        }
        let all: u64 = written.iter().map(|(_, bytes)| bytes).sum();
        assert!(all > SIZE * 3, "it is used: {all}");
    }
}
