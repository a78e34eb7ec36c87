//! `cargo xtask build-ebpf`: builds the kernel programs into `<target>/bpf/blackbox-<arch>.o`, which the daemon's build
//! script embeds.
//!
//! Always optimised (the verifier refuses unoptimised code) and with BTF. The object is written only if it changed or
//! its sources did, so that the daemon is not rebuilt for nothing.
#![expect(clippy::print_stderr, reason = "says what it built")]

use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use object::build::elf::{Builder, SectionData};
use object::elf;

use crate::cargo::{forget_outer_cargo, target_directory, workspace_root};
use crate::exec::{self, step};
use crate::setup::{self, Tools};

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "blackbox-ebpf";
const SOURCES: [&str; 2] = [PACKAGE, "blackbox-common"];

/// What an outer cargo or a user sets for the host's build, and what must not reach this one.
const NOT_OURS: [&str; 11] = [
    "CARGO",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTUP_TOOLCHAIN",
];

/// `cargo xtask build-ebpf`.
#[derive(clap::Args, Debug, Default)]
pub struct Options {
    /// The machine the programs will run on [default: this one's].
    #[arg(long, value_parser = ["x86_64", "aarch64"])]
    arch: Option<String>,
    /// Accepted for symmetry with `cargo build`: the verifier refuses unoptimised programs, so there is no other way.
    #[arg(long)]
    release: bool,
}

/// Runs the command.
///
/// # Errors
/// A tool is missing and cannot be installed, or the programs do not build.
pub fn run(options: &Options) -> Result<ExitCode> {
    build(options)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the object and returns where it is.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn build(options: &Options) -> Result<PathBuf> {
    let arch = options.arch.as_deref().unwrap_or(ARCH);
    let tools = setup::ensure()?;
    let target = target_directory()?;
    let title = format!(
        "build-ebpf: kernel programs for {arch}, by {}",
        tools.toolchain
    );
    step(&title, || {
        exec::run(&mut command(&tools, arch, &target.join("bpf-build")))
    })?;

    let built = target
        .join("bpf-build")
        .join(TARGET)
        .join("release")
        .join(PACKAGE);
    let object = target.join("bpf").join(format!("blackbox-{arch}.o"));
    let bytes = fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
    let bytes = without_dwarf(&bytes).with_context(|| built.display().to_string())?;
    let changed = publish(&bytes, &object, newest_source()?)?;
    let state = if changed { "written" } else { "unchanged" };
    eprintln!("build-ebpf: {} ({state})", object.display());
    Ok(object)
}

/// The inner cargo.
fn command(tools: &Tools, arch: &str, target: &Path) -> Command {
    let mut command = Command::new(&tools.toolchain.cargo);
    forget_outer_cargo(&mut command);
    for key in NOT_OURS {
        command.env_remove(key);
    }
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Ctarget-cpu=v3",
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
    ];
    command
        .args([
            "build",
            "--quiet",
            "--release",
            "--package",
            PACKAGE,
            "--bins",
        ])
        .args(["--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(target)
        .env("RUSTC", &tools.toolchain.rustc)
        // build-std is unstable; this is what opens it on a stable compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.linker.path)
        .env("RUSTFLAGS", flags.join(" "));
    command
}

/// An object without what debuggers read: the linker has made BTF of it, and the rest is nine tenths of the bytes that every
/// daemon would carry.
///
/// # Errors
/// It is no ELF file.
fn without_dwarf(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut object = Builder::read(bytes)?;
    for section in object.sections.iter_mut() {
        let name = section.name.as_slice();
        let name = name.strip_prefix(b".rel").unwrap_or(name);
        section.delete = name.starts_with(b".debug");
    }
    // LLVM names sections and symbols from one table; whoever writes one here wants two.
    let names = object.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    object.write(&mut stripped)?;
    Ok(stripped)
}

/// Puts `bytes` at `object` in one step. Leaves an object alone that has the same bytes and is newer than `sources`.
fn publish(bytes: &[u8], object: &Path, sources: SystemTime) -> Result<bool> {
    let modified = fs::metadata(object).and_then(|metadata| metadata.modified());
    let newer = modified.is_ok_and(|modified| modified >= sources);
    if newer && fs::read(object).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let folder = object.parent().context("the object's path has no folder")?;
    let put = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        // A build by sudo leaves an object that its user can read.
        let readable = fs::Permissions::from_mode(0o644);
        let file = tempfile::Builder::new()
            .permissions(readable)
            .tempfile_in(folder)?;
        fs::write(file.path(), bytes)?;
        file.persist(object)?;
        Ok(())
    };
    put().with_context(|| format!("writing {}", object.display()))?;
    Ok(true)
}

/// When the newest file the object is made from was last changed.
fn newest_source() -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for package in SOURCES {
        let package = workspace_root().join(package);
        let files = fs::read_dir(package.join("src"))
            .with_context(|| format!("reading {}/src", package.display()))?
            .flatten()
            .map(|file| file.path());
        for file in files.chain([package.join("Cargo.toml")]) {
            newest = newest.max(fs::metadata(&file)?.modified()?);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_once_and_again_when_its_sources_are_newer() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("bpf/blackbox-x86_64.o");
        let past = SystemTime::UNIX_EPOCH;
        let future = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 33);

        assert!(publish(b"one", &object, past).unwrap());
        assert!(!publish(b"one", &object, past).unwrap());
        assert!(publish(b"one", &object, future).unwrap());
        assert!(publish(b"two", &object, past).unwrap());
        assert_eq!(fs::read(&object).unwrap(), b"two");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(without_dwarf(b"BC").is_err());
    }
}
