//! A command's result as a JSON file, for `--json FILE`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// Writes `result` to `path`, if one was asked for.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write(path: Option<&Path>, result: &impl Serialize) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
