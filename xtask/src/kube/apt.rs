//! Debian's packages and sources, downloaded and unpacked, not installed: apt with lists and a cache of its own.
//!
//! Reads the machine's sources of packages and changes none: a copy says `deb-src` too. Needs no root. What is
//! downloaded was verified by apt, with the keys this machine trusts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::exec;
use crate::setup::apt_get;

/// The machine's sources, in the two places that apt reads.
const SOURCES: &str = "/etc/apt/sources.list";
const SOURCES_FOLDER: &str = "/etc/apt/sources.list.d";

/// An apt of our own, in one folder.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Makes it and reads the lists of packages.
    ///
    /// # Errors
    /// There is no apt-get, or the folder cannot be written.
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        ensure!(
            exec::works(Command::new("apt-get").arg("--version")),
            "there is no apt-get: it is built from Debian's packages"
        );
        for needed in ["sources", "lists/partial", "cache/archives/partial"] {
            let needed = folder.join(needed);
            fs::create_dir_all(&needed).with_context(|| needed.display().to_string())?;
        }
        for path in machine_sources()? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let name = path.file_name().context("a file has a name")?;
            let one_line = path.extension().is_some_and(|kind| kind == "list");
            let text = match one_line {
                true => lines_with_source(&text),
                false => stanzas_with_source(&text),
            };
            let copy = folder.join("sources").join(name);
            fs::write(&copy, text).with_context(|| copy.display().to_string())?;
        }
        let apt = Self { folder };
        // A list that cannot be had may be one that does not matter: the download tells.
        exec::read(apt.command().arg("update")).ok();
        Ok(apt)
    }

    /// Downloads packages and unpacks them into a folder.
    ///
    /// # Errors
    /// One cannot be had.
    pub(super) fn unpack(&self, packages: &[&str], to: &Path) -> Result<()> {
        let downloads = self.folder.join("packages");
        fs::create_dir_all(&downloads).with_context(|| downloads.display().to_string())?;
        let mut download = self.command();
        exec::read(
            download
                .arg("download")
                .args(packages)
                .current_dir(&downloads),
        )?;
        for file in fs::read_dir(&downloads).with_context(|| downloads.display().to_string())? {
            exec::run(Command::new("dpkg").arg("-x").arg(file?.path()).arg(to))?;
        }
        fs::remove_dir_all(&downloads).with_context(|| downloads.display().to_string())
    }

    /// Downloads a source package: the files it is made of.
    ///
    /// # Errors
    /// It cannot be had.
    pub(super) fn source(&self, package: &str) -> Result<Vec<PathBuf>> {
        let downloads = self.folder.join("source");
        fs::create_dir_all(&downloads).with_context(|| downloads.display().to_string())?;
        let mut download = self.command();
        exec::read(
            download
                .args(["source", "--download-only", package])
                .current_dir(&downloads),
        )?;
        let files = fs::read_dir(&downloads).with_context(|| downloads.display().to_string())?;
        files.map(|file| Ok(file?.path())).collect()
    }

    fn command(&self) -> Command {
        let mut command = apt_get();
        let ours = [
            ("Dir::Etc::SourceList", "/dev/null".into()),
            ("Dir::Etc::SourceParts", self.folder.join("sources")),
            ("Dir::State::Lists", self.folder.join("lists")),
            ("Dir::Cache", self.folder.join("cache")),
        ];
        for (key, path) in ours {
            command
                .arg("--option")
                .arg(format!("{key}={}", path.display()));
        }
        // As root apt downloads as another user, who may not write to a folder of root's.
        command.args(["--option", "APT::Sandbox::User=root"]);
        command
    }
}

fn machine_sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if Path::new(SOURCES).is_file() {
        found.push(SOURCES.into());
    }
    if Path::new(SOURCES_FOLDER).is_dir() {
        for file in fs::read_dir(SOURCES_FOLDER).context(SOURCES_FOLDER)? {
            let path = file?.path();
            let kind = path.extension().unwrap_or_default();
            if kind == "list" || kind == "sources" {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// One line a source: each `deb` line, and the same as `deb-src`.
fn lines_with_source(text: &str) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        if let Some(rest) = line.trim_start().strip_prefix("deb ") {
            lines.push_str(&format!("deb {rest}\ndeb-src {rest}\n"));
        }
    }
    lines
}

/// Stanzas of fields: packages and sources, whatever they say.
fn stanzas_with_source(text: &str) -> String {
    let types = |line: &str| line.to_ascii_lowercase().starts_with("types:");
    text.lines()
        .map(|line| match types(line) {
            true => "Types: deb deb-src\n".to_owned(),
            false => format!("{line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_asked_for_too() {
        let lines =
            "# a mirror\ndeb http://mirror/debian bookworm main\ndeb-src http://other x y\n";
        assert_eq!(
            lines_with_source(lines),
            "deb http://mirror/debian bookworm main\ndeb-src http://mirror/debian bookworm main\n"
        );
        let stanzas = "Types: deb\nURIs: http://mirror/debian\nSuites: bookworm\n";
        assert_eq!(
            stanzas_with_source(stanzas),
            "Types: deb deb-src\nURIs: http://mirror/debian\nSuites: bookworm\n"
        );
    }
}
