//! Control groups created and removed, so that an id has a name before anything runs inside.

use crate::header::Header;

/// Longest cgroup path that is kept; longer ones are cut at the end.
pub const PATH_LEN: usize = 256;

/// A cgroup was created or removed in the watched hierarchy (tracepoints `cgroup_mkdir`, `cgroup_rmdir`).
/// The header's subject is the process that did it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CgroupRecord {
    pub header: Header,
    /// The cgroup's id (kernfs node id = inode number).
    pub id: u64,
    /// Bytes used of `path`.
    pub path_len: u32,
    /// Unused, zero.
    pub pad: u32,
    /// Path below the root of its hierarchy, beginning with `/`; only the first `path_len` bytes mean anything.
    pub path: [u8; PATH_LEN],
}
const _: () = assert!(size_of::<CgroupRecord>() == 336);
