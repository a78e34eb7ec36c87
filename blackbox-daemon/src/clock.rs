//! The only reader of clocks: boot time for order and retention, wall time for people.
//!
//! Everything else gets its time as an argument. Wall time is boot time plus an offset that is read anew for
//! each report, so a clock that is set moves what people read, never what is kept.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use serde::{Deserialize, Serialize};

use crate::record::BootTime;

/// Now, on `CLOCK_BOOTTIME`.
#[must_use]
pub fn boot_now() -> BootTime {
    BootTime(nanos(ClockId::Boottime).unsigned_abs())
}

/// Processor time that this process has taken.
#[must_use]
pub fn own_time() -> Duration {
    Duration::from_nanos(nanos(ClockId::ProcessCPUTime).unsigned_abs())
}

/// The distance between the two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallOffset {
    /// Wall clock minus boot clock, ns.
    nanos: i64,
}

impl WallOffset {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        Self {
            nanos: nanos(ClockId::Realtime) - nanos(ClockId::Boottime),
        }
    }

    /// An offset chosen by a test or read from a bundle.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// Wall clock minus boot clock, ns.
    #[must_use]
    pub fn nanos(self) -> i64 {
        self.nanos
    }

    /// The wall time of `at`. Times that jiff cannot express become the nearest it can.
    #[must_use]
    pub fn wall(self, at: BootTime) -> Timestamp {
        let nanos = i128::from(at.0) + i128::from(self.nanos);
        Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
    }

    /// The boot time of a wall time, nanoseconds after 1970. `None`: before boot, or beyond what a clock can show.
    #[must_use]
    pub fn boot(self, wall: i64) -> Option<BootTime> {
        let nanos = wall.checked_sub(self.nanos)?;
        u64::try_from(nanos).ok().map(BootTime)
    }
}

fn nanos(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    // i64 nanoseconds last until the year 2262.
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// How long to wait until the next multiple of `period` after `now`. Whatever looks once a second does so with this: samples
/// keep their rhythm, and an idle processor is woken once for all who look.
#[must_use]
pub fn until_next(now: BootTime, period: Duration) -> Duration {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    Duration::from_nanos(period - now.0 % period)
}
