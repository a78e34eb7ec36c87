//! Miri, a part of `cargo xtask test --long`: the unit tests of the window, interpreted, so that what no test asserts and no
//! sanitizer sees (a read beyond what was written, a reference that lives too long) ends the run.
//!
//! Needs a nightly compiler with miri beside the one in use; rustup has it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::target_directory;
use crate::exec::{self, step};

/// What is interpreted, a thousand times slower than it runs.
const TESTS: &str = "window::";

/// The command that runs them.
///
/// # Errors
/// There is no nightly compiler with miri, and rustup brings none.
pub(crate) fn command(object: &Path) -> Result<Command> {
    step("test: miri", ensure_tool)?;
    let mut command = nightly("miri");
    command
        .args(["test", "--package", "blackbox-daemon", "--lib", "--", TESTS])
        // Cases are few where each takes minutes; files and clocks are the machine's.
        .env("PROPTEST_CASES", "2")
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .env("BLACKBOX_EBPF_OBJECT", object)
        .env("CARGO_TARGET_DIR", target_directory()?.join("miri"));
    Ok(command)
}

fn ensure_tool() -> Result<()> {
    if exec::works(nightly("miri").arg("--version")) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    exec::run(
        rustup
            .args(["toolchain", "install", "nightly", "--profile", "minimal"])
            .args(["--component", "miri,rust-src"]),
    )
    .context("miri comes with a nightly compiler")
}

/// A command of the nightly cargo.
fn nightly(subcommand: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", subcommand]);
    // That of the cargo which runs us would be taken in place of the nightly one.
    for key in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(key);
    }
    command
}
