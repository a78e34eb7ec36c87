//! `cargo xtask test`: every test of the workspace, then those with a real API server and the root tests on the running
//! kernel, where they can run; with `--long` virtual machines (deaths, power cuts, several kernels, clocks that are set), miri,
//! the fuzz targets, and the instructions of the hot paths. `cargo xtask test kube` and `vm` run one of these suites.
//!
//! Ends on one line, `N passed, N failed, N skipped`. With `BLACKBOX_REQUIRE_KUBE=1`, `BLACKBOX_REQUIRE_KERNEL=1` (as in CI)
//! and `BLACKBOX_REQUIRE_VM=1` a suite that cannot run is a failure.
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
use crate::{bench, build_ebpf, fuzz, kube, miri, output, stage, test_tools, vm};

const REQUIRE_KERNEL: &str = "BLACKBOX_REQUIRE_KERNEL";
const REQUIRE_KUBE: &str = "BLACKBOX_REQUIRE_KUBE";
const REQUIRE_VM: &str = "BLACKBOX_REQUIRE_VM";

/// `cargo xtask test`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// Run one suite only.
    suite: Option<Suite>,
    /// Run the long tests too: those marked `#[ignore]`, property tests with more cases, virtual machines, and
    /// each fuzz target for a minute.
    #[arg(long)]
    long: bool,
    /// Write the counts to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Tests that can run apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Suite {
    /// The daemon with a real kube-apiserver.
    Kube,
    /// Virtual machines: deaths, power cuts, the exam of several kernels, clocks that are set; `cargo xtask vm` plays more of each.
    Vm,
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
    /// Why the root tests did not run; `null` if they did, or were not asked for.
    kernel_tests_missing: Option<&'a str>,
    /// Why the tests with a real API server did not run; `null` if they did, or were not asked for.
    kube_tests_missing: Option<&'a str>,
    /// Why there was no virtual machine; `null` if there was, or none was asked for.
    vm_tests_missing: Option<&'a str>,
    ok: bool,
}

/// Runs the command. Failing tests are an exit code, not an error: the counts are the last line.
///
/// # Errors
/// The kernel programs or the fuzz targets cannot be built, or cargo cannot be started.
pub fn run(options: &Options) -> Result<ExitCode> {
    let object = build_ebpf::build(&build_ebpf::Options::default())?;
    let mut tests = Tests::new(options);
    if options.suite.is_none() {
        tests.workspace()?;
    }
    let kube_tests_missing = match options.suite {
        None | Some(Suite::Kube) => tests.kube()?,
        Some(Suite::Vm) => None,
    };
    let kernel_tests_missing = match options.suite {
        None => tests.kernel()?,
        Some(Suite::Kube | Suite::Vm) => None,
    };
    let vm_tests_missing = match options.suite {
        // Emulated processors fail now and then of themselves: not a part of what every change must pass.
        None if !options.long => None,
        None | Some(Suite::Vm) => tests.vm()?,
        Some(Suite::Kube) => None,
    };
    if options.long && options.suite.is_none() {
        let mut interpreted = miri::command(&object)?;
        step("test: the window, interpreted", || {
            tests.count(&mut interpreted)
        })?;
        let within = bench::budgets(false).inspect_err(|error| eprintln!("test: {error:#}"));
        tests.add(u64::from(within.is_ok()), u64::from(within.is_err()));
        let fuzzed = fuzz::run(&object)?;
        tests.add(fuzzed.passed, fuzzed.failed);
    }
    let Tests { counts, ok, .. } = tests;
    output::write(
        options.json.as_deref(),
        &Outcome {
            counts,
            kernel_tests_missing: kernel_tests_missing.as_deref(),
            kube_tests_missing: kube_tests_missing.as_deref(),
            vm_tests_missing: vm_tests_missing.as_deref(),
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

/// What was run so far.
struct Tests<'a> {
    options: &'a Options,
    counts: Counts,
    ok: bool,
}

impl<'a> Tests<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            options,
            counts: Counts::default(),
            ok: true,
        }
    }

    fn workspace(&mut self) -> Result<()> {
        for tool in &test_tools::ALL {
            if let Err(error) = (tool.ensure)() {
                eprintln!("test: the tests of {} will fail: {error:#}", tool.tests);
            }
        }
        step("test: the workspace", || self.run(&WORKSPACE))
    }

    /// The tests with a real API server, or why they did not run.
    fn kube(&mut self) -> Result<Option<String>> {
        match kube::ensure() {
            Ok(_) => step("test: a real API server", || self.run(&KUBE)).map(|()| None),
            Err(error) => {
                let why = format!("{error:#}");
                eprintln!("test: the tests with a real API server did not run: {why}");
                self.ok &= !required(REQUIRE_KUBE);
                Ok(Some(why))
            }
        }
    }

    /// The tests on the running kernel, or why they did not run.
    fn kernel(&mut self) -> Result<Option<String>> {
        match stage::require_kernel() {
            Ok(()) => step("test: the running kernel", || self.run(&KERNEL)).map(|()| None),
            Err(error) => {
                let why = format!("{error:#}");
                eprintln!("test: the root tests on the running kernel did not run: {why}");
                self.ok &= !required(REQUIRE_KERNEL);
                Ok(Some(why))
            }
        }
    }

    /// What is played in virtual machines, or why there was none. Each check of all of them counts as a test.
    fn vm(&mut self) -> Result<Option<String>> {
        if let Err(error) = vm::ensure() {
            let why = format!("{error:#}");
            eprintln!("test: the tests in a virtual machine did not run: {why}");
            self.ok &= !required(REQUIRE_VM);
            return Ok(Some(why));
        }
        let play = || {
            exec::run(
                cargo()
                    .arg("test")
                    .args(KERNEL)
                    .args(["--no-run", "--quiet"]),
            )?;
            vm::smoke()
        };
        let (passed, failed) = step("test: a virtual machine", play).unwrap_or_else(|error| {
            eprintln!("test: the tests in a virtual machine: {error:#}");
            (0, 1)
        });
        self.add(passed, failed);
        Ok(None)
    }

    /// Adds what no test program counted.
    fn add(&mut self, passed: u64, failed: u64) {
        self.counts += Counts {
            passed,
            failed,
            skipped: 0,
        };
        self.ok &= failed == 0;
    }

    /// Runs one `cargo test` and counts what it reports.
    fn run(&mut self, arguments: &[&str]) -> Result<()> {
        self.count(&mut command(arguments, self.options.long))
    }

    /// Likewise, of any command that tests.
    fn count(&mut self, command: &mut Command) -> Result<()> {
        let status = exec::watch(command, |line| {
            if let Some(found) = parse(line) {
                self.counts += found;
            }
        })?;
        if let Err(error) = exec::succeeded(command, status) {
            eprintln!("test: {error:#}");
        }
        self.ok &= status.success();
        Ok(())
    }
}

fn required(key: &str) -> bool {
    env::var_os(key).is_some_and(|value| value == "1")
}

const WORKSPACE: [&str; 4] = [
    "--workspace",
    "--exclude",
    "blackbox-ebpf",
    "--no-fail-fast",
];

/// Of both suites that need more than cargo: the daemon is built once for the two.
pub(crate) const FEATURES: &str = "kernel-tests,kube-tests";

const KUBE: [&str; 7] = [
    "--package",
    "blackbox-daemon",
    "--features",
    FEATURES,
    "--test",
    "kube_server",
    "--no-fail-fast",
];

const KERNEL: [&str; 11] = [
    "--package",
    "blackbox-daemon",
    "--features",
    FEATURES,
    "--test",
    "kernel",
    "--test",
    "storms",
    "--test",
    "soak",
    "--no-fail-fast",
];

fn command(arguments: &[&str], long: bool) -> Command {
    let mut command = cargo();
    command
        .arg("test")
        .args(arguments)
        .arg("--")
        .env_remove(REQUIRE_KERNEL)
        .env_remove(REQUIRE_KUBE)
        .env_remove(REQUIRE_VM);
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
