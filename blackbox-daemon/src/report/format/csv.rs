//! The `csv` formatter: one row per telemetry entry, in v1's columns.
//!
//! Reads the telemetry and the incident's id; makes RFC 4180 (<https://www.rfc-editor.org/rfc/rfc4180>) with
//! bare line feeds between rows. Fields are quoted when they need it, `tags` always: v1's readers expect that,
//! and no CSV writer offers it for one column. `;` and `=` separate tags, so inside them they are written
//! percent-encoded (and `%` too): a tag's value cannot forge another tag.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use crate::report::format::plain;
use crate::report::format::times::Times;
use crate::report::{Entry, Report};

const HEADER: &[u8] = b"timestamp,source,type,name,value,tags,incident_id\n";

/// Writes the header and a row for each entry.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    out.write_all(HEADER)?;
    let mut times = Times::new("%Y-%m-%dT%H:%M:%S");
    for entry in report.telemetry.entries() {
        row(out, &mut times, &entry, &report.incident.id)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, times: &mut Times, entry: &Entry, incident: &str) -> io::Result<()> {
    writeln!(
        out,
        "{}Z,{},{},{},{},\"{}\",{}",
        times.show(entry.timestamp),
        Field(entry.source.name()),
        Field(entry.kind.name()),
        Field(&entry.name),
        Field(&plain(&entry.value)),
        Tags(entry),
        Field(incident),
    )
}

/// A field, quoted when RFC 4180 asks for it.
struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains([',', '"', '\r', '\n']) {
            f.write_str("\"")?;
            quoted(f, self.0)?;
            f.write_str("\"")
        } else {
            f.write_str(self.0)
        }
    }
}

/// The inside of a quoted field.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for (index, piece) in text.split('"').enumerate() {
        if index > 0 {
            f.write_str("\"\"")?;
        }
        f.write_str(piece)?;
    }
    Ok(())
}

/// `k=v;k=v` by key, for the inside of a quoted field.
struct Tags<'a>(&'a Entry);

impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.tags.iter().enumerate() {
            if index > 0 {
                f.write_str(";")?;
            }
            quoted(f, &encoded(key))?;
            f.write_str("=")?;
            quoted(f, &encoded(value))?;
        }
        Ok(())
    }
}

fn encoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', ';', '=']) {
        return Cow::Borrowed(text);
    }
    let encoded = text.replace('%', "%25");
    Cow::Owned(encoded.replace(';', "%3B").replace('=', "%3D"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::report::format::Format;
    use crate::report::format::tests::sample_report;

    #[test]
    fn a_report_in_full() {
        let text = String::from_utf8(Format::Csv.render(&sample_report()).unwrap()).unwrap();
        assert_eq!(
            text,
            "timestamp,source,type,name,value,tags,incident_id\n\
             2026-03-04T05:06:06.500Z,system,memory,memory_usage_percent,97.5,\"\",oom-1\n\
             2026-03-04T05:06:07.891Z,system,process,oom_kill,java,\"pid=4711;pod_name=shop\",oom-1\n"
        );
    }

    #[test]
    fn hostile_text_comes_back_as_it_was() {
        let mut report = sample_report();
        let name = "a,b\"c\r\nd | e; =SUM(A1)".to_owned();
        report.incident.id = "i,\"1\"\n".to_owned();
        report.telemetry.to_mut()[0].name = name.clone().into();
        report.telemetry.to_mut()[0].value = json!({"k": "v,\n\""});
        report.telemetry.to_mut()[0].tags = [("k\"".into(), "1;admin=yes\n%".to_owned())].into();
        let bytes = Format::Csv.render(&report).unwrap();

        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let rows: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(&rows[0][3], name);
        assert_eq!(&rows[0][4], "{\"k\":\"v,\\n\\\"\"}");
        assert_eq!(&rows[0][5], "k\"=1%3Badmin%3Dyes\n%25");
        assert_eq!(&rows[0][6], "i,\"1\"\n");
        assert_eq!(&rows[1][5], "pid=4711;pod_name=shop");
    }
}
