//! Waiting with a limit. The only reader of the clock in this crate.
#![expect(
    clippy::disallowed_methods,
    reason = "commands wait for real processes; nothing here is replayed"
)]

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// Time since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks `poll` about every 20 ms until it has an answer; `None` once `limit` has passed without one.
///
/// # Errors
/// The first error of `poll`.
pub fn wait_for<T, E>(
    limit: Duration,
    mut poll: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let watch = Stopwatch::start();
    loop {
        if let Some(answer) = poll()? {
            return Ok(Some(answer));
        }
        if watch.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
}

/// The wall clock.
#[must_use]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
