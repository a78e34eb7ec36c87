//! Prometheus and promtool for the tests of metrics, alerts and dashboard: found in `PATH` or in `target/tools`.
//!
//! What is missing is taken from Debian's package, unpacked and not installed, so that no service starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::exec::{self, step};
use crate::setup::apt_get;
use crate::tools::{self, program};

/// The Debian package that has both.
const PACKAGE: &str = "prometheus";

/// Both programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prometheus {
    /// The server.
    pub server: PathBuf,
    /// Its checker of rules, configurations and metrics.
    pub promtool: PathBuf,
}

/// Finds both programs.
///
/// # Errors
/// One is missing; the error says what to run.
pub fn find() -> Result<Prometheus> {
    Ok(Prometheus {
        server: program("prometheus")?,
        promtool: program("promtool")?,
    })
}

/// Finds both programs, unpacking Debian's package into `target/tools` when one is missing.
///
/// # Errors
/// They are missing and the package cannot be had.
pub(crate) fn ensure() -> Result<Prometheus> {
    if let Ok(found) = find() {
        return Ok(found);
    }
    ensure!(
        exec::works(Command::new("apt-get").arg("--version")),
        "missing, and there is no apt-get: prometheus and promtool"
    );
    step("setup: unpacking prometheus and promtool", || {
        unpack(&tools::folder())
    })?;
    find()
}

fn unpack(tools: &Path) -> Result<()> {
    let packages = tools.join("packages");
    fs::create_dir_all(&packages).with_context(|| packages.display().to_string())?;
    let download = || exec::run(apt_get().args(["download", PACKAGE]).current_dir(&packages));
    if download().is_err() {
        // Its lists may be old, or there may be none.
        exec::run(apt_get().arg("update"))?;
        download()?;
    }
    let files = fs::read_dir(&packages).with_context(|| packages.display().to_string())?;
    for file in files {
        let file = file?.path();
        exec::run(Command::new("dpkg").arg("-x").arg(&file).arg(tools))?;
    }
    fs::remove_dir_all(&packages).with_context(|| packages.display().to_string())
}
