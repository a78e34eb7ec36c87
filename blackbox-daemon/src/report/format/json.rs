//! The `json` formatter: the whole report, indented by two spaces. The contract other programs read. Telemetry is written
//! entry by entry, as it is made.

use std::io::{self, Write};

use crate::report::Report;

/// Writes `report` and a line break.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::report::format::Format;
    use crate::report::format::tests::sample_report;

    #[test]
    fn the_keys_of_v1_and_ours_are_there() {
        let text = String::from_utf8(Format::Json.render(&sample_report()).unwrap()).unwrap();
        assert!(text.starts_with("{\n  \"schema\": \"blackbox.report/1\",\n  \"incident\": {\n"));
        assert!(text.ends_with("\n}\n"));

        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["incident"]["type"], "oom");
        assert_eq!(read["incident"]["severity"], "critical");
        assert_eq!(read["telemetry"].as_array().unwrap().len(), 2);
        assert_eq!(read["telemetry"][0]["name"], "memory_usage_percent");
        assert_eq!(read["telemetry"][0]["type"], "memory");
        assert_eq!(read["generated_at"], "2026-03-04T05:06:09Z");
        assert_eq!(
            read["verdict"]["statements"][0]["cites"],
            json!(["r12", "r14"])
        );
        assert_eq!(
            read["completeness"]["sources"][1],
            json!({"source": "kube", "state": "disabled", "why": "no API server"})
        );
        assert_eq!(
            read["completeness"]["classes"][0]["lost"],
            json!({"throttled": 2, "ring_full": 1})
        );
    }
}
