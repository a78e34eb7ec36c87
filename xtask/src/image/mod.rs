//! `cargo xtask image`: builds the Dockerfile's stages one by one with buildah, which needs no daemon, and looks at what
//! came out: one static binary that says its version, labels, and no shell.
//!
//! Where no base image can be pulled it is made by debootstrap, from the packages that `debian:bookworm-slim` is made of.
#![expect(clippy::print_stdout, reason = "tells the image's figures")]

mod base;
mod check;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::cargo::{target_directory, workspace_root};
use crate::exec::{self, step};
use crate::setup::install;

/// The Dockerfile's stages, in its order; the last has no name.
const STAGES: [&str; 3] = ["tools", "kernel", "daemon"];

/// `cargo xtask image`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// The image's platform [default: this machine's].
    #[arg(long)]
    arch: Option<Arch>,
    /// An image of Debian 12 to build in. Without one it is made here.
    #[arg(long, value_name = "IMAGE")]
    base: Option<String>,
}

/// A platform, as image platforms are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    fn of_this_machine() -> Self {
        match std::env::consts::ARCH {
            "aarch64" => Self::Arm64,
            _ => Self::Amd64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// What runs its programs on another machine, and the package that has it.
    fn emulator(self) -> &'static str {
        match self {
            Self::Amd64 => "qemu-x86_64-static",
            Self::Arm64 => "qemu-aarch64-static",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A stage does not build, or the image is not as it should be.
pub fn run(options: &Options) -> Result<ExitCode> {
    let arch = options.arch.unwrap_or_else(Arch::of_this_machine);
    install(&missing_packages(arch, options.base.is_none()))?;
    let buildah = Buildah::find()?;
    let base = match &options.base {
        Some(base) => base.clone(),
        None => base::ensure(&buildah)?,
    };
    let sources = sources()?;
    let build = |tag: &str| build(&buildah, sources.path(), arch, (&base, tag));
    for stage in STAGES {
        let tag = format!("localhost/blackbox-{stage}:{}", arch.name());
        step(&format!("image: stage {stage}"), || {
            exec::run(build(&tag).args(["--target", stage, "."]))
        })?;
    }
    let tag = format!(
        "localhost/blackbox-daemon:{}-{}",
        env!("CARGO_PKG_VERSION"),
        arch.name()
    );
    step("image: the image itself", || {
        exec::run(build(&tag).arg("."))
    })?;
    let found = step("image: looking at it", || {
        check::examine(&buildah, &tag, arch)
    })?;
    println!("{tag}");
    println!("{found}");
    Ok(ExitCode::SUCCESS)
}

/// A copy of what the Dockerfile is given: stages are built from the same sources, whatever is edited meanwhile.
fn sources() -> Result<TempDir> {
    let (root, target) = (workspace_root(), target_directory()?);
    fs::create_dir_all(&target).with_context(|| target.display().to_string())?;
    let folder = tempfile::tempdir_in(&target).with_context(|| target.display().to_string())?;
    let ignored = root.join(".dockerignore");
    let ignored = fs::read_to_string(&ignored).with_context(|| ignored.display().to_string())?;
    let archive = folder.path().join("sources.tar");
    exec::run(
        Command::new("tar")
            .current_dir(root)
            .args(["--exclude=target", "--create", "--file"])
            .arg(&archive)
            .args(["Dockerfile", ".dockerignore"])
            .args(sent(&ignored)),
    )?;
    let mut unpack = Command::new("tar");
    unpack.current_dir(folder.path());
    exec::run(unpack.arg("--extract").arg("--file").arg(&archive))?;
    Ok(folder)
}

/// What a `.dockerignore` that begins with `*` lets through.
fn sent(ignored: &str) -> impl Iterator<Item = &str> {
    ignored.lines().filter_map(|line| line.strip_prefix('!'))
}

/// `buildah build` of the Dockerfile, as far as all stages have it in common.
fn build(buildah: &Buildah, sources: &Path, arch: Arch, (base, tag): (&str, &str)) -> Command {
    let mut command = buildah.command();
    command
        .current_dir(sources)
        // Needs no container runtime, and works inside a container.
        .args([
            "build",
            "--isolation",
            "chroot",
            "--layers",
            "--force-rm",
            "--pull-never",
        ])
        .args(["--platform", &format!("linux/{}", arch.name())])
        .args(["--build-arg", &format!("DEBIAN={base}")])
        .args([
            "--build-arg",
            &format!("VERSION={}", env!("CARGO_PKG_VERSION")),
        ])
        .args(["--build-arg", &format!("REVISION={}", revision())])
        .args(["--tag", tag, "--file", "Dockerfile"]);
    command
}

/// The commit, if this is a clone.
fn revision() -> String {
    let git = || {
        let mut git = Command::new("git");
        git.current_dir(workspace_root())
            .args(["rev-parse", "HEAD"]);
        git
    };
    let text = exec::works(&mut git()).then(|| exec::read(&mut git()));
    text.and_then(Result::ok)
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn missing_packages(arch: Arch, makes_base: bool) -> Vec<String> {
    let mut wanted = vec![("buildah", "buildah")];
    if makes_base {
        wanted.push(("debootstrap", "debootstrap"));
    }
    if arch != Arch::of_this_machine() {
        wanted.push((arch.emulator(), "qemu-user-static"));
    }
    wanted.retain(|(program, _)| !exec::works(Command::new(program).arg("--version")));
    wanted
        .into_iter()
        .map(|(_, package)| package.to_owned())
        .collect()
}

/// buildah with a storage driver that works here.
#[derive(Debug)]
struct Buildah {
    driver: Option<&'static str>,
}

impl Buildah {
    fn find() -> Result<Self> {
        // What the machine offers; else plain folders, which work everywhere and take more room.
        let found = [None, Some("vfs")].map(|driver| Self { driver });
        let usable = |buildah: &Self| exec::works(buildah.command().args(["images", "--quiet"]));
        let mut found = found.into_iter();
        found
            .find(usable)
            .context("buildah has no storage that works: is this root?")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        if let Some(driver) = self.driver {
            command.args(["--storage-driver", driver]);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_there() {
        let ignored = fs::read_to_string(workspace_root().join(".dockerignore")).unwrap();
        assert!(ignored.lines().any(|line| line == "*"));
        let sent: Vec<&str> = sent(&ignored).collect();
        assert!(sent.contains(&"Cargo.lock"));
        for path in sent {
            assert!(workspace_root().join(path).exists(), "{path}");
        }
    }

    #[test]
    fn the_dockerfiles_stages_are_built() {
        let text = std::fs::read_to_string(workspace_root().join("Dockerfile")).unwrap();
        let stages: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("FROM ")?.split_once(" AS "))
            .map(|(_, name)| name)
            .collect();
        assert_eq!(stages, STAGES);
        let last = text.lines().rfind(|line| line.starts_with("FROM "));
        assert_eq!(last, Some("FROM scratch"));
    }
}
