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
//! | `evidence/durability.json` | which parts of what is kept on disk were degraded, if any |
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
pub(crate) mod tests;

use std::io::{self, BufWriter, Write};

use manifest::Listed;
pub use manifest::Manifest;
pub use read::{Bundle, Error};

use crate::record::LaneName;
use crate::report::Report;
use crate::report::case::Case;
use crate::report::format::{Format, Options};

/// What its version is; another one cannot be replayed.
pub const SCHEMA: &str = "blackbox.bundle/v2";

/// Level of compression: three times as fast as the default, and a tenth larger on records.
const LEVEL: i32 = 1;

const MANIFEST: &str = "manifest.json";
const REPORT: &str = "report.json";
const CASE: &str = "case.postcard";
const DECISIVE: &str = "records/decisive.postcard";
const BULK: &str = "records/bulk.postcard";
const LOG: &str = "evidence/log.json";
const STACK: &str = "evidence/stack.json";
const DURABILITY: &str = "evidence/durability.json";

/// A tar archive is made of blocks of this size, bytes, and ends with two empty ones (POSIX, pax, "ustar Interchange Format").
const BLOCK: usize = 512;

/// Writes the bundle of a case and the report that was made from it. Holds no entry: as the manifest comes first, each is
/// made twice, once for its digest.
///
/// # Errors
/// Something of it cannot be written down, or `out` takes no more.
pub fn pack(case: &Case, report: &Report, out: &mut impl Write) -> io::Result<()> {
    let parts = Part::of(case);
    let list =
        |part: &Part| Listed::write(part.name(), io::sink(), |out| part.write(case, report, out));
    let files: Vec<Listed> = parts.iter().map(list).collect::<io::Result<_>>()?;
    let mut archive = BufWriter::new(zstd::Encoder::new(out, LEVEL)?);
    let manifest = Manifest::of(&report.incident.id, files.clone());
    let manifest = serde_json::to_vec_pretty(&manifest)?;
    add(&mut archive, MANIFEST, manifest.len() as u64, |out| {
        out.write_all(&manifest)
    })?;
    for (part, listed) in parts.iter().zip(&files) {
        add(&mut archive, part.name(), listed.bytes, |out| {
            let again = Listed::write(part.name(), out, |out| part.write(case, report, out))?;
            match again == *listed {
                true => Ok(()),
                false => Err(io::Error::other(format!("{} changes", part.name()))),
            }
        })?;
    }
    archive.write_all(&[0; 2 * BLOCK])?;
    archive.into_inner()?.finish()?;
    Ok(())
}

/// What a bundle holds beside its manifest.
enum Part {
    Report,
    Case,
    Records(LaneName),
    Log,
    Stack,
    Durability,
}

impl Part {
    /// Those of a case, in the order they are written.
    fn of(case: &Case) -> Vec<Self> {
        let lanes = [LaneName::Decisive, LaneName::Bulk].map(Self::Records);
        let mut parts = vec![Self::Report, Self::Case];
        parts.extend(lanes);
        parts.extend(case.log.as_ref().map(|_| Self::Log));
        parts.extend(case.stack.as_ref().map(|_| Self::Stack));
        if !case.durability.is_empty() {
            parts.push(Self::Durability);
        }
        parts
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Report => REPORT,
            Self::Case => CASE,
            Self::Records(LaneName::Decisive) => DECISIVE,
            Self::Records(LaneName::Bulk) => BULK,
            Self::Log => LOG,
            Self::Stack => STACK,
            Self::Durability => DURABILITY,
        }
    }

    /// The same bytes each time.
    fn write(&self, case: &Case, report: &Report, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Report => Ok(Format::Json.write(out, report, Options::default())?),
            Self::Case => out.write_all(&case::write(case)?),
            Self::Records(lane) => records::write(case, report, *lane, out),
            Self::Log => Ok(serde_json::to_writer(out, &case.log)?),
            Self::Stack => Ok(serde_json::to_writer(out, &case.stack)?),
            Self::Durability => Ok(serde_json::to_writer(out, &case.durability)?),
        }
    }
}

/// One entry of `bytes` bytes, the same whoever makes it and whenever.
fn add<W: Write>(
    archive: &mut W,
    name: &str,
    bytes: u64,
    write: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_cksum();
    archive.write_all(header.as_bytes())?;
    write(archive)?;
    let over = bytes as usize % BLOCK;
    let padding = [0; BLOCK];
    archive.write_all(&padding[over..][..(BLOCK - over) % BLOCK])
}

/// Postcard's errors as those of a write or a read.
fn invalid(error: postcard::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
