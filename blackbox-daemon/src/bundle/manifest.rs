//! The manifest: which entries a bundle has, and what is in them, by SHA-256.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::SCHEMA;

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `blackbox.bundle/v1`.
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
    pub(super) fn of(incident: &str, entries: &[(&str, Vec<u8>)]) -> Self {
        let listed = entries.iter().map(|(path, bytes)| Listed {
            path: (*path).to_owned(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        });
        Self {
            schema: SCHEMA.to_owned(),
            made_by: format!("blackbox-daemon {}", env!("CARGO_PKG_VERSION")),
            incident: incident.to_owned(),
            files: listed.collect(),
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

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut text = String::with_capacity(64);
    for byte in digest.as_ref() {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
