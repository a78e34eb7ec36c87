//! The stage: a cgroup with a limit, and the built daemon. What the demo and the daemon's root tests play deaths on.
//!
//! Touches only cgroups it made and processes it started.

mod cgroup;
mod cpu;
mod daemon;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

pub use cgroup::Cgroup;
pub use cpu::CpuLimit;
pub use daemon::{Daemon, DaemonOptions};

const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Bits of `CapEff`, from `linux/capability.h`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Checks that kernel programs can be loaded and memory limits set: root, capabilities, BTF, bpf(2), a memory cgroup.
///
/// # Errors
/// The first of these that is missing, with what to do.
pub fn require_kernel() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "not root: try `sudo --preserve-env env PATH=\"$PATH\" cargo xtask …`"
    );
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    ensure!(
        may_load(&status),
        "root lacks CAP_BPF and CAP_PERFMON: a container needs them added, or --privileged"
    );
    ensure!(
        Path::new(BTF).is_file(),
        "this kernel has no BTF: {BTF} is missing"
    );
    try_bpf()?;
    cgroup::Hierarchy::of_this_machine()?;
    Ok(())
}

/// Whether the capabilities in the text of `/proc/PID/status` load and attach programs.
fn may_load(status: &str) -> bool {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let has = |capability: u32| effective & (1 << capability) != 0;
    has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))
}

/// Makes a hash map of one entry and closes it: seccomp or lockdown may refuse bpf(2) even to root.
#[expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]
fn try_bpf() -> Result<()> {
    const BPF_MAP_CREATE: libc::c_int = 0;
    const BPF_MAP_TYPE_HASH: u32 = 1;
    /// The head of `union bpf_attr` (linux/bpf.h): map_type, key_size, value_size, max_entries, map_flags.
    const ATTRIBUTES: [u32; 5] = [BPF_MAP_TYPE_HASH, 4, 4, 1, 0];

    // SAFETY: the kernel reads `size_of(ATTRIBUTES)` bytes from the pointer and writes none.
    let map = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_CREATE,
            ATTRIBUTES.as_ptr(),
            size_of_val(&ATTRIBUTES),
        )
    };
    if map < 0 {
        bail!("bpf(2) is refused: {}", std::io::Error::last_os_error());
    }
    let map = libc::c_int::try_from(map).context("bpf(2) gave no descriptor")?;
    // SAFETY: the descriptor is new and nobody else has it.
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(map) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_mask() {
        assert!(may_load("Name:\tx\nCapEff:\t000001fffeffffff\n"));
        assert!(may_load("CapEff:\t000000c000000000\n"));
        assert!(!may_load("CapEff:\t00000000a80425fb\n"));
        assert!(!may_load("Name:\tx\n"));
    }
}
