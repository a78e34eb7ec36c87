//! Programs that tests use and no build needs: found in `PATH`, or in `target/tools`, where they are unpacked and not
//! installed.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cargo::workspace_root;

/// Finds a program.
///
/// # Errors
/// It is missing; the error says what to run.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([folder().join("usr/bin")])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{name} is missing: run `cargo xtask setup`"))
}

/// Where they are unpacked: the same place for every target directory.
pub(crate) fn folder() -> PathBuf {
    workspace_root().join("target/tools")
}
