//! The window beside a queue of structs of strings: what `cargo bench --bench window` measures, as rows.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::table::{Row, Target};
use crate::cargo::cargo;
use crate::exec;

/// Runs it; the rows about the window.
pub(super) fn rows() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("window.json");
    exec::run(
        cargo()
            .args([
                "bench",
                "--quiet",
                "--package",
                "blackbox-daemon",
                "--bench",
                "window",
                "--",
                "--json",
            ])
            .arg(&file),
    )?;
    read(&file)
}

fn read(file: &Path) -> Result<Vec<Row>> {
    let map: Map<String, Value> = serde_json::from_slice(&std::fs::read(file)?)?;
    let figure = |name: &str| {
        map.get(name)
            .and_then(Value::as_f64)
            .with_context(|| format!("no {name}"))
    };
    let row = |work: &str, unit: &str, (ours, peer): (&str, &str), target: f64| -> Result<Row> {
        let (ours, peer) = (figure(ours)?, figure(peer)?);
        Ok(Row {
            work: work.to_owned(),
            ours: format!("{ours:.1} {unit}"),
            peer: format!("a VecDeque of structs of strings: {peer:.1} {unit}"),
            ratio: ours / peer,
            target: Target::AtMost(target),
        })
    };
    let slice = (
        "slice of 3,000,000: us",
        "slice of 3,000,000: us, queue of strings",
    );
    let mut rows = vec![
        row(
            "window append",
            "ns",
            ("append: ns", "append: ns, queue of strings"),
            1.0 / 20.0,
        )?,
        row(
            "memory of a record",
            "bytes",
            (
                "memory: bytes per record",
                "memory: bytes per record, queue of strings",
            ),
            1.0 / 5.0,
        )?,
        row("slice of 3 M records", "µs", slice, 1.0 / 1000.0)?,
    ];
    let micros = figure(slice.0)?;
    rows.push(Row {
        work: "slice of 3 M records".to_owned(),
        ours: format!("{micros:.1} µs"),
        peer: "1 ms".to_owned(),
        ratio: micros / 1000.0,
        target: Target::AtMost(1.0),
    });
    Ok(rows)
}
