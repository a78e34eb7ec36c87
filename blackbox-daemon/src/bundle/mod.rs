//! The bundle: everything a report was made from, in one file that outlives the machine it was made on.
//!
//! `<incident>.tar.zst` holds, in this order:
//!
//! | Entry | What |
//! | --- | --- |
//! | `manifest.json` | version, incident, and the SHA-256 and length of every other entry (`manifest`) |
//! | `report.json` | the report as it was told |
//! | `case.postcard` | the incident, names, counts and times (`case`) |
//! | `records/decisive.postcard`, `records/bulk.postcard` | the window's records (`records`) |
//! | `evidence/log.json`, `evidence/stack.json` | what the node had: log lines, the stack with names |
//!
//! Failed calls of containers that play no part are left out: a report says nothing of them, and they are other people's.
//! Reading fails closed: an entry that is missing, unknown, twice there, too large or not what the manifest says is an error,
//! and nothing of such a bundle is shown.

mod case;
pub mod command;
mod manifest;
mod read;
mod records;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

pub use manifest::Manifest;
pub use read::{Bundle, Error};

use crate::record::LaneName;
use crate::report::Report;
use crate::report::case::Case;

/// What its version is; another one cannot be replayed.
pub const SCHEMA: &str = "blackbox.bundle/v1";

/// Level of compression: three times as fast as the default, and a tenth larger on records.
const LEVEL: i32 = 1;

const MANIFEST: &str = "manifest.json";
const REPORT: &str = "report.json";
const CASE: &str = "case.postcard";
const DECISIVE: &str = "records/decisive.postcard";
const BULK: &str = "records/bulk.postcard";
const LOG: &str = "evidence/log.json";
const STACK: &str = "evidence/stack.json";

/// Makes the bundle of a case; `json` is its report in that format.
///
/// # Errors
/// Something of it cannot be written down.
pub fn pack(case: &Case, report: &Report, json: &[u8]) -> io::Result<Vec<u8>> {
    let mut entries: Vec<(&str, Vec<u8>)> = vec![
        (REPORT, json.to_vec()),
        (CASE, case::write(case)?),
        (DECISIVE, records::write(case, report, LaneName::Decisive)?),
        (BULK, records::write(case, report, LaneName::Bulk)?),
    ];
    if let Some(log) = &case.log {
        entries.push((LOG, serde_json::to_vec(log)?));
    }
    if let Some(stack) = &case.stack {
        entries.push((STACK, serde_json::to_vec(stack)?));
    }
    let manifest = Manifest::of(&report.incident.id, &entries);
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    add(
        &mut archive,
        MANIFEST,
        &serde_json::to_vec_pretty(&manifest)?,
    )?;
    for (name, bytes) in &entries {
        add(&mut archive, name, bytes)?;
    }
    archive.into_inner()?.finish()
}

/// One entry, the same whoever makes it and whenever.
fn add(archive: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, name, bytes)
}

/// Postcard's errors as those of a write or a read.
fn invalid(error: postcard::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
