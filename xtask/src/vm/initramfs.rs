//! What the machine boots into: busybox, the built programs, and the libraries they need.
//!
//! A folder is laid out and packed by busybox's `cpio`; the kernel unpacks it into memory. Programs are stripped: it
//! all has to fit twice.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::kernel::Kernel;
use crate::exec;

/// What the kernel starts: mounts what a node has, starts our program, and switches the machine off whatever happens.
const INIT: &str = "\
#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o size=75% tmpfs /run
hostname \"$BLACKBOX_VM_NODE\"
ip link set lo up
for module in /modules/*.ko; do [ -e \"$module\" ] && insmod \"$module\"; done
if [ -e /dev/vda ]; then mount -t ext4 /dev/vda /disk; fi
if [ -e /sys/class/net/eth0 ]; then
  ip link set eth0 up
  ip address add 10.0.2.15/24 dev eth0
  ip route add default via 10.0.2.2
fi
/bin/xtask vm --guest
poweroff -f
";

/// What busybox's `sh` finds on its way.
const FOLDERS: [&str; 10] = [
    "bin",
    "dev",
    "disk",
    "etc",
    "modules",
    "proc",
    "run",
    "sys/fs/cgroup",
    "tmp",
    "var/log",
];
const APPLETS: [&str; 11] = [
    "cat", "hostname", "insmod", "ip", "mount", "poweroff", "sh", "sleep", "tar", "unshare", "[",
];

/// In the order in which they can be inserted; they are numbered so.
const PORTS: [&str; 7] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/char/virtio_console.ko",
    "drivers/block/virtio_blk.ko",
];
const NETWORK: [&str; 3] = [
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
];

/// What goes into the machine.
pub(super) struct Contents<'a> {
    pub(super) kernel: &'a Kernel,
    /// Programs that are found in `/bin` of the machine.
    pub(super) programs: Vec<PathBuf>,
    /// Other files, and where they lie in the machine.
    pub(super) files: Vec<(PathBuf, PathBuf)>,
    /// Whether it has a network card.
    pub(super) network: bool,
}

impl Contents<'_> {
    /// Packs everything into `archive`, with `work` as the folder to lay it out in.
    ///
    /// # Errors
    /// A program or a module is missing, or a tool fails.
    pub(super) fn pack(&self, work: &Path, archive: &Path) -> Result<()> {
        for folder in FOLDERS {
            fs::create_dir_all(work.join(folder))?;
        }
        fs::copy("/bin/busybox", work.join("bin/busybox")).context("/bin/busybox")?;
        for applet in APPLETS {
            std::os::unix::fs::symlink("busybox", work.join("bin").join(applet))?;
        }
        let init = work.join("init");
        fs::write(&init, INIT)?;
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
        for program in &self.programs {
            let name = program.file_name().context("a program has a name")?;
            let to = work.join("bin").join(name);
            exec::run(Command::new("strip").arg("-o").arg(&to).arg(program))?;
        }
        for library in libraries(&self.programs)? {
            put(&library, work, &library)?;
        }
        for (from, to) in &self.files {
            put(from, work, to)?;
        }
        let network = NETWORK.iter().filter(|_| self.network);
        for (number, module) in PORTS.iter().chain(network).enumerate() {
            let to = work.join(format!("modules/{number}.ko"));
            unpack(&self.kernel.modules, Path::new(module), &to)?;
        }
        let mut command = Command::new("sh");
        command
            .args(["-c", "find . | busybox cpio -o -H newc"])
            .current_dir(work)
            .stdout(File::create(archive)?)
            .stderr(Stdio::null());
        exec::run(&mut command)
    }
}

/// Copies a module, which some kernels have compressed, and others built in.
fn unpack(modules: &Path, module: &Path, to: &Path) -> Result<()> {
    let module = Path::new("kernel").join(module);
    let plain = modules.join(&module);
    let compressed = plain.with_extension("ko.xz");
    if plain.is_file() {
        fs::copy(&plain, to).with_context(|| plain.display().to_string())?;
    } else if compressed.is_file() {
        let mut command = Command::new("busybox");
        command.arg("xzcat").arg(compressed);
        exec::run(command.stdout(File::create(to)?))?;
    } else {
        let list = modules.join("modules.builtin");
        let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
        let built_in = list.lines().any(|line| Path::new(line) == module);
        ensure!(built_in, "{} is missing", plain.display());
    }
    Ok(())
}

/// Copies the file `from`, or what it links to, to `to` in `work`.
fn put(from: &Path, work: &Path, to: &Path) -> Result<()> {
    let to = work.join(to.strip_prefix("/").unwrap_or(to));
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

/// The shared libraries of `programs`, with the loader.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    for program in programs {
        let text = exec::read(
            Command::new("ldd")
                .arg(program)
                .env_remove("LD_LIBRARY_PATH"),
        )?;
        all.extend(paths(&text));
    }
    Ok(all)
}

/// The paths in what `ldd` says.
fn paths(text: &str) -> impl Iterator<Item = PathBuf> {
    text.lines().filter_map(|line| {
        let (name, _address) = line.trim().rsplit_once(" (")?;
        let path = name.rsplit(" => ").next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found() {
        let text = "\tlinux-vdso.so.1 (0x00007f98)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f98)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f98)\n\
                    \tstatically linked\n";
        let found: Vec<PathBuf> = paths(text).collect();
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}
