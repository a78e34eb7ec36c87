//! What came out of the build: an image that holds what it should, says what it is, and runs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Arch, Buildah};
use crate::exec;

/// Every file of the image: no shell among them, no library, and nothing that was left by a stage.
const FILES: [&str; 2] = ["blackbox-daemon", "etc/ssl/certs/ca-certificates.crt"];
const ENTRYPOINT: &str = "/blackbox-daemon";
/// Below `org.opencontainers.image.`.
const LABELS: [&str; 5] = ["description", "licenses", "revision", "title", "version"];

/// What is told of an image.
#[derive(Debug)]
pub(super) struct Found {
    version: String,
    bytes: u64,
    labels: BTreeMap<String, String>,
}

impl fmt::Display for Found {
    #[expect(clippy::cast_precision_loss, reason = "a size for people to read")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  --version: {}", self.version)?;
        let mebibytes = self.bytes as f64 / f64::from(1 << 20);
        writeln!(f, "  size: {} bytes ({mebibytes:.1} MiB)", self.bytes)?;
        write!(f, "  files: {}; static; no shell", FILES.join(", "))?;
        for (label, value) in &self.labels {
            write!(f, "\n  {label}: {value}")?;
        }
        Ok(())
    }
}

/// What buildah tells of an image.
#[derive(Debug, Deserialize)]
struct Inspected {
    #[serde(rename = "OCIv1")]
    image: Image,
}

/// The part of an image's configuration (OCI image-spec) that is looked at.
#[derive(Debug, Deserialize)]
struct Image {
    architecture: String,
    os: String,
    config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    user: String,
    #[serde(default)]
    entrypoint: Vec<String>,
    #[serde(default)]
    cmd: Vec<String>,
    #[serde(default)]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Looks at the image, and runs it.
///
/// # Errors
/// It is not as it should be.
pub(super) fn examine(buildah: &Buildah, tag: &str, arch: Arch) -> Result<Found> {
    let text = exec::read(buildah.command().args(["inspect", "--type", "image", tag]))?;
    let Inspected { image } = serde_json::from_str(&text).context("its configuration")?;
    let labels = configured(image, arch)?;
    let container = Container::of(buildah, tag)?;
    let root = container.mount()?;
    let files = files(&root)?;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    ensure!(names == FILES, "the image holds {names:?}, not {FILES:?}");
    let binary = root.join(FILES[0]);
    let bytes = fs::read(&binary).with_context(|| binary.display().to_string())?;
    ensure!(
        is_static(&bytes),
        "{ENTRYPOINT} needs a loader, which the image does not have"
    );
    let version = version(&root, arch)?;
    ensure!(
        version == format!("blackbox-daemon {}", env!("CARGO_PKG_VERSION")),
        "it says it is {version:?}"
    );
    Ok(Found {
        version,
        bytes: files.values().sum(),
        labels,
    })
}

/// Its labels, if all of its configuration is right.
fn configured(image: Image, arch: Arch) -> Result<BTreeMap<String, String>> {
    let Image {
        architecture,
        os,
        config,
    } = image;
    ensure!(
        (&*os, &*architecture) == ("linux", arch.name()),
        "it is for {os}/{architecture}"
    );
    ensure!(
        config.entrypoint == [ENTRYPOINT],
        "its entrypoint is {:?}",
        config.entrypoint
    );
    ensure!(config.cmd.is_empty(), "it has a command: {:?}", config.cmd);
    ensure!(
        config.user.is_empty(),
        "it runs as {}, without capabilities",
        config.user
    );
    let ports: Vec<&String> = config.exposed_ports.keys().collect();
    ensure!(ports == ["8080/tcp", "9090/tcp"], "it exposes {ports:?}");
    for label in LABELS {
        let label = format!("org.opencontainers.image.{label}");
        let value = config.labels.get(&label);
        ensure!(
            value.is_some_and(|value| !value.is_empty()),
            "no label {label}"
        );
    }
    let version = &config.labels["org.opencontainers.image.version"];
    ensure!(
        version == env!("CARGO_PKG_VERSION"),
        "its label says version {version}"
    );
    Ok(config.labels)
}

/// What `--version` prints, with nothing around it but what the image holds.
fn version(root: &Path, arch: Arch) -> Result<String> {
    let mut command = if arch == Arch::of_this_machine() {
        let mut command = Command::new("chroot");
        command.arg(root).arg(ENTRYPOINT);
        command
    } else {
        let mut command = Command::new(arch.emulator());
        command.arg(root.join(FILES[0]));
        command
    };
    let text = exec::read(
        command
            .arg("--version")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin"),
    )?;
    Ok(text.trim().to_owned())
}

/// Every file below `root`, with its size.
fn files(root: &Path) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let (path, metadata) = (entry.path(), entry.metadata()?);
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root)?.display().to_string();
                found.insert(name, metadata.len());
            }
        }
    }
    Ok(found)
}

/// Whether a 64-bit little-endian ELF file has no program header that names a loader (elf(5), `PT_INTERP`).
fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| -> Option<u64> {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    let headers = || -> Option<Vec<u64>> {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let at = |index: u64| usize::try_from(start + index * size).ok();
        (0..count).map(|index| number(at(index)?, 4)).collect()
    };
    let is_elf = elf.starts_with(b"\x7fELF\x02\x01");
    is_elf
        && headers()
            .is_some_and(|kinds| !kinds.is_empty() && !kinds.contains(&u64::from(PT_INTERP)))
}

/// A container of an image, to look at. Dropped, it is removed.
struct Container<'a> {
    buildah: &'a Buildah,
    name: String,
}

impl<'a> Container<'a> {
    fn of(buildah: &'a Buildah, tag: &str) -> Result<Self> {
        let name = exec::read(buildah.command().args(["from", "--pull-never", tag]))?;
        let name = name.trim().to_owned();
        Ok(Self { buildah, name })
    }

    fn mount(&self) -> Result<PathBuf> {
        let path = exec::read(self.buildah.command().args(["mount", &self.name]))?;
        Ok(path.trim().into())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        exec::works(self.buildah.command().args(["rm", &self.name]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_not_static() {
        let shell = fs::read("/bin/sh").unwrap();
        assert!(shell.starts_with(b"\x7fELF") && !is_static(&shell));
        assert!(!is_static(b"\x7fELF\x02\x01") && !is_static(b"#!/bin/sh"));
    }

    #[test]
    fn every_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("bin/empty")).unwrap();
        fs::write(folder.path().join("bin/sh"), "12345").unwrap();
        let found = files(folder.path()).unwrap();
        assert_eq!(found, BTreeMap::from([("bin/sh".to_owned(), 5)]));
    }

    #[test]
    fn an_image_that_is_configured_otherwise_is_refused() {
        let image = |change: fn(&mut serde_json::Value)| {
            let mut image = serde_json::json!({
                "architecture": "arm64", "os": "linux",
                "config": {
                    "Entrypoint": ["/blackbox-daemon"],
                    "ExposedPorts": {"8080/tcp": {}, "9090/tcp": {}},
                    "Labels": {"org.opencontainers.image.version": env!("CARGO_PKG_VERSION")},
                },
            });
            for label in LABELS.into_iter().filter(|label| *label != "version") {
                image["config"]["Labels"][format!("org.opencontainers.image.{label}")] = "x".into();
            }
            change(&mut image);
            configured(serde_json::from_value(image).unwrap(), Arch::Arm64)
        };
        image(|_| {}).unwrap();
        for change in [
            (|image| image["architecture"] = "amd64".into()) as fn(&mut serde_json::Value),
            |image| image["config"]["User"] = "65534".into(),
            |image| image["config"]["Entrypoint"] = serde_json::json!(["/bin/sh", "-c"]),
            |image| image["config"]["Cmd"] = serde_json::json!(["/bin/sh"]),
            |image| image["config"]["Labels"] = serde_json::json!({}),
            |image| image["config"]["Labels"]["org.opencontainers.image.version"] = "9".into(),
            |image| image["config"]["ExposedPorts"] = serde_json::json!({"22/tcp": {}}),
        ] {
            assert!(image(change).is_err());
        }
    }
}
