//! Schemathesis and openapi-spec-validator for the tests of the API's description, in `target/tools/schemathesis`.
//!
//! A Python environment of their own with exactly the versions of `schemathesis.txt`: another version generates other
//! requests. An environment made from another list is made anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::workspace_root;
use crate::exec::{self, step};
use crate::setup::install;

const PINS: &str = include_str!("schemathesis.txt");

/// Both programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemathesis {
    /// Sends requests that fit a description, and some that do not, and compares the answers with it.
    pub st: PathBuf,
    /// Whether a description is valid OpenAPI.
    pub validator: PathBuf,
}

/// Finds both programs.
///
/// # Errors
/// One is missing or of another version; the error says what to run.
pub fn find() -> Result<Schemathesis> {
    let tools = tools();
    let bin = tools.join("bin");
    let found = Schemathesis {
        st: bin.join("st"),
        validator: bin.join("openapi-spec-validator"),
    };
    let pinned = fs::read_to_string(tools.join("pins.txt")).is_ok_and(|pins| pins == PINS);
    let works = |program| exec::works(Command::new(program).arg("--version"));
    if pinned && works(&found.st) && works(&found.validator) {
        Ok(found)
    } else {
        bail!("schemathesis is missing, or not the pinned one: run `cargo xtask setup`")
    }
}

/// Finds both programs, installing them into `target/tools/schemathesis` when they are missing.
///
/// # Errors
/// They are missing, and Python or the packages cannot be had.
pub(crate) fn ensure() -> Result<Schemathesis> {
    if let Ok(found) = find() {
        return Ok(found);
    }
    // Debian's python3 comes without what makes environments.
    let makes_environments = || {
        let mut python = Command::new("python3");
        exec::works(python.args(["-c", "import ensurepip, venv"]))
    };
    if !makes_environments() {
        install(&["python3".to_owned(), "python3-venv".to_owned()])?;
    }
    step("setup: installing schemathesis", || build(&tools()))?;
    find()
}

fn build(tools: &Path) -> Result<()> {
    let make = ["-m", "venv", "--clear"];
    exec::run(Command::new("python3").args(make).arg(tools))?;
    let pins = tools.join("pins.part");
    fs::write(&pins, PINS).with_context(|| pins.display().to_string())?;
    exec::run(
        Command::new(tools.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--prefer-binary"])
            .args(["--disable-pip-version-check", "--requirement"])
            .arg(&pins),
    )?;
    // Last: an environment without this file is not whole.
    fs::rename(&pins, tools.join("pins.txt")).with_context(|| pins.display().to_string())
}

/// Where they are: the same place for every target directory.
fn tools() -> PathBuf {
    workspace_root().join("target/tools/schemathesis")
}
