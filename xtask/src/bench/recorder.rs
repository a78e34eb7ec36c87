//! The recorder as it is measured: the daemon that is shipped, with files of its own, recording when it is handed out.

use std::env;
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

/// How it is shipped: as the Dockerfile builds it.
const PROFILE: &str = "dist";
/// One file that needs no other; and where it lies in memory is told in a tenth of the bytes.
const LINKED: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";

/// This machine, as rustc calls it. Named to cargo, or its flags would reach build scripts too.
fn target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// The daemon that is shipped.
pub(super) fn binary() -> Result<PathBuf> {
    let folder = target_directory()?.join(target()).join(PROFILE);
    Ok(folder.join("blackbox-daemon"))
}

/// Builds it, and the victim with it: a while, as nothing is smaller. `CARGO_PROFILE_DIST_LTO=off` is sooner done.
///
/// # Errors
/// It does not build.
pub(super) fn build() -> Result<()> {
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", PROFILE]);
    command.args(["--package", "blackbox-daemon", "--target", &target()]);
    command.env("RUSTFLAGS", LINKED);
    exec::run(command.env_remove("CARGO_ENCODED_RUSTFLAGS"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::workspace_root;

    #[test]
    fn the_image_has_what_is_measured() {
        let dockerfile = std::fs::read_to_string(workspace_root().join("Dockerfile")).unwrap();
        assert!(dockerfile.contains(LINKED), "it is linked otherwise");
        assert!(dockerfile.contains(&format!("--profile {PROFILE} ")));
    }
}
