//! Times as clients write them: all of RFC 3339, as v1 took it.
//!
//! Reads text, makes a [`Timestamp`]. jiff's own reader knows nanoseconds at most and ends a day before year 9999
//! does; Go's knows neither end. Finer fractions are cut, and the last day (.NET's `MaxValue`) is the last moment.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::fmt::temporal::Pieces;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::openapi::schemas;

/// Digits of a second's fraction that count: nanoseconds.
const FRACTION: usize = 9;

/// A time in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Moment(pub(in crate::api) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(schemas::moment()))
    }
}

impl ToSchema for Moment {}

/// The time that `text` says.
///
/// # Errors
/// It is no time, or says no offset from UTC.
pub(in crate::api) fn parse(text: &str) -> Result<Timestamp, jiff::Error> {
    let text = &*in_nanoseconds(text);
    text.parse().or_else(|error| {
        let last = |pieces: &Pieces<'_>| {
            let whole = pieces.time().is_some() && pieces.offset().is_some();
            whole && pieces.date() >= date(9999, 12, 30)
        };
        match Pieces::parse(text) {
            Ok(pieces) if last(&pieces) => Ok(Timestamp::MAX),
            _ => Err(error),
        }
    })
}

/// The text without the digits of a fraction that are too fine.
fn in_nanoseconds(text: &str) -> std::borrow::Cow<'_, str> {
    let cut = text.split_once('.').and_then(|(whole, fraction)| {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let rest = fraction.get(digits..)?;
        (digits > FRACTION).then(|| format!("{whole}.{}{rest}", &fraction[..FRACTION]))
    });
    cut.map_or(text.into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rfc_3339_allows_is_a_time() {
        for (text, time) in [
            ("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
            ("2026-03-04t05:06:07.5z", "2026-03-04T05:06:07.5Z"),
            (
                "2026-03-04T05:06:07.1234567899999+00:00",
                "2026-03-04T05:06:07.123456789Z",
            ),
            ("0000-01-01T00:00:00+23:59", "-000001-12-31T00:01:00Z"),
            ("2026-06-30T23:59:60Z", "2026-06-30T23:59:59Z"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), time, "{text}");
        }
        for text in ["9999-12-31T23:59:59.9999999Z", "9999-12-30T22:59:59-12:00"] {
            assert_eq!(parse(text).unwrap(), Timestamp::MAX, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        for text in [
            "",
            "2026-03-04",
            "2026-03-04T05:06:07",
            "9999-12-31T23:59:59",
            "9999-12-31",
            "9999-12-32T00:00:00Z",
            "2026-03-04T05:06:07.Z",
            "yesterday.1234567890",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
