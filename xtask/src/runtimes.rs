//! The language runtimes that the examples of `docs/integration` are tested with.
//!
//! Looks in `PATH` only. Any version that a distribution ships today will do; each example says the oldest it needs.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// What the examples need, and the Debian package that has it. A compiler brings the machine it compiles for.
const RUNTIMES: [(&str, &str); 4] = [
    ("curl", "curl"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("javac", "default-jdk-headless"),
];

/// Finds a program.
///
/// # Errors
/// It is missing; the error says what to run.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is missing: run `cargo xtask setup`"))
}

/// The Debian packages of the runtimes that are not there.
pub(crate) fn missing_packages() -> Vec<String> {
    let missing = RUNTIMES.iter().filter(|(name, _)| find(name).is_err());
    missing.map(|(_, package)| (*package).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert!(find("sh").is_ok());
        let error = find("no-such-runtime").unwrap_err();
        assert!(error.to_string().contains("no-such-runtime is missing"));
    }
}
