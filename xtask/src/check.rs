//! `cargo xtask check`: formatting, manifests, dependencies, lints and documentation. Needs no BPF toolchain.

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::cargo::cargo;
use crate::exec::{self, step};
use crate::{deny, manifests};

/// `cargo xtask check`.
#[derive(clap::Args, Debug)]
pub struct Options {}

/// Runs every check; the first that fails ends the command.
///
/// # Errors
/// rustfmt or clippy is missing, or a check fails.
pub fn run(_options: &Options) -> Result<ExitCode> {
    for tool in ["fmt", "clippy"] {
        ensure!(
            exec::works(cargo().args([tool, "--version"])),
            "`cargo {tool}` is missing: run `cargo xtask setup`"
        );
    }
    step("check: formatting", || {
        exec::run(cargo().args(["fmt", "--all", "--check"]))
    })?;
    step("check: formatting of the fuzz targets", || {
        let fuzz = ["--manifest-path", "blackbox-daemon/fuzz/Cargo.toml"];
        exec::run(cargo().arg("fmt").args(fuzz).arg("--check"))
    })?;
    step("check: manifests", manifests::check)?;
    deny::check()?;
    step("check: lints", || {
        exec::run(
            cargo()
                .args(["clippy", "--workspace", "--all-targets", "--all-features"])
                .args(["--", "-D", "warnings"]),
        )
    })?;
    step("check: documentation", || {
        exec::run(
            cargo()
                .args(["doc", "--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
