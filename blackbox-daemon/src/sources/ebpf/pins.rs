//! Pins: what of the kernel side outlives the daemon, in a bpffs, and how the next daemon finds it.
//!
//! `<BLACKBOX_BPFFS>/<fingerprint>/` has the maps that are read and the links that keep programs attached. The fingerprint is
//! of the kernel object and everything it was told, so a daemon takes over only what it would have loaded itself; what other
//! versions left is removed, which ends their programs. One daemon at a time: it holds a lock on the directory.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use aya::programs::BtfTracePoint;
use aya::programs::links::{FdLink, PinnedLink};
use rustix::fs::{FlockOperation, flock, statfs};

use crate::words::chain;

/// The maps that the daemon reads, and those that pinned programs share with ones that are loaded anew.
pub(super) const MAPS: [&str; 10] = [
    "CRIT",
    "BULK",
    "TALLY",
    "ACCOUNTS",
    "WORDS",
    "ARGUMENTS",
    "DAEMON",
    "THREADS",
    "AFTER_CALL",
    "AYA_LOGS",
];
/// `BPF_FS_MAGIC` (include/uapi/linux/magic.h).
const BPFFS: u64 = 0xcafe_4a11;
/// Digits of a fingerprint.
const DIGITS: usize = 16;

/// The directory of one fingerprint.
#[derive(Debug)]
pub(super) struct Pins {
    directory: PathBuf,
    /// Held as long as the daemon lives.
    _lock: OwnedFd,
}

impl Pins {
    /// The pins of `fingerprint` below `root`; those of others are removed.
    ///
    /// # Errors
    /// `root` is in no bpffs, cannot be made, or another daemon has it.
    pub(super) fn open(root: &Path, fingerprint: &str) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let kind = statfs(root)?.f_type;
        if kind.cast_unsigned() != BPFFS {
            return Err(io::Error::other(
                "it is in no bpffs (mount one there, or unset BLACKBOX_BPFFS)",
            ));
        }
        let lock = OwnedFd::from(File::open(root)?);
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_taken| io::Error::other("another daemon has it"))?;
        for entry in fs::read_dir(root)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            let ours = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            if ours && name != fingerprint {
                fs::remove_dir_all(root.join(name))?;
            }
        }
        let directory = root.join(fingerprint);
        fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// What is hashed to tell one kernel side from another.
    pub(super) fn fingerprint(object: &[u8], told: &str) -> String {
        let mut hashed = ring::digest::Context::new(&ring::digest::SHA256);
        hashed.update(object);
        hashed.update(told.as_bytes());
        let digest = hashed.finish();
        let bytes = digest.as_ref().iter().take(DIGITS / 2);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where a map is pinned.
    pub(super) fn map(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Lets go of programs and links, which ends those that are held by nothing else; maps stay.
    pub(super) fn release_programs(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if name.is_some_and(|name| name.starts_with("link_") || name.starts_with("program_")) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Pins a program and the link that keeps it attached.
    pub(super) fn pin(
        &self,
        name: &str,
        program: &mut BtfTracePoint,
    ) -> Result<PinnedLink, String> {
        let attached = program.attach().map_err(|error| chain(&error))?;
        let link = program.take_link(attached).map_err(|error| chain(&error))?;
        let program_path = self.directory.join(format!("program_{name}"));
        program.pin(program_path).map_err(|error| chain(&error))?;
        FdLink::from(link)
            .pin(self.link(name))
            .map_err(|error| chain(&error))
    }

    /// A program that a former daemon attached, and its link.
    pub(super) fn find(&self, name: &str) -> Result<(BtfTracePoint, PinnedLink), String> {
        let path = self.directory.join(format!("program_{name}"));
        let program = BtfTracePoint::from_pin(path).map_err(|error| chain(&error))?;
        let link = PinnedLink::from_pin(self.link(name)).map_err(|error| chain(&error))?;
        Ok((program, link))
    }

    fn link(&self, name: &str) -> PathBuf {
        self.directory.join(format!("link_{name}"))
    }
}
