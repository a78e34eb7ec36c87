//! Reads the window.ring that a cut left, with the daemon's own reader, built as an example of its tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::cargo::{cargo, target_directory};
use crate::exec::{self, step};
use crate::test::FEATURES;

/// What the file holds of its last boot.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct Ring {
    /// 32 hexadecimal digits.
    pub(in super::super) boot: String,
    pub(in super::super) blocks: u64,
    /// Blocks that were synced for certain.
    pub(in super::super) synced: u64,
    /// Missing among those.
    pub(in super::super) synced_holes: u64,
    /// Blocks missing among all, but for what a killed daemon had not written.
    pub(in super::super) holes: u64,
    /// By class of records: the largest step back in time from a record to the next one, ms.
    pub(in super::super) steps_back_ms: BTreeMap<String, u64>,
    /// Records that do not decode.
    pub(in super::super) broken: u64,
    /// What was submitted, as it is kept.
    pub(in super::super) telemetry: Vec<Value>,
}

/// Builds the reader.
///
/// # Errors
/// It does not build.
pub(in super::super) fn build_reader() -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "blackbox-daemon"]);
    command.args(["--features", FEATURES, "--example", "window-ring"]);
    step("vm: building the reader of window.ring", || {
        exec::run(&mut command)
    })?;
    Ok(target_directory()?.join("debug/examples/window-ring"))
}

/// Reads `file`.
///
/// # Errors
/// It is no window.ring, or holds nothing.
pub(in super::super) fn read(reader: &Path, file: &Path) -> Result<Ring> {
    let said = exec::read(Command::new(reader).arg(file))?;
    serde_json::from_str(&said).with_context(|| format!("{} said: {said}", reader.display()))
}
