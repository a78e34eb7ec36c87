//! The `Accept` header: which of a report's formats a client likes best (RFC 9110, section 12.5.1). Pure.

use axum::http::{HeaderMap, header};

use crate::api::error::{ApiError, Code};
use crate::report::format::Format;

/// What is offered, best first.
const OFFERED: [(Format, &str, &str); 4] = [
    (Format::Json, "application", "json"),
    (Format::Default, "text", "plain"),
    (Format::Csv, "text", "csv"),
    (Format::Markdown, "text", "markdown"),
];

/// The offered format the client likes best; of several, the first. Without a header: JSON.
///
/// # Errors
/// It accepts none of them.
pub(super) fn choose(headers: &HeaderMap) -> Result<Format, ApiError> {
    let texts: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    if texts.is_empty() {
        return Ok(Format::Json);
    }
    let ranges: Vec<Range<'_>> = texts
        .iter()
        .flat_map(|text| text.split(','))
        .filter_map(Range::parse)
        .collect();
    let mut best: Option<(f32, Format)> = None;
    for (format, kind, subtype) in OFFERED {
        // The most exact range counts: `text/*, text/csv;q=0` accepts text, and no CSV.
        let fitting = ranges.iter().filter_map(|range| {
            let exactness = range.exactness(kind, subtype)?;
            Some((exactness, range.quality))
        });
        let exact = fitting.max_by(|one, other| one.0.cmp(&other.0));
        let quality = exact.map_or(0.0, |(_, quality)| quality);
        if quality > best.map_or(0.0, |(best, _)| best) {
            best = Some((quality, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| {
        let allowed = OFFERED.map(|(_, kind, subtype)| format!("{kind}/{subtype}"));
        let message = format!("none of these is accepted: {}", allowed.join(", "));
        ApiError {
            field: Some("Accept".to_owned()),
            ..ApiError::new(Code::NotAcceptable, message)
        }
    })
}

struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality = parts.find_map(|part| {
            let value = part.strip_prefix("q=").or(part.strip_prefix("Q="))?;
            value.trim().parse().ok()
        });
        Some(Self {
            kind,
            subtype,
            quality: quality.unwrap_or(1.0),
        })
    }

    /// 0: `*/*`, 1: `text/*`, 2: `text/csv`. `None`: it does not fit.
    fn exactness(&self, kind: &str, subtype: &str) -> Option<u8> {
        let same_kind = self.kind.eq_ignore_ascii_case(kind);
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (_, "*") if same_kind => Some(1),
            (_, own) if same_kind && own.eq_ignore_ascii_case(subtype) => Some(2),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(accept: &str) -> Result<Format, ApiError> {
        let value = accept.parse().unwrap();
        super::choose(&HeaderMap::from_iter([(header::ACCEPT, value)]))
    }

    #[test]
    fn the_best_liked_wins() {
        for (accept, format) in [
            ("*/*", Format::Json),
            ("application/json", Format::Json),
            ("text/plain", Format::Default),
            ("Text/CSV", Format::Csv),
            ("text/*", Format::Default),
            ("text/*, text/plain;q=0.1", Format::Csv),
            ("application/json;q=0.5, text/csv; q=0.9", Format::Csv),
            ("text/html, */*;q=0.1", Format::Json),
            ("application/*;q=0, */*", Format::Default),
        ] {
            assert_eq!(choose(accept), Ok(format), "{accept}");
        }
        assert_eq!(super::choose(&HeaderMap::new()), Ok(Format::Json));
    }

    #[test]
    fn a_client_that_accepts_none_is_told_what_there_is() {
        for accept in ["text/html", "*/*;q=0", "text/csv;q=nan", "json", ""] {
            let error = choose(accept).unwrap_err();
            assert_eq!(error.code, Code::NotAcceptable, "{accept}");
            assert!(
                error
                    .message
                    .contains("application/json, text/plain, text/csv")
            );
        }
    }
}
