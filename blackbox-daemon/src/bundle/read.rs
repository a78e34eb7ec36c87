//! Reads a bundle: whole, proven against its manifest, or not at all.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::de::DeserializeOwned;

use super::{
    BULK, CASE, DECISIVE, DURABILITY, LOG, MANIFEST, Manifest, REPORT, SCHEMA, STACK, case, records,
};
use crate::report::Report;
use crate::report::case::Case;

/// Most bytes of an entry: twice the largest window, and more than any report.
const MAX_ENTRY: u64 = 256 << 20;
/// Entries that may be there.
const KNOWN: [&str; 8] = [
    MANIFEST, REPORT, CASE, DECISIVE, BULK, LOG, STACK, DURABILITY,
];
/// Entries that must be there.
const NEEDED: [&str; 5] = [MANIFEST, REPORT, CASE, DECISIVE, BULK];

/// Why a bundle is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no bundle: a tar archive compressed with zstd that begins with {MANIFEST}")]
    Archive(#[source] io::Error),
    #[error("it has an entry that no bundle has, or one twice: {0:?}")]
    Entry(String),
    #[error("{0} is larger than {MAX_ENTRY} bytes")]
    Large(String),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("it is of another version ({0:?}), this program reads {SCHEMA}")]
    Version(String),
    #[error("{0} is not what the manifest says: it was changed or damaged")]
    Changed(String),
    #[error("{name} cannot be read")]
    Content {
        name: &'static str,
        #[source]
        source: io::Error,
    },
}

/// A bundle whose every entry is what its manifest says.
#[derive(Debug)]
pub struct Bundle {
    pub manifest: Manifest,
    entries: BTreeMap<&'static str, Vec<u8>>,
}

impl Bundle {
    /// Reads and verifies it.
    ///
    /// # Errors
    /// See [`Error`]; then nothing of it is to be believed.
    pub fn open(from: impl Read) -> Result<Self, Error> {
        let mut entries = unpack(from)?;
        for needed in NEEDED {
            if !entries.contains_key(needed) {
                return Err(Error::Missing(needed));
            }
        }
        let manifest = entries.remove(MANIFEST).unwrap_or_default();
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|error| Error::Content {
                name: MANIFEST,
                source: error.into(),
            })?;
        if manifest.schema != SCHEMA {
            return Err(Error::Version(manifest.schema));
        }
        for (name, bytes) in &entries {
            if !manifest.holds(name, bytes) {
                return Err(Error::Changed((*name).to_owned()));
            }
        }
        let listed = manifest.files.iter().map(|listed| &listed.path);
        let mut absent = listed.filter(|path| !entries.contains_key(path.as_str()));
        if let Some(path) = absent.next() {
            return Err(Error::Changed(path.clone()));
        }
        if manifest.files.len() != entries.len() {
            return Err(Error::Changed(MANIFEST.to_owned()));
        }
        Ok(Self { manifest, entries })
    }

    /// The report as it was told.
    ///
    /// # Errors
    /// It is none of this version.
    pub fn report(&self) -> Result<Report, Error> {
        serde_json::from_slice(self.report_json()).map_err(|error| content(REPORT, error.into()))
    }

    /// Its bytes.
    #[must_use]
    pub fn report_json(&self) -> &[u8] {
        self.entry(REPORT)
    }

    /// The case, to make the report anew.
    ///
    /// # Errors
    /// Its parts are none of this version.
    pub fn case(&self) -> Result<Case, Error> {
        let evidence = case::Evidence {
            log: self.json(LOG)?,
            stack: self.json(STACK)?,
            durability: self.json(DURABILITY)?.unwrap_or_default(),
        };
        let kept = case::read(self.entry(CASE)).map_err(|error| content(CASE, error))?;
        let lane = |name| records::read(self.entry(name)).map_err(|error| content(name, error));
        Ok(kept.with(lane(DECISIVE)?, lane(BULK)?, evidence))
    }

    /// What an entry that may be absent says.
    fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let parse = |bytes: &Vec<u8>| {
            serde_json::from_slice(bytes).map_err(|error| content(name, error.into()))
        };
        self.entries.get(name).map(parse).transpose()
    }

    fn entry(&self, name: &str) -> &[u8] {
        self.entries.get(name).map_or(&[], Vec::as_slice)
    }
}

fn content(name: &'static str, source: io::Error) -> Error {
    Error::Content { name, source }
}

/// Every entry, each known and once.
fn unpack(from: impl Read) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
    let decoder = zstd::Decoder::new(from).map_err(Error::Archive)?;
    let mut archive = tar::Archive::new(decoder);
    let mut entries = BTreeMap::new();
    for entry in archive.entries().map_err(Error::Archive)? {
        let mut entry = entry.map_err(Error::Archive)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let known = KNOWN.into_iter().find(|known| *known == path);
        let Some(known) = known.filter(|_| entry.header().entry_type().is_file()) else {
            return Err(Error::Entry(path));
        };
        if entry.size() > MAX_ENTRY {
            return Err(Error::Large(path));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(Error::Archive)?;
        if entries.insert(known, bytes).is_some() {
            return Err(Error::Entry(path));
        }
    }
    Ok(entries)
}
