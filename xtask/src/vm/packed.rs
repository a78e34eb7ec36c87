//! What is packed once and booted as often as wanted: a kernel, and the files it boots into.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::initramfs::Contents;
use super::kernel::{self, Kernel};
use super::machine::{Boot, Machine};
use super::node::Build;
use super::protocol::News;
use crate::build_ebpf;
use crate::exec::step;

/// Every machine's host name.
pub(super) const NAME: &str = "vm-node";
/// Starts programs with fewer privileges; of util-linux, on every machine.
const SETPRIV: &str = "/usr/bin/setpriv";
const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// See the module.
pub(super) struct Packed {
    kernel: Kernel,
    initramfs: PathBuf,
    /// Where `console.log` and what machines send goes.
    pub(super) directory: PathBuf,
    network: bool,
}

/// What differs from boot to boot.
#[derive(Clone, Copy)]
pub(super) struct Size<'a> {
    /// A qcow2 image.
    pub(super) disk: Option<&'a Path>,
    pub(super) memory_mib: u32,
    /// See [`Boot::in_turns`].
    pub(super) in_turns: bool,
    /// The machine is killed after this.
    pub(super) limit: Duration,
}

/// A machine that takes orders.
pub(super) struct Booted {
    pub(super) machine: Machine,
    /// Its `uname -r`.
    pub(super) kernel: String,
    /// Its boot id, as reports have it.
    pub(super) boot: String,
}

impl Packed {
    /// Builds what is needed and packs it with the newest kernel of `series`. `files`: what lies elsewhere than in `/bin`, and
    /// where.
    ///
    /// # Errors
    /// Something is missing or does not build.
    pub(super) fn make(
        series: &str,
        build: Build,
        files: &[(&Path, &str)],
        network: bool,
    ) -> Result<Self> {
        Machine::ensure_tools()?;
        let kernel = kernel::newest(series)?;
        build_ebpf::build(&build_ebpf::Options::default())?;
        let programs = build.programs()?;
        let directory = tempfile::Builder::new()
            .prefix("blackbox-vm-")
            .tempdir()?
            .keep();
        let initramfs = directory.join("initramfs");
        let contents = Contents {
            kernel: &kernel,
            programs: vec![
                programs.join("blackbox-daemon"),
                programs.join("blackbox-victim"),
                std::env::current_exe().context("this program")?,
                PathBuf::from(SETPRIV),
            ],
            files: files
                .iter()
                .map(|(from, to)| (from.to_path_buf(), PathBuf::from(to)))
                .collect(),
            network,
        };
        step("vm: packing", || {
            contents.pack(tempfile::tempdir_in(&directory)?.path(), &initramfs)
        })?;
        Ok(Self {
            kernel,
            initramfs,
            directory,
            network,
        })
    }

    /// Boots it.
    ///
    /// # Errors
    /// The machine does not come up.
    pub(super) fn boot(&self, size: Size<'_>) -> Result<Booted> {
        let boot = Boot {
            image: &self.kernel.image,
            initramfs: &self.initramfs,
            node: NAME,
            directory: &self.directory,
            network: self.network,
            disk: size.disk,
            memory_mib: size.memory_mib,
            in_turns: size.in_turns,
            limit: size.limit,
        };
        step(
            &format!("vm: booting Linux {}", self.kernel.release),
            || {
                let mut machine = Machine::boot(&boot)?;
                let (kernel, boot) = machine.expect(BOOT_LIMIT, |news| match news {
                    News::Up { kernel, boot } => Some((kernel, boot)),
                    _ => None,
                })?;
                Ok(Booted {
                    machine,
                    kernel,
                    boot,
                })
            },
        )
    }

    /// Removes what is needed to boot it again, and leaves what machines have sent.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn forget(self) -> Result<PathBuf> {
        fs::remove_file(&self.initramfs)?;
        Ok(self.directory)
    }
}
