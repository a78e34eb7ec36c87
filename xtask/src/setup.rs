//! `cargo xtask setup`: installs what is missing to build the kernel programs and the daemon, and says what it took.
//!
//! Probes files and commands, never the distribution's name. With nothing missing it needs no network; without root
//! it prints the command that root has to run.
#![expect(
    clippy::print_stderr,
    reason = "set-up says what it found and what it does"
)]

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cargo::cargo;
use crate::exec::{self, step};
use crate::test_tools;
use crate::toolchain::{self, LLVM_MAJOR, Toolchain, leading_numbers};

/// rustup's server does not answer everywhere, and then it hangs: Debian has the same source.
const RUSTUP_LIMIT: Duration = Duration::from_secs(30);

/// The oldest bpf-linker that will do, as (major, minor).
const OLDEST_LINKER: (u32, u32) = (0, 13);

/// `cargo xtask setup`.
#[derive(clap::Args, Debug)]
pub struct Options {}

/// Runs the command.
///
/// # Errors
/// Something is missing and cannot be installed.
pub fn run(_options: &Options) -> Result<ExitCode> {
    let tools = ensure()?;
    eprintln!("setup: kernel programs are compiled by {}", tools.toolchain);
    eprintln!("setup: … and linked by {}", tools.linker);
    for (tool, package) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        match ensure_cargo_tool(tool, package) {
            Ok(()) => eprintln!("setup: cargo {tool} is there"),
            Err(error) => eprintln!("setup: `cargo xtask check` will not work: {error:#}"),
        }
    }
    for tool in &test_tools::ALL {
        let tests = tool.tests;
        match (tool.ensure)() {
            Ok(found) => eprintln!("setup: {tests}: tested by {found}"),
            Err(error) => eprintln!("setup: the tests of {tests} will not work: {error:#}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What builds the kernel programs.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) toolchain: Toolchain,
    pub(crate) linker: Linker,
}

/// An installed bpf-linker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    version: String,
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bpf-linker {} at {}", self.version, self.path.display())
    }
}

/// Finds the build's tools, installing those that are missing.
///
/// # Errors
/// One is missing and cannot be installed.
pub(crate) fn ensure() -> Result<Tools> {
    if toolchain::find().is_none() && toolchain::lacks_only_source() {
        add_component("rust-src");
    }
    let linker = find_linker();
    install(&missing_packages(linker.is_some()))?;
    if linker.is_none() {
        step("setup: building bpf-linker", build_linker)?;
    }
    Ok(Tools {
        toolchain: toolchain::find()
            .context("no compiler with its library source: install rustup's rust-src component")?,
        linker: find_linker().context("bpf-linker was installed and is not found")?,
    })
}

/// The Debian packages of what is not there.
fn missing_packages(has_linker: bool) -> Vec<String> {
    let mut packages = Vec::new();
    if !compiles("c") {
        packages.extend(["gcc".to_owned(), "libc6-dev".to_owned()]);
    }
    if toolchain::find().is_none() {
        packages.extend(["rustc-web".to_owned(), "rust-web-src".to_owned()]);
    }
    if !has_linker {
        if !llvm_prefix().join("bin/llvm-config").is_file() {
            packages.push(format!("llvm-{LLVM_MAJOR}-dev"));
        }
        if !compiles("c++") {
            packages.push("g++".to_owned());
        }
        if !Path::new("/usr/include/zlib.h").is_file() {
            packages.push("zlib1g-dev".to_owned());
        }
    }
    // Tests fill a file system of their own.
    if !exec::works(Command::new("mkfs.ext4").arg("-V")) {
        packages.push("e2fsprogs".to_owned());
    }
    packages
}

/// Whether `cc` compiles a program of `language` that includes a header of its library.
fn compiles(language: &str) -> bool {
    let mut command = Command::new("cc");
    command.args([
        "-fsyntax-only",
        "-include",
        "stdlib.h",
        "-x",
        language,
        "/dev/null",
    ]);
    exec::works(&mut command)
}

/// Installs Debian packages; does nothing for none.
pub(crate) fn install(packages: &[String]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !exec::works(Command::new("apt-get").arg("--version")) {
        bail!("missing, and there is no apt-get: what Debian calls {list}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "missing: run `sudo apt-get update && sudo apt-get install --yes --no-install-recommends {list}`, then this again"
        );
    }
    step(&format!("setup: installing {list}"), || {
        exec::run(apt_get().args(["update", "--quiet"]))?;
        exec::run(
            apt_get()
                .args(["install", "--yes", "--no-install-recommends"])
                .args(packages),
        )
    })
}

pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .args(["--option", "Dpkg::Use-Pty=0", "--quiet"]);
    command
}

/// The newest usable bpf-linker of `PATH` and of cargo's own folder. One that cannot load its LLVM is none.
fn find_linker() -> Option<Linker> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join("bpf-linker"))
        .filter(|candidate| candidate.is_file())
        .find_map(|path| {
            let text = exec::read(Command::new(&path).arg("--version")).ok()?;
            let version = linker_version(&text)?.to_owned();
            Some(Linker { path, version })
        })
}

/// The version in the output of `bpf-linker --version`, if it is new enough.
fn linker_version(text: &str) -> Option<&str> {
    let version = text.trim().strip_prefix("bpf-linker ")?;
    (leading_numbers(version) >= OLDEST_LINKER).then_some(version)
}

fn build_linker() -> Result<()> {
    let prefix = llvm_prefix();
    let feature = format!("llvm-{LLVM_MAJOR}");
    exec::run(
        cargo()
            .args([
                "install",
                "bpf-linker",
                "--version",
                "^0.13",
                "--locked",
                "--force",
            ])
            .args(["--no-default-features", "--features", &feature])
            .env_remove("CARGO_TARGET_DIR")
            .env("LLVM_PREFIX", &prefix)
            .env(format!("LLVM_SYS_{LLVM_MAJOR}1_PREFIX"), &prefix),
    )
}

fn llvm_prefix() -> PathBuf {
    format!("/usr/lib/llvm-{LLVM_MAJOR}").into()
}

/// Finds `cargo <tool>`, or installs it by rustup or apt.
fn ensure_cargo_tool(tool: &str, component: &str) -> Result<()> {
    let there = || exec::works(cargo().args([tool, "--version"]));
    if there() {
        return Ok(());
    }
    add_component(component);
    if there() {
        return Ok(());
    }
    let package = if component == "rustfmt" {
        "rustfmt-web"
    } else {
        "rust-web-clippy"
    };
    install(&[package.to_owned()])?;
    if there() {
        Ok(())
    } else {
        bail!("`cargo {tool}` does not work")
    }
}

/// Asks rustup, if it is there, for a component of the toolchain in use. Says why when it does not work.
fn add_component(component: &str) {
    if !exec::works(Command::new("rustup").arg("--version")) {
        return;
    }
    let added = step(&format!("setup: asking rustup for {component}"), || {
        exec::run_for(
            Command::new("rustup").args(["component", "add", component]),
            RUSTUP_LIMIT,
        )
    });
    if let Err(error) = added {
        eprintln!("setup: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_linker_is_none() {
        assert_eq!(linker_version("bpf-linker 0.13.0\n"), Some("0.13.0"));
        assert_eq!(linker_version("bpf-linker 1.0.2"), Some("1.0.2"));
        assert_eq!(linker_version("bpf-linker 0.9.14"), None);
        assert_eq!(linker_version("something else"), None);
    }
}
