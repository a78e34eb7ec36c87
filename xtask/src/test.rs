//! `cargo xtask test`: every test of the workspace, then the root tests on the running kernel where they can run; with
//! `--long` the fuzz targets too.
//!
//! Ends on one line, `N passed, N failed, N skipped`. With `BLACKBOX_REQUIRE_KERNEL=1`, as in CI, root tests that
//! cannot run are a failure.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "prints the counts"
)]

use std::env;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use serde::Serialize;

use crate::cargo::cargo;
use crate::exec::{self, step};
use crate::{build_ebpf, fuzz, output, stage, test_tools};

const REQUIRE_KERNEL: &str = "BLACKBOX_REQUIRE_KERNEL";

/// `cargo xtask test`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Run the long tests too: those marked `#[ignore]`, property tests with more cases, and each fuzz target for a
    /// minute.
    #[arg(long)]
    long: bool,
    /// Write the counts to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(flatten)]
    counts: Counts,
    /// Why the root tests did not run; `null` if they did.
    kernel_tests_missing: Option<&'a str>,
    ok: bool,
}

/// Runs the command. Failing tests are an exit code, not an error: the counts are the last line.
///
/// # Errors
/// The kernel programs or the fuzz targets cannot be built, or cargo cannot be started.
pub fn run(options: &Options) -> Result<ExitCode> {
    let object = build_ebpf::build(&build_ebpf::Options::default())?;
    for tool in &test_tools::ALL {
        if let Err(error) = (tool.ensure)() {
            eprintln!("test: the tests of {} will fail: {error:#}", tool.tests);
        }
    }
    let mut counts = Counts::default();
    let mut ok = step("test: the workspace", || {
        suite(
            &[
                "--workspace",
                "--exclude",
                "blackbox-ebpf",
                "--no-fail-fast",
            ],
            options,
            &mut counts,
        )
    })?;
    let missing = stage::require_kernel()
        .err()
        .map(|error| format!("{error:#}"));
    match &missing {
        None => {
            ok &= step("test: the running kernel", || {
                suite(&KERNEL, options, &mut counts)
            })?;
        }
        Some(missing) => {
            eprintln!("test: the root tests on the running kernel did not run: {missing}");
            ok &= env::var_os(REQUIRE_KERNEL).is_none_or(|value| value != "1");
        }
    }
    if options.long {
        let fuzzed = fuzz::run(&object)?;
        ok &= fuzzed.failed == 0;
        counts += Counts {
            passed: fuzzed.passed,
            failed: fuzzed.failed,
            skipped: 0,
        };
    }
    let kernel_tests_missing = missing.as_deref();
    output::write(
        options.json.as_deref(),
        &Outcome {
            counts,
            kernel_tests_missing,
            ok,
        },
    )?;
    println!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    );
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

const KERNEL: [&str; 7] = [
    "--package",
    "blackbox-daemon",
    "--features",
    "kernel-tests",
    "--test",
    "kernel",
    "--no-fail-fast",
];

/// Runs one `cargo test` and adds to `counts` what it reports; false if it failed.
fn suite(arguments: &[&str], options: &Options, counts: &mut Counts) -> Result<bool> {
    let mut command = command(arguments, options.long);
    let status = exec::watch(&mut command, |line| {
        if let Some(found) = parse(line) {
            *counts += found;
        }
    })?;
    if let Err(error) = exec::succeeded(&command, status) {
        eprintln!("test: {error:#}");
    }
    Ok(status.success())
}

fn command(arguments: &[&str], long: bool) -> Command {
    let mut command = cargo();
    command
        .arg("test")
        .args(arguments)
        .arg("--")
        .env_remove(REQUIRE_KERNEL);
    if arguments == KERNEL {
        // They stage deaths and count events of the whole machine.
        command.arg("--test-threads=1");
    }
    if long {
        command
            .arg("--include-ignored")
            .env("PROPTEST_CASES", "4096");
    }
    command
}

/// The counts in libtest's closing line: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
fn parse(line: &str) -> Option<Counts> {
    let (_verdict, fields) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| {
        fields
            .split("; ")
            .find_map(|field| field.strip_suffix(name)?.trim().parse().ok())
    };
    Some(Counts {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s";
        let counts = Counts {
            passed: 3,
            failed: 2,
            skipped: 1,
        };
        assert_eq!(parse(line), Some(counts));
        let mut sum = counts;
        sum += counts;
        assert_eq!(
            sum,
            Counts {
                passed: 6,
                failed: 4,
                skipped: 2
            }
        );
    }

    #[test]
    fn other_lines_are_not() {
        assert_eq!(parse("test a::b ... ok"), None);
        assert_eq!(
            parse("test result: it is 3 passed; 2 failed; 1 ignored"),
            None
        );
        assert_eq!(parse("test result: ok. nothing"), None);
    }

    #[test]
    fn long_runs_the_ignored_tests_too() {
        let line = exec::line(&command(&["--workspace"], true));
        assert!(
            line.ends_with("test --workspace -- --include-ignored"),
            "{line}"
        );
    }
}
