//! How often a caller may ask: a limit per minute for each class of endpoint. Pure but for its lock; time is given.
//!
//! Fixed windows of one minute that begin with a caller's first request. A token bucket would smooth bursts, but has
//! no moment at which it "resets" and no whole number that "remains", which the headers promise; a caller that
//! spends two windows around their border gets at most twice the limit in a minute. Bound: [`CALLERS`] callers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::error::{ApiError, Code};
use crate::record::BootTime;

/// Length of a window.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Callers remembered. Beyond, the one that has not asked for longest is forgotten, and starts anew.
pub const CALLERS: usize = 4096;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Endpoints that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Telemetry,
    Incident,
    Export,
    Other,
}

/// Requests per minute and caller, for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// `BLACKBOX_API_RATE_LIMIT`.
    pub telemetry: u32,
    pub incident: u32,
    pub export: u32,
    pub other: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            telemetry: 1000,
            incident: 100,
            export: 10,
            other: 300,
        }
    }
}

impl Rates {
    fn of(&self, class: Class) -> u32 {
        match class {
            Class::Telemetry => self.telemetry,
            Class::Incident => self.incident,
            Class::Export => self.export,
            Class::Other => self.other,
        }
    }
}

/// What one request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Requests allowed in a window.
    pub limit: u32,
    /// Requests left in this one.
    pub remaining: u32,
    /// Until the next window.
    pub reset_after: Duration,
    pub allowed: bool,
}

impl Decision {
    /// Adds `X-RateLimit-Limit`, `-Remaining` and `-Reset` (Unix time in seconds, rounded up) to a response made at
    /// `now`.
    pub fn put(&self, headers: &mut HeaderMap, now: Timestamp) {
        let reset = now.as_nanosecond() + i128::try_from(self.reset_after.as_nanos()).unwrap_or(0);
        let reset = u64::try_from(reset).unwrap_or(0).div_ceil(1_000_000_000);
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(reset));
    }

    /// The answer to a request that is not allowed; `Retry-After` says when the window ends.
    #[must_use]
    pub fn refusal(&self) -> ApiError {
        let message = format!(
            "rate limit exceeded: {} requests per minute are allowed here",
            self.limit
        );
        ApiError::new(Code::RateLimitExceeded, message).retry_after(self.reset_after)
    }
}

/// The windows of all callers.
#[derive(Debug)]
pub struct RateLimits {
    rates: Rates,
    callers: Mutex<HashMap<String, Caller>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: BootTime,
    used: u32,
}

#[derive(Debug)]
struct Caller {
    last: BootTime,
    windows: [Option<Window>; 4],
}

impl RateLimits {
    #[must_use]
    pub fn new(rates: Rates) -> Self {
        Self {
            rates,
            callers: Mutex::default(),
        }
    }

    /// Counts a request of `who` (a caller's name; without one, an address), and says whether it is allowed. One
    /// that is not allowed is not counted.
    pub fn take(&self, who: &str, class: Class, now: BootTime) -> Decision {
        let limit = self.rates.of(class);
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if !callers.contains_key(who) {
            make_room(&mut callers, now);
        }
        let caller = callers.entry(who.to_owned()).or_insert_with(|| Caller {
            last: now,
            windows: [None; 4],
        });
        caller.last = now;
        let window = caller.windows[class as usize]
            .filter(|window| now.since(window.began) < WINDOW)
            .unwrap_or(Window {
                began: now,
                used: 0,
            });
        let allowed = window.used < limit;
        let used = window.used + u32::from(allowed);
        caller.windows[class as usize] = Some(Window { used, ..window });
        Decision {
            limit,
            remaining: limit.saturating_sub(used),
            reset_after: WINDOW.saturating_sub(now.since(window.began)),
            allowed,
        }
    }
}

/// Forgets those whose windows are all over; else the one that has been idle longest.
fn make_room(callers: &mut HashMap<String, Caller>, now: BootTime) {
    if callers.len() < CALLERS {
        return;
    }
    callers.retain(|_, caller| now.since(caller.last) < WINDOW);
    if callers.len() < CALLERS {
        return;
    }
    let idlest = callers.iter().min_by_key(|(_, caller)| caller.last);
    if let Some(name) = idlest.map(|(name, _)| name.clone()) {
        callers.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime(0).plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_window_is_used_up_and_begins_anew() {
        let limits = RateLimits::new(Rates::default());
        for left in (0..10).rev() {
            let decision = limits.take("one", Class::Export, at(1_000));
            assert!(decision.allowed);
            assert_eq!((decision.limit, decision.remaining), (10, left));
        }
        let refused = limits.take("one", Class::Export, at(31_500));
        assert!(!refused.allowed);
        assert_eq!(refused.remaining, 0);
        assert_eq!(refused.reset_after, Duration::from_millis(29_500));
        assert_eq!(refused.refusal().retry_after, Some(refused.reset_after));
        let again = limits.take("one", Class::Export, at(61_000));
        assert!(again.allowed);
        assert_eq!((again.remaining, again.reset_after), (9, WINDOW));
    }

    #[test]
    fn callers_and_classes_do_not_share() {
        let limits = RateLimits::new(Rates {
            telemetry: 1,
            ..Rates::default()
        });
        assert!(limits.take("one", Class::Telemetry, at(0)).allowed);
        assert!(!limits.take("one", Class::Telemetry, at(1)).allowed);
        assert!(limits.take("two", Class::Telemetry, at(1)).allowed);
        assert!(limits.take("one", Class::Other, at(1)).allowed);
    }

    #[test]
    fn callers_are_bounded_and_the_idlest_goes() {
        let limits = RateLimits::new(Rates::default());
        for number in 0..CALLERS {
            limits.take(&number.to_string(), Class::Other, at(number as u64));
        }
        limits.take("0", Class::Other, at(5_000));
        limits.take("new", Class::Other, at(5_001));
        let callers = limits.callers.lock().unwrap();
        assert_eq!(callers.len(), CALLERS);
        assert!(callers.contains_key("0") && !callers.contains_key("1"));
        drop(callers);
        limits.take("much later", Class::Other, at(90_000));
        assert_eq!(limits.callers.lock().unwrap().len(), 1);
    }

    #[test]
    fn headers_say_when_the_window_ends() {
        let decision = Decision {
            limit: 10,
            remaining: 3,
            reset_after: Duration::from_millis(1_500),
            allowed: true,
        };
        let mut headers = HeaderMap::new();
        let now = Timestamp::from_millisecond(1_700_000_000_600).unwrap();
        decision.put(&mut headers, now);
        assert_eq!(headers[LIMIT], "10");
        assert_eq!(headers[REMAINING], "3");
        assert_eq!(headers[RESET], "1700000003");
    }
}
