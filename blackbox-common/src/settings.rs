//! What the daemon tells the programs before they are loaded, as one frozen global.

/// Words in the errno mask: bit `e` of it set means "error `e` is ignored".
pub const ERRNO_WORDS: usize = 4;

/// [`Settings::cgroup_via`]: the process's cgroup in the unified (v2) hierarchy.
pub const VIA_UNIFIED: u32 = 0;
/// [`Settings::cgroup_via`]: the cgroup of its memory controller (v1 and hybrid hosts).
pub const VIA_MEMORY: u32 = 1;

/// Settings of the kernel programs.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Errors that are neither recorded nor counted.
    pub errno_ignored: [u64; ERRNO_WORDS],
    /// ns of bucket one recorded system call costs: 1e9 / (records per second and cgroup).
    pub syscall_cost: u64,
    /// ns of bucket that may be saved up: cost × burst.
    pub syscall_burst: u64,
    /// How a process's cgroup is found: `VIA_*`.
    pub cgroup_via: u32,
    /// Id of the watched cgroup hierarchy (`cgroup_root.hierarchy_id`; 0 is the unified one).
    pub hierarchy: u32,
    /// Number of `write` on this machine, …
    pub nr_write: u32,
    /// … and of `writev`.
    pub nr_writev: u32,
    /// 1: last words are kept.
    pub words: u32,
    /// Number of `getsockopt` on this machine.
    pub nr_getsockopt: u32,
    /// Number of `exit_group` on this machine.
    pub nr_exit_group: u32,
    /// Always 0.
    pub pad: u32,
}
const _: () = assert!(size_of::<Settings>() == 80);

impl Settings {
    /// All zero: what the object holds until the daemon fills it in.
    pub const ZERO: Self = Self {
        errno_ignored: [0; ERRNO_WORDS],
        syscall_cost: 0,
        syscall_burst: 0,
        cgroup_via: 0,
        hierarchy: 0,
        nr_write: 0,
        nr_writev: 0,
        words: 0,
        nr_getsockopt: 0,
        nr_exit_group: 0,
        pad: 0,
    };
}
