//! The times of many lines: each second is put into words once.
//!
//! Reads timestamps, which mostly come in order; makes the same text as the format with `.%3f` behind it would. The lines of a
//! report's telemetry are tens of thousands, of some sixty seconds.

use std::fmt;

use jiff::Timestamp;

/// Nanoseconds of a second and of a millisecond.
const SECOND: i32 = 1_000_000_000;
const MILLISECOND: i32 = 1_000_000;

/// See the module.
pub(super) struct Times {
    /// Of whole seconds, for `strftime`.
    format: &'static str,
    /// The last second, and its text.
    last: Option<(i64, String)>,
}

impl Times {
    pub(super) fn new(format: &'static str) -> Self {
        Self { format, last: None }
    }

    /// A time with milliseconds, cut and not rounded; UTC.
    pub(super) fn show(&mut self, time: Timestamp) -> impl fmt::Display {
        // Before 1970 both parts are negative.
        let (second, nanos) = match (time.as_second(), time.subsec_nanosecond()) {
            (second, nanos @ ..0) => (second - 1, nanos + SECOND),
            parts => parts,
        };
        if self.last.as_ref().is_none_or(|(last, _)| *last != second) {
            self.last = Some((second, time.strftime(self.format).to_string()));
        }
        let text = self.last.as_ref().map_or("", |(_, text)| text);
        fmt::from_fn(move |f| write!(f, "{text}.{:03}", nanos / MILLISECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_strftime_writes() {
        let mut times = Times::new("%Y-%m-%d %H:%M:%S");
        for nanos in [
            0,
            999_999,
            1_000_000,
            1_772_600_767_891_999_999,
            1_772_600_767_999_999_999,
            1_772_600_768_000_000_000,
            1_772_600_767_000_000_000,
            -1,
            -999_000_001,
            -1_000_000_000,
            -1_000_000_001,
        ] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            let expected = time.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string();
            assert_eq!(times.show(time).to_string(), expected, "{nanos}");
        }
    }
}
