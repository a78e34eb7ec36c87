//! The recorder as it is measured: the daemon that is shipped, with files of its own, recording when it is handed out.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::cargo::{cargo, target_directory};
use crate::exec;
use crate::stage::{Daemon, DaemonOptions};

const READY: Duration = Duration::from_secs(30);

/// A daemon that records. Dropped, it is ended as a user would end it, and its files go.
pub(super) struct Recorder {
    pub(super) daemon: Daemon,
    pub(super) folder: tempfile::TempDir,
}

impl Recorder {
    /// Starts it with its defaults and `env`; waits until it records.
    ///
    /// # Errors
    /// It is not built, or does not record.
    pub(super) fn start(env: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut daemon = Daemon::start(&DaemonOptions {
            binary: binary()?,
            directory: folder.path().to_owned(),
            env: env.iter().map(owned).collect(),
            wrapper: Vec::new(),
        })?;
        daemon.wait_ready(READY)?;
        Ok(Self { daemon, folder })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // One that does not end is killed; what it said of itself is no figure.
        self.daemon.stop().ok();
    }
}

/// How it is shipped.
const PROFILE: &str = "dist";

/// The daemon that is shipped.
pub(super) fn binary() -> Result<PathBuf> {
    Ok(target_directory()?.join(PROFILE).join("blackbox-daemon"))
}

/// Builds it, and the victim with it: a while, as nothing is smaller. `CARGO_PROFILE_DIST_LTO=off` is sooner done.
///
/// # Errors
/// It does not build.
pub(super) fn build() -> Result<()> {
    let words = [
        "build",
        "--quiet",
        "--profile",
        PROFILE,
        "--package",
        "blackbox-daemon",
    ];
    exec::run(cargo().args(words))
}
