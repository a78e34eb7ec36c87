//! Formatters: a report to bytes. Each is a pure function of the report; a failing one stops none of the others.
//!
//! `default` is text for people (and for v1's line readers), `json` is the contract, `csv` is the telemetry as
//! a table, `markdown` is a page for issues and chats, `brief` a bounded one for language models. Names, extensions and content types of all of them live here and nowhere else.

mod brief;
mod csv;
mod json;
mod line;
mod markdown;
mod memory;
mod next;
mod quote;
mod text;
mod times;

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use serde_json::Value;

use crate::report::Report;

/// How a report is written. The one list of formatters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Text: v1's header and lines, with the verdict in between.
    Default,
    /// The whole report.
    Json,
    /// The telemetry as a table.
    Csv,
    /// A page for people, as Markdown.
    Markdown,
    /// What a language model needs, in a bounded number of tokens.
    Brief,
}

/// What formats may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most tokens of a brief.
    pub brief_tokens: u32,
}

impl Options {
    /// Tokens of a brief, unless configured.
    pub const BRIEF_TOKENS: u32 = 2000;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brief_tokens: Self::BRIEF_TOKENS,
        }
    }
}

impl Format {
    /// Every format, in the order messages list them.
    pub const ALL: [Self; 5] = [
        Self::Default,
        Self::Json,
        Self::Csv,
        Self::Markdown,
        Self::Brief,
    ];

    /// The format called `name`; case and surrounding white space don't matter.
    ///
    /// # Errors
    /// No format has that name; the error lists those that exist.
    pub fn parse(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| UnknownFormat(name.trim().to_owned()))
    }

    /// The name used in configuration, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "markdown",
            Self::Brief => "brief",
        }
    }

    /// How the names of its files end, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Default => "txt",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "md",
            Self::Brief => "brief.md",
        }
    }

    /// Its `Content-Type` (v1 said `application/json` whatever it sent).
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Default => "text/plain; charset=utf-8",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Markdown | Self::Brief => "text/markdown; charset=utf-8",
        }
    }

    /// `report` in this format, with the options' defaults. UTF-8, and ends with a line break.
    ///
    /// # Errors
    /// A value of the report can't be expressed in this format.
    pub fn render(self, report: &Report) -> Result<Vec<u8>, FormatError> {
        self.render_with(report, Options::default())
    }

    /// `report` in this format. UTF-8, and ends with a line break.
    ///
    /// # Errors
    /// A value of the report can't be expressed in this format.
    pub fn render_with(self, report: &Report, options: Options) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        self.write(&mut bytes, report, options)?;
        Ok(bytes)
    }

    /// Writes `report` in this format, in small pieces, as it is made.
    ///
    /// # Errors
    /// A value of the report can't be expressed in this format, or `out` cannot be written.
    pub fn write(
        self,
        out: &mut impl Write,
        report: &Report,
        options: Options,
    ) -> Result<(), FormatError> {
        let written = match self {
            Self::Default => text::write(out, report),
            Self::Json => json::write(out, report),
            Self::Csv => csv::write(out, report),
            Self::Markdown => markdown::write(out, report),
            Self::Brief => brief::write(out, report, options.brief_tokens as usize),
        };
        written.map_err(|source| FormatError {
            format: self,
            source,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::parse(name)
    }
}

/// A format name that isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}, use one of: {names}", names = Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat(pub String);

/// A report that could not be written in a format.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report as {format}")]
pub struct FormatError {
    pub format: Format,
    #[source]
    source: std::io::Error,
}

impl From<FormatError> for std::io::Error {
    /// The cause, of its own kind: that `out` could not be written is no trouble with the format.
    fn from(error: FormatError) -> Self {
        error.source
    }
}

/// A telemetry value as one text: strings as they are, anything else as JSON on one line.
fn plain(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::{Format, UnknownFormat};
    use crate::report::{IncidentKind, Report};
    pub(in crate::report) use corpus::hostile;
    pub(in crate::report) use hostile::poison;
    pub(crate) use sample::sample_report;
    pub(in crate::report) use strict::strict;
    pub(super) use structure::{blocks_and_links, structure};

    mod corpus;
    mod hostile;
    mod sample;
    mod strict;
    mod structure;

    #[test]
    fn names_are_read_whatever_their_case_and_margins() {
        for format in Format::ALL {
            let shouted = format!(" {}\t", format.name().to_uppercase());
            assert_eq!(Format::parse(&shouted), Ok(format));
            assert_eq!(format.name().parse(), Ok(format));
        }
    }

    #[test]
    fn an_unknown_name_is_told_what_exists() {
        assert_eq!(Format::parse("xml"), Err(UnknownFormat("xml".to_owned())));
        assert_eq!(
            Format::parse(" xml ").unwrap_err().to_string(),
            r#"unknown format "xml", use one of: default, json, csv, markdown, brief"#
        );
    }

    #[test]
    fn a_report_read_from_its_json_renders_the_same_in_every_format() {
        let mut report = sample_report();
        // Floats that only a careful reader gives back, and text that JSON must escape.
        let floats: Vec<f64> = (1..500).map(|n| f64::from(n).sqrt() / 7.0).collect();
        report.telemetry.to_mut()[0].value = json!([floats, 1e-7, u64::MAX]);
        let facts = &mut report.verdict.facts;
        facts.insert("run_time_seconds".into(), json!(2.220_446_049_250_313e-16));
        report.incident.kind = IncidentKind::Reported("degraded \"\u{1}\"".to_owned());
        let json = Format::Json.render(&report).unwrap();
        let read: Report = serde_json::from_slice(&json).unwrap();
        for format in Format::ALL {
            let (one, other) = (format.render(&report), format.render(&read));
            assert_eq!(one.unwrap(), other.unwrap(), "{format}");
        }
    }

    #[test]
    fn the_same_report_gives_the_same_bytes_and_ends_its_last_line() {
        for format in Format::ALL {
            let bytes = format.render(&sample_report()).unwrap();
            assert_eq!(bytes, format.render(&sample_report()).unwrap());
            assert!(bytes.ends_with(b"\n"), "{format}");
            assert!(std::str::from_utf8(&bytes).is_ok(), "{format}");
        }
    }
}
