//! cargo-deny, a part of `cargo xtask check`: every crate of Cargo.lock has a licence that `deny.toml` allows, comes from crates.io,
//! and has no known vulnerability.
//!
//! The database of vulnerabilities is a git repository. Where it cannot be reached that is said, and is no failure unless
//! `BLACKBOX_REQUIRE_ADVISORIES=1`. A mirror is named by git's own means (`url.<mirror>.insteadOf`).
#![expect(clippy::print_stderr, reason = "what was not checked is said")]

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cargo::cargo;
use crate::exec::{self, step};

/// As in `deny.toml`.
const DATABASE: &str = "https://github.com/rustsec/advisory-db";
const REQUIRED: &str = "BLACKBOX_REQUIRE_ADVISORIES";
/// For the first answer of its server.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs it.
///
/// # Errors
/// cargo-deny cannot be had, or a crate is one we may not have.
pub(crate) fn check() -> Result<()> {
    ensure_tool()?;
    step("check: licences and sources of dependencies", || {
        exec::run(&mut deny(&["licenses", "bans", "sources"]))
    })?;
    let mut asking = Command::new("git");
    asking.args(["ls-remote", "--exit-code", DATABASE, "HEAD"]);
    // A server that wants a password is none of ours.
    asking.env("GIT_TERMINAL_PROMPT", "0");
    match exec::run_for(&mut asking, LIMIT) {
        Err(error) if std::env::var_os(REQUIRED).is_none_or(|value| value != "1") => {
            eprintln!("check: known vulnerabilities of dependencies were NOT checked: {error:#}");
            Ok(())
        }
        reached => step("check: known vulnerabilities of dependencies", || {
            reached?;
            exec::run(&mut deny(&["advisories"]))
        }),
    }
}

/// Finds cargo-deny, or installs it: as a build for debugging, which takes half the time and is fast enough.
fn ensure_tool() -> Result<()> {
    if exec::works(cargo().args(["deny", "--version"])) {
        return Ok(());
    }
    step("check: installing cargo-deny", || {
        exec::run(
            cargo()
                .args([
                    "install",
                    "cargo-deny",
                    "--version",
                    "^0.20",
                    "--locked",
                    "--debug",
                ])
                .env("CARGO_PROFILE_DEV_DEBUG", "0")
                .env_remove("CARGO_TARGET_DIR"),
        )
    })
}

fn deny(checks: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(["deny", "--all-features", "check"])
        .args(checks);
    command
}
