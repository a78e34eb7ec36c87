//! A cgroup with a memory limit, under the hierarchy that the daemon watches: the memory controller of cgroup v1
//! where that is mounted, else cgroup v2.
//!
//! Paths are relative to the hierarchy's mount and begin with `/`, as in the daemon's records.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::io::Errno;

use crate::timing::wait_for;

/// How long a dropped cgroup is given until the last process has left it.
const EMPTY_LIMIT: Duration = Duration::from_secs(3);

/// How often the making of one is tried while others go.
const TRIES: u32 = 5;

/// A cgroup of ours, removed when dropped (with those above it that are then empty).
#[derive(Debug)]
pub struct Cgroup {
    hierarchy: Hierarchy,
    name: PathBuf,
}

impl Cgroup {
    /// Makes the cgroup `name` (`a` or `a/b`, relative to the hierarchy), and those above it that are missing.
    ///
    /// # Errors
    /// No memory controller is mounted, or the cgroup cannot be made.
    pub fn create(name: &str) -> Result<Self> {
        let hierarchy = Hierarchy::of_this_machine()?;
        let name = PathBuf::from(name.trim_matches('/'));
        for _ in 1..TRIES {
            match hierarchy.make(&name) {
                // Another one of ours was dropped, and took those above with it.
                Err(error) if was_gone(&error) => {}
                other => return other.map(|()| Self { hierarchy, name }),
            }
        }
        hierarchy.make(&name)?;
        Ok(Self { hierarchy, name })
    }

    /// Limits memory, and memory with swap, to `bytes`.
    ///
    /// # Errors
    /// The kernel refuses the memory limit. A limit of swap that it does not offer is left out.
    pub fn set_memory_limit(&self, bytes: u64) -> Result<()> {
        let memory = bytes.to_string();
        let [limit, swap] = match self.hierarchy.version {
            Version::V1 => [
                ("memory.limit_in_bytes", &*memory),
                ("memory.memsw.limit_in_bytes", &*memory),
            ],
            Version::V2 => [("memory.max", &*memory), ("memory.swap.max", "0")],
        };
        self.write(limit.0, limit.1)?;
        let swap_file = self.folder().join(swap.0);
        if swap_file.is_file() {
            self.write(swap.0, swap.1)?;
        }
        Ok(())
    }

    /// Lets it and those above it have limits of what `controller` controls.
    pub(super) fn delegate(&self, controller: &str) -> Result<()> {
        let mut folder = self.hierarchy.mount.clone();
        for part in &self.name {
            self.hierarchy.delegate(&folder, controller)?;
            folder.push(part);
        }
        Ok(())
    }

    /// Its path in the hierarchy, e.g. `/blackbox-demo-1234/oom`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}", self.name.display())
    }

    /// Its folder, e.g. `/sys/fs/cgroup/memory/blackbox-demo-1234/oom`.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.hierarchy.mount.join(&self.name)
    }

    /// A command that enters this cgroup before it becomes `program`. It fails to start if it cannot enter.
    ///
    /// # Errors
    /// The cgroup's process list cannot be opened.
    #[expect(
        unsafe_code,
        reason = "only code between fork and exec can enter before the program runs"
    )]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let path = self.folder().join("cgroup.procs");
        let processes: File = OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        let mut command = Command::new(program);
        // Cargo sets it for what it runs; a victim would look for every library in a dozen wrong places.
        command.env_remove("LD_LIBRARY_PATH");
        // SAFETY: write(2) to an open descriptor is async-signal-safe; nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || {
                // 0 is the process that writes.
                rustix::io::write(&processes, b"0")?;
                Ok(())
            });
        }
        Ok(command)
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.folder().join(file);
        fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Busy until the last process has left; whatever goes wrong, there is nobody to tell.
        let removed = wait_for(EMPTY_LIMIT, || match fs::remove_dir(self.folder()) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
            other => other.map(Some),
        });
        if matches!(removed, Ok(Some(()))) {
            for above in self
                .name
                .ancestors()
                .skip(1)
                .filter(|path| !path.as_os_str().is_empty())
            {
                // The last of ours removes it; until then it is busy.
                fs::remove_dir(self.hierarchy.mount.join(above)).ok();
            }
        }
    }
}

/// Whether a cgroup above went before a step, or during it.
fn was_gone(error: &anyhow::Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| {
        cause.kind() == io::ErrorKind::NotFound
            || cause.raw_os_error() == Some(Errno::NODEV.raw_os_error())
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// The hierarchy that has the memory controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    mount: PathBuf,
    version: Version,
}

impl Hierarchy {
    /// # Errors
    /// No memory controller is mounted.
    pub(super) fn of_this_machine() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        Self::find(&mounts).context("no cgroup hierarchy with the memory controller is mounted")
    }

    /// The hierarchy in the text of `/proc/self/mounts`: v1 if the memory controller is there, for then v2 lacks it.
    fn find(mounts: &str) -> Option<Self> {
        let v1 = mounted(mounts, "cgroup", "memory").map(|mount| (mount, Version::V1));
        v1.or_else(|| Some((mounted(mounts, "cgroup2", "rw")?, Version::V2)))
            .map(|(mount, version)| Self { mount, version })
    }

    /// Makes the cgroup `name`, and those above it that are missing.
    fn make(&self, name: &Path) -> Result<()> {
        let mut folder = self.mount.clone();
        for part in name {
            self.delegate(&folder, "memory")?;
            folder.push(part);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.with_context(|| format!("making {}", folder.display()))?,
            }
        }
        Ok(())
    }

    /// Lets the children of `folder` have limits of what `controller` controls; in v1 they always do.
    fn delegate(&self, folder: &Path, controller: &str) -> Result<()> {
        let control = folder.join("cgroup.subtree_control");
        if self.version == Version::V1 {
            return Ok(());
        }
        let enabled = fs::read_to_string(&control)
            .with_context(|| format!("reading {}", control.display()))?;
        if enabled.split_whitespace().any(|have| have == controller) {
            return Ok(());
        }
        fs::write(&control, format!("+{controller}"))
            .with_context(|| format!("writing +{controller} to {}", control.display()))
    }
}

/// Where a file system of this kind with this option is mounted, by the text of `/proc/self/mounts`.
pub(super) fn mounted(mounts: &str, kind: &str, option: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_device, mount, fstype, options, ..] = fields[..] else {
            return None;
        };
        let fits = fstype == kind && options.split(',').any(|have| have == option);
        fits.then(|| PathBuf::from(mount))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_hybrid_host_the_memory_controller_decides() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n";
        let found = Hierarchy::find(mounts).unwrap();
        assert_eq!(found.mount, Path::new("/sys/fs/cgroup/memory"));
        assert_eq!(found.version, Version::V1);
    }

    #[test]
    fn elsewhere_it_is_version_2() {
        let mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        let found = Hierarchy::find(mounts).unwrap();
        assert_eq!(
            found,
            Hierarchy {
                mount: "/sys/fs/cgroup".into(),
                version: Version::V2
            }
        );
        assert_eq!(Hierarchy::find("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn version_2_is_asked_for_memory_once() {
        let root = tempfile::tempdir().unwrap();
        let control = root.path().join("cgroup.subtree_control");
        let hierarchy = Hierarchy {
            mount: root.path().into(),
            version: Version::V2,
        };
        fs::write(&control, "cpu pids\n").unwrap();
        hierarchy.delegate(root.path(), "memory").unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "+memory");
        fs::write(&control, "cpu memory\n").unwrap();
        hierarchy.delegate(root.path(), "memory").unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "cpu memory\n");
    }
}
