//! Query strings, strictly: a parameter that is unknown, given twice or of a wrong value is an error that says what
//! is allowed. A misspelt filter that is ignored would answer with everything.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::moment;
use crate::clock::{self, WallOffset};
use crate::config::values;
use crate::record::{BootTime, Severity};

/// The parameters of a request: a struct of optional texts that denies unknown fields.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let text = rejection.body_text();
                // serde says "…: x: unknown field `x`, expected one of `a`, `b`".
                let known = ["unknown field", "duplicate field"];
                let start = known.iter().find_map(|words| text.find(words));
                let what = text.get(start.unwrap_or_default()..).unwrap_or_default();
                let field = what.split('`').nth(1).unwrap_or_default().to_owned();
                let message = what.replacen("field", "parameter", 1);
                Err(ApiError::field(field, message))
            }
        }
    }
}

/// Now, on both clocks.
#[derive(Clone, Copy)]
pub(super) struct Now {
    pub(super) at: BootTime,
    pub(super) wall: WallOffset,
}

impl Now {
    pub(super) fn read() -> Self {
        Self {
            at: clock::boot_now(),
            wall: WallOffset::now(),
        }
    }

    /// A time of the query: RFC 3339, or a duration that ends now.
    pub(super) fn time(
        self,
        field: &'static str,
        text: Option<&str>,
    ) -> Result<Option<Timestamp>, ApiError> {
        text.map(|text| self.parse(field, text)).transpose()
    }

    fn parse(self, field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
        if let Ok(ago) = values::saturating_duration(text) {
            return Ok(self.wall.wall(self.at) - ago.min(Duration::from_secs(1 << 32)));
        }
        // A `+` that nobody escaped arrives as a space.
        let parsed = moment::parse(text).or_else(|_| moment::parse(&text.replace(' ', "+")));
        parsed.ok().ok_or_else(|| {
            let example =
                "an RFC 3339 time such as 2026-03-04T05:06:07Z, or a duration such as 10m";
            ApiError::field(field, format!("{text:?} is no time; allowed: {example}"))
        })
    }

    /// Times of the query as the recorder counts; times before boot become boot. The defaults are `start` and now.
    pub(super) fn span(
        self,
        since: Option<&str>,
        until: Option<&str>,
        start: BootTime,
    ) -> Result<(BootTime, BootTime), ApiError> {
        let boot = |at: Timestamp| {
            let end = if at.as_nanosecond() < 0 {
                i64::MIN
            } else {
                i64::MAX
            };
            let nanos = i64::try_from(at.as_nanosecond()).unwrap_or(end);
            self.wall.boot(nanos).unwrap_or_default()
        };
        let since = self.time("since", since)?;
        let until = self.time("until", until)?;
        in_order(since, until)?;
        Ok((since.map_or(start, boot), until.map_or(self.at, boot)))
    }
}

/// Refuses a span that ends before it starts.
pub(super) fn in_order(since: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), ApiError> {
    match (since, until) {
        (Some(since), Some(until)) if since > until => Err(ApiError::field(
            "until",
            format!("{until} is before since, {since}; allowed: a time that is not"),
        )),
        _ => Ok(()),
    }
}

/// How many: 1 to `most`.
pub(super) fn limit(text: Option<&str>, default: usize, most: usize) -> Result<usize, ApiError> {
    let Some(text) = text else {
        return Ok(default);
    };
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=most).contains(limit))
        .ok_or_else(|| ApiError::field("limit", format!("{text:?}: allowed are 1 to {most}")))
}

/// One of the four.
pub(super) fn severity(text: Option<&str>) -> Result<Option<Severity>, ApiError> {
    let parse = |text: &str| {
        Severity::parse(text).ok_or_else(|| {
            let allowed = Severity::ALL.map(Severity::name).join(", ");
            ApiError::field("severity", format!("{text:?} is none; allowed: {allowed}"))
        })
    };
    text.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        pod: Option<String>,
        limit: Option<String>,
    }

    async fn read(query: &str) -> Result<Parameters, ApiError> {
        let uri = format!("/x?{query}");
        let request = axum::http::Request::get(uri).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        let query = Query::from_request_parts(&mut parts, &()).await;
        query.map(|Query(parameters)| parameters)
    }

    #[tokio::test]
    async fn unknown_and_repeated_parameters_are_named() {
        assert_eq!(read("pod=a%20b").await.unwrap().pod.unwrap(), "a b");
        assert!(read("").await.unwrap().limit.is_none());
        let error = read("pdo=a").await.unwrap_err();
        assert_eq!(error.field.as_deref(), Some("pdo"));
        assert_eq!(
            error.message,
            "unknown parameter `pdo`, expected `pod` or `limit`"
        );
        let error = read("pod=a&pod=b").await.unwrap_err();
        assert_eq!(error.field.as_deref(), Some("pod"));
        assert_eq!(error.message, "duplicate parameter `pod`");
    }

    #[test]
    fn times_are_absolute_or_ago() {
        let now = Now {
            at: BootTime(60_000_000_000),
            wall: WallOffset::from_nanos(1_772_600_767_000_000_000),
        };
        let time = |text: &str| {
            now.time("since", Some(text))
                .map(|at| at.unwrap().to_string())
        };
        assert_eq!(time("1m").unwrap(), "2026-03-04T05:06:07Z");
        assert_eq!(time("0").unwrap(), "2026-03-04T05:07:07Z");
        assert!(
            time(&format!("{}h", "9".repeat(30))).is_ok(),
            "longer than can be counted"
        );
        for text in [
            "2026-03-04T05:06:07Z",
            "2026-03-04T07:06:07+02:00",
            "2026-03-04T07:06:07 02:00",
        ] {
            assert_eq!(time(text).unwrap(), "2026-03-04T05:06:07Z");
        }
        for text in ["", "yesterday", "-1m", "2026-03-04", "1e9h"] {
            let error = time(text).unwrap_err();
            assert!(error.message.contains("allowed: an RFC 3339"), "{text}");
        }
        let (start, end) = now.span(Some("10m"), None, BootTime(7)).unwrap();
        assert_eq!((start, end), (BootTime(0), now.at), "before boot");
        let ages = now.span(
            Some("0001-01-01T00:00:00Z"),
            Some("9999-12-30T00:00:00Z"),
            now.at,
        );
        let (start, end) = ages.unwrap();
        assert!(
            start == BootTime(0) && end > now.at,
            "beyond what nanoseconds can count"
        );
        assert_eq!(
            now.span(None, Some("30s"), BootTime(7)).unwrap().0,
            BootTime(7)
        );
        let wrong = now.span(Some("1s"), Some("2s"), BootTime(0)).unwrap_err();
        assert_eq!(wrong.field.as_deref(), Some("until"));
    }

    #[test]
    fn numbers_and_severities_say_what_is_allowed() {
        assert_eq!(limit(None, 100, 1000), Ok(100));
        assert_eq!(limit(Some("1000"), 100, 1000), Ok(1000));
        for text in ["0", "1001", "-1", "ten", ""] {
            let error = limit(Some(text), 100, 1000).unwrap_err();
            assert!(error.message.contains("1 to 1000"), "{text}");
        }
        assert_eq!(severity(Some("HIGH")), Ok(Some(Severity::High)));
        let error = severity(Some("worst")).unwrap_err();
        assert!(error.message.contains("low, medium, high, critical"));
    }
}
