//! Cargo, started from inside `cargo xtask`: without what the outer cargo put in our environment.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::exec;

/// Set by `cargo run` for this crate. Build scripts of others would see them and be run again for nothing.
const OURS: [&str; 4] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_CRATE_",
    "CARGO_BIN_",
];

/// The workspace this command works on: what the crate's folder lies in.
pub(crate) fn workspace_root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(manifest);
    root.pop();
    root
}

/// A cargo command in the workspace, with the cargo that started us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    forget_outer_cargo(&mut command);
    command
}

/// Makes `command` run in the workspace and forget what `cargo run` said of this crate.
pub(crate) fn forget_outer_cargo(command: &mut Command) {
    command.current_dir(workspace_root());
    for (key, _) in env::vars_os() {
        let name = key.to_string_lossy();
        if OURS.iter().any(|ours| name.starts_with(ours)) || name == "CARGO_PRIMARY_PACKAGE" {
            command.env_remove(&key);
        }
    }
}

/// Cargo's target directory for this workspace.
///
/// # Errors
/// `cargo metadata` fails.
pub(crate) fn target_directory() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let text = exec::read(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: Metadata = serde_json::from_str(&text).context("reading cargo metadata")?;
    Ok(metadata.target_directory)
}
