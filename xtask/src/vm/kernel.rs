//! The newest Debian cloud kernel of a series, taken from its package and kept outside the repository.
//!
//! Packages are unpacked and never installed. One that is there is not fetched again.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::exec::{self, step};
use crate::setup::apt_get;

/// An unpacked kernel package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// `6.12.117+deb12-cloud-amd64`, as `uname -r` says it.
    pub(super) release: String,
    /// The compressed kernel.
    pub(super) image: PathBuf,
    /// `lib/modules/<release>` of the package.
    pub(super) modules: PathBuf,
}

/// Finds the newest kernel of `series` (`6.12`) that Debian offers; without its lists, the newest of those fetched
/// before.
///
/// # Errors
/// There is none, or it cannot be fetched.
pub(super) fn newest(series: &str) -> Result<Kernel> {
    let cache = cache()?;
    let mut offered = offered(series)?;
    if offered.is_empty() && exec::works(&mut apt_get_update()) {
        offered = self::offered(series)?;
    }
    let kept = fs::read_dir(&cache)
        .with_context(|| cache.display().to_string())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|release| is_of(series, release));
    let release = offered
        .into_iter()
        .chain(kept)
        .max_by_key(|release| numbers(release))
        .with_context(|| format!("apt offers no cloud kernel {series}"))?;
    let folder = cache.join(&release);
    if !folder.is_dir() {
        step(&format!("vm: fetching Linux {release}"), || {
            fetch(&release, &cache, &folder)
        })?;
    }
    let kernel = Kernel {
        image: folder.join(format!("boot/vmlinuz-{release}")),
        modules: folder.join(format!("lib/modules/{release}")),
        release,
    };
    ensure!(
        kernel.image.is_file(),
        "{} is missing: remove {} and try again",
        kernel.image.display(),
        folder.display()
    );
    Ok(kernel)
}

/// Where kernels are kept: one folder for each release.
fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    let cache = base.join("blackbox/kernels");
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    Ok(cache)
}

/// The releases that apt's lists have.
fn offered(series: &str) -> Result<Vec<String>> {
    let pattern = format!("^linux-image-{}\\.", series.replace('.', "\\."));
    let found = exec::read(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    Ok(releases(&found, series))
}

/// The releases in what `apt-cache search` says: signed images of cloud kernels.
fn releases(found: &str, series: &str) -> Vec<String> {
    let names = found.lines().filter_map(|line| line.split(' ').next());
    names
        .filter_map(|name| name.strip_prefix("linux-image-"))
        .filter(|release| is_of(series, release))
        .map(str::to_owned)
        .collect()
}

fn is_of(series: &str, release: &str) -> bool {
    let rest = release.strip_prefix(series);
    rest.is_some_and(|rest| rest.starts_with('.')) && release.ends_with("-cloud-amd64")
}

/// What releases are ordered by: `6.1.0-50` after `6.1.0-9`.
fn numbers(release: &str) -> Vec<u64> {
    release
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

fn apt_get_update() -> Command {
    let mut command = apt_get();
    command.arg("update");
    command
}

/// Unpacks beside the final folder, so that this is whole or not there.
fn fetch(release: &str, cache: &Path, folder: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(cache)?;
    let package = format!("linux-image-{release}");
    // As root it would hand the download to a user who may not write here, and complain.
    let sandbox = "--option=APT::Sandbox::User=root";
    let words = [sandbox, "download", &package];
    let download = || exec::run(apt_get().args(words).current_dir(&work));
    if download().is_err() {
        // Its lists may be old.
        exec::run(&mut apt_get_update())?;
        download()?;
    }
    let unpacked = work.path().join("unpacked");
    let mut packages = fs::read_dir(&work)?.filter_map(|entry| Some(entry.ok()?.path()));
    let Some(file) = packages.find(|path| path.extension().is_some_and(|end| end == "deb")) else {
        bail!("apt-get downloaded no {package}");
    };
    exec::run(Command::new("dpkg").arg("-x").arg(&file).arg(&unpacked))?;
    fs::rename(&unpacked, folder).with_context(|| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_chosen_by_number() {
        let found = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 (signed)\n\
                     linux-image-6.1.0-50-cloud-amd64 - Linux 6.1 (signed)\n\
                     linux-image-6.1.0-53-cloud-amd64-unsigned - Linux 6.1\n\
                     linux-image-6.1.0-53-cloud-amd64-dbg - Debug symbols\n\
                     linux-image-6.1.0-51-amd64 - Linux 6.1\n\
                     linux-image-6.12.117+deb12-cloud-amd64 - Linux 6.12\n";
        let mut found = releases(found, "6.1");
        found.sort_by_key(|release| numbers(release));
        assert_eq!(found, ["6.1.0-9-cloud-amd64", "6.1.0-50-cloud-amd64"]);
    }

    #[test]
    fn a_series_is_not_the_beginning_of_another() {
        assert!(is_of("6.12", "6.12.117+deb12-cloud-amd64"));
        assert!(!is_of("6.1", "6.12.117+deb12-cloud-amd64"));
        assert!(!is_of("6.12", "6.12-cloud-amd64"));
    }
}
