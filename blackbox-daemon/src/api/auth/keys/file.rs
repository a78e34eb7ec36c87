//! The file of named keys: `{"keys":[{"name":"grafana","key":"…","scopes":["read"]}]}`.
//!
//! Reads at most [`MAX_BYTES`], makes keys. A file is right as a whole or an error that names it, the entry and
//! what is allowed. No error shows a key: a wrong value is told by its place, never by its text.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DEFAULT, Digest, Key, sha256};
use crate::api::auth::Scope;
use crate::api::json::{Object, object};

/// Largest file read, bytes: thousands of keys.
pub const MAX_BYTES: u64 = 1 << 20;
/// Shortest key allowed, characters: 16 hex digits are 64 bits, out of reach of guessing over the network.
pub const MIN_KEY: usize = 16;
/// Longest name allowed, characters.
const MAX_NAME: usize = 64;

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the key file {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the key file {} has more than {MAX_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error(
        "the key file {} is wrong at line {line}, column {column}: {what}; write \
         {{\"keys\":[{{\"name\":\"…\",\"key\":\"…\",\"scopes\":[\"read\"]}}]}}",
        path.display()
    )]
    Json {
        path: PathBuf,
        line: usize,
        column: usize,
        what: String,
    },
    #[error("the key file {} has no keys; leave BLACKBOX_API_KEYS_FILE unset instead", path.display())]
    Empty { path: PathBuf },
    #[error("the key file {}: entry {number} ({name:?}): {what}", path.display())]
    Entry {
        path: PathBuf,
        /// Counted from 1.
        number: usize,
        name: String,
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keys: Vec<Object<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    key: Option<String>,
    sha256: Option<String>,
    scopes: Vec<String>,
}

/// Reads and checks the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Key>, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = Vec::new();
    // One byte more than allowed, so that a file that is too large is known without reading all of it.
    let mut bounded = file.take(MAX_BYTES + 1);
    bounded.read_to_end(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    parse(&text, path)
}

/// Checks `text`, which was read from `path`.
pub(super) fn parse(text: &[u8], path: &Path) -> Result<Vec<Key>, Error> {
    let file: File = object(text).map_err(|error| Error::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        what: without_values(&error),
    })?;
    if file.keys.is_empty() {
        return Err(Error::Empty {
            path: path.to_owned(),
        });
    }
    let mut keys: Vec<Key> = Vec::with_capacity(file.keys.len());
    for (Object(entry), number) in file.keys.into_iter().zip(1..) {
        let name = entry.name.clone();
        let key = check(entry, &keys).map_err(|what| Error::Entry {
            path: path.to_owned(),
            number,
            name,
            what,
        })?;
        keys.push(key);
    }
    Ok(keys)
}

/// What serde found, unless it quotes a value, which may be a key.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_fields = ["unknown field", "missing field", "duplicate field"];
    if !error.is_data() {
        "not JSON".to_owned()
    } else if names_fields.iter().any(|start| text.starts_with(start)) {
        let place = text.rfind(" at line ").unwrap_or(text.len());
        text[..place].to_owned()
    } else {
        "a value of the wrong type".to_owned()
    }
}

/// One entry, after those in `earlier`.
fn check(entry: Entry, earlier: &[Key]) -> Result<Key, String> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if entry.name.is_empty() || entry.name.len() > MAX_NAME || !entry.name.chars().all(of_name) {
        return Err(format!(
            "allowed names: 1 to {MAX_NAME} of A-Z, a-z, 0-9, `.`, `_`, `-`"
        ));
    }
    if entry.name == DEFAULT {
        return Err("this name is BLACKBOX_API_KEY's; choose another".to_owned());
    }
    if earlier.iter().any(|key| key.name == entry.name) {
        return Err("an earlier entry has this name".to_owned());
    }
    let digest = match (entry.key, entry.sha256) {
        (Some(key), None) => plain(&key)?,
        (None, Some(hex)) => from_hex(&hex).ok_or("`sha256`: write 64 hex digits")?,
        (Some(_), Some(_)) => return Err("`key` and `sha256`: write one of them".to_owned()),
        (None, None) => return Err("`key` or `sha256` is required".to_owned()),
    };
    if let Some(same) = earlier.iter().find(|key| key.digest == digest) {
        return Err(format!("its key is the key of `{}` too", same.name));
    }
    let scopes = entry.scopes.iter().map(|scope| named(scope));
    let mut scopes = scopes.collect::<Result<Vec<Scope>, String>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(format!("`scopes` is empty; allowed: {}", allowed_scopes()));
    }
    Ok(Key {
        name: entry.name,
        scopes,
        digest,
    })
}

fn plain(key: &str) -> Result<Digest, String> {
    if key.chars().count() < MIN_KEY {
        return Err(format!("`key` has fewer than {MIN_KEY} characters"));
    }
    // What a header cannot carry unchanged would never match.
    if !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err("`key` has characters other than visible ASCII".to_owned());
    }
    Ok(sha256(key.as_bytes()))
}

fn from_hex(hex: &str) -> Option<Digest> {
    let hex = hex.as_bytes();
    let mut digest = Digest::default();
    if hex.len() != 2 * digest.len() {
        return None;
    }
    let digit = |c: u8| char::from(c).to_digit(16);
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(digest)
}

fn named(name: &str) -> Result<Scope, String> {
    let scope = Scope::ALL.into_iter().find(|scope| scope.name() == name);
    scope.ok_or_else(|| format!("unknown scope {name:?}; allowed: {}", allowed_scopes()))
}

fn allowed_scopes() -> String {
    Scope::ALL.map(Scope::name).join(", ")
}
