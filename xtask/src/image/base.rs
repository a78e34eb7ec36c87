//! The base image where none can be pulled: Debian 12, made by debootstrap.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::Buildah;
use crate::cargo::target_directory;
use crate::exec::{self, step};

/// What the Dockerfile's `DEBIAN` is set to.
const NAME: &str = "localhost/blackbox-debian:bookworm";
const MIRROR: &str = "http://deb.debian.org";
/// Whom this machine trusts, and where cargo finds that in the base image. The image that is built has Debian's own list,
/// which this must not become a part of.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";
const TRUSTED_BY_CARGO: &str = "/usr/local/share/ca-of-the-builder.crt";

/// The archives that `debian:bookworm-slim` has; the security archive carries the compiler.
fn sources() -> String {
    let archive = |folder: &str, suites: &str| {
        format!(
            "Types: deb\nURIs: {MIRROR}/{folder}\nSuites: {suites}\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        )
    };
    let main = archive("debian", "bookworm bookworm-updates");
    format!(
        "{main}\n{}",
        archive("debian-security", "bookworm-security")
    )
}

/// The name of the base image, which is made if it is not there.
///
/// # Errors
/// It cannot be made.
pub(super) fn ensure(buildah: &Buildah) -> Result<String> {
    if !exec::works(buildah.command().args(["inspect", "--type", "image", NAME])) {
        step("image: making the base image", || make(buildah))?;
    }
    Ok(NAME.to_owned())
}

fn make(buildah: &Buildah) -> Result<()> {
    let target = target_directory()?;
    fs::create_dir_all(&target).with_context(|| target.display().to_string())?;
    let folder = tempfile::tempdir_in(&target).with_context(|| target.display().to_string())?;
    let root = folder.path().join("root");
    exec::run(
        Command::new("debootstrap")
            .args(["--variant=minbase", "bookworm"])
            .arg(&root)
            .arg(format!("{MIRROR}/debian")),
    )?;
    let etc = root.join("etc/apt");
    fs::write(etc.join("sources.list.d/debian.sources"), sources())
        .and_then(|()| fs::remove_file(etc.join("sources.list")))
        .with_context(|| etc.display().to_string())?;
    let mut config = vec!["--cmd=bash".to_owned()];
    if Path::new(TRUSTED).is_file() {
        let to = root.join(TRUSTED_BY_CARGO.trim_start_matches('/'));
        fs::copy(TRUSTED, &to).with_context(|| to.display().to_string())?;
        config.push(format!("--env=CARGO_HTTP_CAINFO={TRUSTED_BY_CARGO}"));
    }
    let archive = folder.path().join("root.tar");
    exec::run(
        Command::new("tar")
            .args([
                "--create",
                "--one-file-system",
                "--exclude=./dev/*",
                "--exclude=./proc/*",
            ])
            .args([
                "--exclude=./var/cache/apt/archives/*.deb",
                "--exclude=./var/lib/apt/lists/*",
            ])
            .arg("--file")
            .arg(&archive)
            .arg("--directory")
            .arg(&root)
            .arg("."),
    )?;
    let container = exec::read(buildah.command().args(["from", "scratch"]))?;
    let container = container.trim();
    // An archive is unpacked.
    let made = exec::read(
        buildah
            .command()
            .args(["add", container])
            .arg(&archive)
            .arg("/"),
    )
    .and_then(|_| {
        exec::read(buildah.command().arg("config").args(&config).arg(container))?;
        exec::read(
            buildah
                .command()
                .args(["commit", "--quiet", container, NAME]),
        )
    });
    exec::read(buildah.command().args(["rm", container]))?;
    made.map(drop)
}
