//! The manifest: which entries a bundle has, and what is in them, by SHA-256.

use std::fmt::Write as _;
use std::io::{self, Write};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::SCHEMA;

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `blackbox.bundle/v2`.
    pub schema: String,
    /// The version that made it.
    pub made_by: String,
    /// Id of the incident.
    pub incident: String,
    pub files: Vec<Listed>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub path: String,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn of(incident: &str, files: Vec<Listed>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            made_by: format!("blackbox-daemon {}", env!("CARGO_PKG_VERSION")),
            incident: incident.to_owned(),
            files,
        }
    }

    /// The entry of this path, if the bytes are what it says.
    pub(super) fn holds(&self, path: &str, bytes: &[u8]) -> bool {
        self.files.iter().any(|listed| {
            listed.path == path
                && listed.bytes == bytes.len() as u64
                && listed.sha256 == sha256(bytes)
        })
    }
}

impl Listed {
    /// Writes an entry to `out`, and says what it was.
    pub(super) fn write<W: Write>(
        path: &str,
        out: W,
        write: impl FnOnce(&mut Digested<W>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut digested = Digested {
            out,
            bytes: 0,
            digest: Context::new(&SHA256),
        };
        write(&mut digested)?;
        Ok(Self {
            path: path.to_owned(),
            bytes: digested.bytes,
            sha256: hexadecimal(digested.digest.finish().as_ref()),
        })
    }
}

/// Passes on what is written, and knows how much and what it was.
pub(super) struct Digested<W> {
    out: W,
    bytes: u64,
    digest: Context,
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.digest.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(ring::digest::digest(&SHA256, bytes).as_ref())
}

fn hexadecimal(digest: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in digest {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
