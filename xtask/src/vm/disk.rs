//! A disk for a machine whose power is cut: ext4 in a raw image, and above it, for each boot, a qcow2 image of small clusters.
//!
//! qemu keeps the tables of a qcow2 image in its memory until the machine flushes. Killed, it loses every cluster that was
//! written for the first time since that boot and not flushed: what a disk with a volatile cache loses, and no more. What is
//! written a second time may stay without a flush, as on a real disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::exec;

const BYTES: u64 = 256 << 20;
/// The smallest piece that is lost by itself: a page of the machine.
const CLUSTER: &str = "cluster_size=4k,lazy_refcounts=off";
/// In memory: on the host's own disk a flush would take as long as other programs let it.
const MEMORY: &str = "/dev/shm";

/// See the module.
pub(super) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Makes the file system.
    ///
    /// # Errors
    /// A tool fails.
    pub(super) fn make() -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("blackbox-disk-");
        let folder = match Path::new(MEMORY).is_dir() {
            true => builder.tempdir_in(MEMORY)?,
            false => builder.tempdir()?,
        };
        let disk = Self { folder };
        File::create(disk.base())?.set_len(BYTES)?;
        let mut make = Command::new("/usr/sbin/mkfs.ext4");
        exec::run(make.args(["-q", "-F", "-m", "0"]).arg(disk.base()))?;
        Ok(disk)
    }

    /// A new image for the next boot; where it is.
    ///
    /// # Errors
    /// qemu-img fails.
    pub(super) fn renew(&self) -> Result<PathBuf> {
        let top = self.top();
        let mut create = Command::new("qemu-img");
        create.args([
            "create", "-q", "-f", "qcow2", "-o", CLUSTER, "-F", "raw", "-b",
        ]);
        exec::run(create.arg(self.base()).arg(&top))?;
        Ok(top)
    }

    /// What a machine whose power was cut has left becomes what the next one finds.
    ///
    /// # Errors
    /// qemu-img fails.
    pub(super) fn settle(&self) -> Result<()> {
        exec::run(
            Command::new("qemu-img")
                .args(["commit", "-q"])
                .arg(self.top()),
        )
    }

    /// Reads a file of the settled file system, from a copy in which the file system's journal is replayed as a mount would:
    /// what the next boot finds is not touched.
    ///
    /// # Errors
    /// The file is not there.
    pub(super) fn take(&self, inside: &str, to: &Path) -> Result<()> {
        let copy = self.folder.path().join("copy.raw");
        let mut duplicate = Command::new("cp");
        exec::run(duplicate.arg("--sparse=always").arg(self.base()).arg(&copy))?;
        let mut replay = Command::new("/usr/sbin/e2fsck");
        replay.args(["-p", "-E", "journal_only"]).arg(&copy);
        exec::read(&mut replay)?;
        let order = format!("dump {inside} {}", to.display());
        let mut dump = Command::new("/usr/sbin/debugfs");
        dump.args(["-R", &order]).arg(&copy);
        exec::read(&mut dump)?;
        let len = fs::metadata(to).with_context(|| format!("{inside} on the disk"))?;
        anyhow::ensure!(len.len() > 0, "{inside} on the disk is empty");
        Ok(())
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("disk.raw")
    }

    fn top(&self) -> PathBuf {
        self.folder.path().join("boot.qcow2")
    }
}
