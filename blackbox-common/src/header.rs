//! What every record begins with: when, on which CPU, which kind, and who it is about.

/// Length of a task's command name, its final NUL included (`TASK_COMM_LEN`, include/linux/sched.h).
pub const COMM_LEN: usize = 16;

/// The kinds of record. The value is the wire value; [`Kind::ALL`] is the one list of them.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`crate::process::ExecRecord`]
    Exec = 0,
    /// [`crate::process::ExitRecord`]
    Exit = 1,
    /// [`crate::signal::SignalRecord`]
    Signal = 2,
    /// [`crate::memory::OomRecord`]
    Oom = 3,
    /// [`crate::cgroup::CgroupRecord`], created
    CgroupMkdir = 4,
    /// [`crate::cgroup::CgroupRecord`], removed
    CgroupRmdir = 5,
    /// [`crate::syscall::SyscallRecord`], the only kind in the BULK ring
    Syscall = 6,
    /// [`crate::crash::CrashRecord`], with or without the stack's bytes
    Crash = 7,
    /// [`crate::tail::LastCallRecord`]
    LastCall = 8,
}

impl Kind {
    /// How many kinds there are; the length of every per-kind table.
    pub const COUNT: usize = 9;
    /// Every kind, in wire order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Exec,
        Self::Exit,
        Self::Signal,
        Self::Oom,
        Self::CgroupMkdir,
        Self::CgroupRmdir,
        Self::Syscall,
        Self::Crash,
        Self::LastCall,
    ];

    /// The kind with this wire value.
    #[must_use]
    pub const fn from_wire(value: u32) -> Option<Self> {
        if (value as usize) < Self::COUNT {
            Some(Self::ALL[value as usize])
        } else {
            None
        }
    }
}

/// One process (thread group), named so that a reused pid cannot be mistaken for it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Id of its cgroup in the hierarchy the daemon watches (the kernfs node id, which is the inode number).
    pub cgroup: u64,
    /// When its leader started, ns of boot time (`task_struct.start_boottime`).
    pub start: u64,
    /// Process id in the initial pid namespace (thread group id).
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// The command name, NUL padded.
    pub comm: [u8; COMM_LEN],
}
const _: () = assert!(size_of::<Task>() == 40);

/// The beginning of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// When it happened, ns of `CLOCK_BOOTTIME`.
    pub at: u64,
    /// Number of this record among those of its kind tried on this CPU, from 1. A jump proves a loss.
    pub seq: u64,
    /// Who it is about.
    pub subject: Task,
    /// A [`Kind`].
    pub kind: u32,
    /// The CPU whose sequence `seq` belongs to.
    pub cpu: u32,
}
const _: () = assert!(size_of::<Header>() == 64);
