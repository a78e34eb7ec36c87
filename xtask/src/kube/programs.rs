//! etcd, kube-apiserver and kubectl: found in a cache directory outside the repository, or made, once per machine.
//!
//! The directory bears version and recipe in its name and is renamed into place whole, so that what is there is
//! complete. A lock keeps two commands from building at the same time.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::recipe;

/// What Debian bookworm's source package has.
pub(super) const VERSION: &str = "1.20.2";
/// Grows when what the recipe makes changes.
const RECIPE: u32 = 1;

/// The programs of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The database.
    pub etcd: PathBuf,
    /// The API server.
    pub apiserver: PathBuf,
    /// The client, of the same version.
    pub kubectl: PathBuf,
}

/// Finds the programs.
///
/// # Errors
/// They were not made on this machine; the error says what to run.
pub fn find() -> Result<Programs> {
    let folder = cache()?.join(name());
    ensure!(
        folder.is_dir(),
        "no kube-apiserver on this machine: run `cargo xtask kube up`, which builds one"
    );
    Ok(Programs {
        etcd: folder.join("etcd"),
        apiserver: folder.join("kube-apiserver"),
        kubectl: folder.join("kubectl"),
    })
}

/// Finds the programs, making them if they are not there: about five minutes.
///
/// # Errors
/// They are missing and cannot be made.
pub(crate) fn ensure() -> Result<Programs> {
    if let Ok(found) = find() {
        return Ok(found);
    }
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let lock = cache.join("lock");
    let lock = File::create(&lock).with_context(|| lock.display().to_string())?;
    lock.lock().context("waiting for another build")?;
    if let Ok(found) = find() {
        return Ok(found);
    }
    let scratch = cache.join(format!("{}.building", name()));
    // Left by a build that was killed.
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    fs::create_dir(&scratch).with_context(|| scratch.display().to_string())?;
    let made = recipe::make(&scratch).and_then(|made| {
        let place = cache.join(name());
        fs::rename(&made, &place).with_context(|| place.display().to_string())
    });
    let removed = fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string());
    made.and(removed)?;
    find()
}

fn name() -> String {
    format!("kubernetes-{VERSION}-r{RECIPE}")
}

fn cache() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("blackbox"))
}
