//! What can be done with a bundle on a command line: show its report, make it anew, or verify it.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use anyhow::Context as _;

use super::Bundle;
use crate::evidence;
use crate::report::build::build;
use crate::report::format::Format;
use crate::words;

/// Writes the report of a bundle in a format, as it was told; with `files`, made anew with the names that files below that
/// directory give the stack.
///
/// # Errors
/// The bundle is not believed, `files` is no directory, or `out` takes nothing.
pub fn report(
    path: &Path,
    files: Option<&Path>,
    format: Format,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let bundle = open(path)?;
    let bytes = match (files, format) {
        (Some(files), _) => {
            anyhow::ensure!(files.is_dir(), "{} is not a directory", files.display());
            let mut case = bundle.case()?;
            case.stack = evidence::stack_of(&case, &[files.to_owned()]);
            format.render(&build(&case))?
        }
        (None, Format::Json) => bundle.report_json().to_vec(),
        (None, _) => format.render(&bundle.report()?)?,
    };
    out.write_all(&bytes).context("cannot write the report")
}

/// Makes the report anew with this program's rules, writes it where a format is given, and says whether it is what was told,
/// byte for byte.
///
/// # Errors
/// As for [`report`].
pub fn replay(path: &Path, format: Option<Format>, out: &mut impl Write) -> anyhow::Result<bool> {
    let bundle = open(path)?;
    let report = build(&bundle.case()?);
    let same = Format::Json.render(&report)? == bundle.report_json();
    match format {
        Some(format) => out.write_all(&format.render(&report)?)?,
        None if same => writeln!(out, "the same: these rules tell this case as it was told")?,
        None => {
            let told = bundle.report()?;
            let [was, is] = [&told, &report].map(|report| {
                let (verdict, diagnosis) = (&report.verdict, &report.diagnosis);
                format!(
                    "{} ({}), {} ({})",
                    verdict.headline,
                    verdict.grade.name(),
                    diagnosis.code,
                    diagnosis.grade.name()
                )
            });
            let by = &bundle.manifest.made_by;
            writeln!(out, "not the same\ntold by {by}: {was}\nthese rules: {is}")?;
        }
    }
    Ok(same)
}

/// Says that every entry is what the manifest says.
///
/// # Errors
/// As for [`report`]: it is not.
pub fn verify(path: &Path, out: &mut impl Write) -> anyhow::Result<()> {
    let bundle = open(path)?;
    for listed in &bundle.manifest.files {
        writeln!(
            out,
            "{}  {} ({} bytes)",
            listed.sha256, listed.path, listed.bytes
        )?;
    }
    let count = bundle.manifest.files.len();
    let [incident, made_by] =
        [&bundle.manifest.incident, &bundle.manifest.made_by].map(|text| words::printable(text));
    writeln!(
        out,
        "whole: {count} entries of incident {incident}, made by {made_by}"
    )?;
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Bundle> {
    let read =
        || -> anyhow::Result<Bundle> { Ok(Bundle::open(BufReader::new(File::open(path)?))?) };
    read().with_context(|| format!("cannot use the bundle {}", path.display()))
}
