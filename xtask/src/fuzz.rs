//! Fuzzing, a part of `cargo xtask test --long`: each target of `blackbox-daemon/fuzz` for a minute.
//!
//! Starts from the seeds that are committed; what it finds on the way stays under `target/fuzz-corpus` for the next
//! time. A target that ends well is a passed test, a crash a failed one, told with its input and how to try it again.
#![expect(clippy::print_stderr, reason = "a crash is told with its input")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{cargo, target_directory, workspace_root};
use crate::exec::{self, step};

/// How long each target runs, seconds.
const SECONDS: u32 = 60;
/// Largest input, bytes: beyond it only the bounds on size and number are left, and they have tests.
const LARGEST: u32 = 64 << 10;

/// Targets by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// Runs every target. `object`: the built kernel object, without which each build would begin anew.
///
/// # Errors
/// cargo-fuzz cannot be had, or a target cannot be built.
pub(crate) fn run(object: &Path) -> Result<Outcome> {
    step("test: cargo-fuzz", ensure_tool)?;
    let folder = workspace_root().join("blackbox-daemon/fuzz");
    let targets = targets(&folder)?;
    ensure!(!targets.is_empty(), "{} has no targets", folder.display());
    step("test: building the fuzz targets", || {
        exec::run(&mut fuzz("build", &[], object)?)
    })?;
    let mut outcome = Outcome::default();
    for target in targets {
        let passed = step(&format!("test: fuzzing {target} for {SECONDS} s"), || {
            one(&folder, &target, object)
        })?;
        if passed {
            outcome.passed += 1;
        } else {
            outcome.failed += 1;
        }
    }
    Ok(outcome)
}

/// Finds `cargo fuzz`, or installs it.
fn ensure_tool() -> Result<()> {
    if exec::works(cargo().args(["fuzz", "--version"])) {
        return Ok(());
    }
    exec::run(
        cargo()
            .args(["install", "cargo-fuzz", "--version", "^0.13", "--locked"])
            .env_remove("CARGO_TARGET_DIR"),
    )
}

/// The names of the targets' files.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into()));
        }
    }
    names.sort();
    Ok(names)
}

/// Fuzzes one target; false if something crashed it.
fn one(folder: &Path, target: &str, object: &Path) -> Result<bool> {
    let corpus = target_directory()?.join("fuzz-corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("making {}", corpus.display()))?;
    let seeds = folder.join("seeds").join(target);
    let before = artifacts(folder, target);
    let mut command = fuzz("run", &[target], object)?;
    command.args([&corpus, &seeds]).arg("--");
    command.args([
        format!("-max_total_time={SECONDS}"),
        format!("-max_len={LARGEST}"),
        "-timeout=10".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    let status = command.status().with_context(|| exec::line(&command))?;
    let Err(error) = exec::succeeded(&command, status) else {
        return Ok(true);
    };
    eprintln!("test: {error:#}");
    let found = artifacts(folder, target);
    for input in found.iter().filter(|input| !before.contains(input)) {
        eprintln!("test: the input is {}; try it again with", input.display());
        let mut again = fuzz("run", &[target], object)?;
        eprintln!("  {}", exec::line(again.arg(input)));
    }
    Ok(false)
}

/// Inputs that crashed a target, now or before.
fn artifacts(folder: &Path, target: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("artifacts").join(target));
    // None of them is what there is before the first crash.
    let files = files.into_iter().flatten().flatten();
    files.map(|file| file.path()).collect()
}

/// A `cargo fuzz` command. The sanitizer's flags are nightly's; the compiler in use takes them when told to.
fn fuzz(action: &str, arguments: &[&str], object: &Path) -> Result<Command> {
    let mut command = cargo();
    command
        .args(["fuzz", action, "--fuzz-dir", "blackbox-daemon/fuzz"])
        .args(arguments)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("BLACKBOX_EBPF_OBJECT", object)
        .env("CARGO_TARGET_DIR", target_directory()?.join("fuzz"));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_seeds() {
        let folder = workspace_root().join("blackbox-daemon/fuzz");
        let targets = targets(&folder).unwrap();
        let all = [
            "cgroup_path",
            "incident_body",
            "journal",
            "ring_record",
            "telemetry_body",
            "token",
        ];
        assert_eq!(targets, all);
        for target in targets {
            let seeds = fs::read_dir(folder.join("seeds").join(&target)).unwrap();
            assert!(seeds.count() > 0, "{target}");
        }
    }
}
