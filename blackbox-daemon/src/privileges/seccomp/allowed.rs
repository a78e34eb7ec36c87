//! What the daemon still needs from the kernel once it has started: each group of calls with why.
//!
//! Found by tracing the daemon with everything switched on (every destination, API with TLS, cluster, reports with stacks,
//! tails) and by reading what it is made of. What is not here answers EPERM, is counted and logged (`denied`): in
//! particular to execute programs, to trace or signal others, to mount, to load modules or kernel programs, namespaces,
//! keys, clocks, other families of sockets.

use syscalls::Sysno;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything but attaching.
    Most,
    /// Attaches programs that are loaded already (`sources/ebpf/switch`).
    Attach,
}

/// Conditions on an argument, by its number.
pub(super) struct When(pub(super) u8, pub(super) Is);

/// What the low 32 bits of an argument have to be.
#[derive(Clone, Copy)]
pub(super) enum Is {
    Exactly(u32),
    /// Among these bits, exactly those.
    Bits {
        mask: u32,
        set: u32,
    },
}

use Is::{Bits, Exactly};

/// Calls that are allowed with any arguments.
pub(super) fn always() -> impl Iterator<Item = Sysno> {
    let groups: [&[Sysno]; 9] = [
        &FILES, &MEMORY, &THREADS, &SIGNALS, &TIME, &WAITING, &SOCKETS, &ABOUT, &OLD,
    ];
    groups.into_iter().flatten().copied()
}

/// Reads /proc, cgroups, logs, executables, keys; writes reports, state and window (also in place, and made durable).
/// `memfd_create`: what is read of an executable is put there for its symbols. `statfs`: whether a disk is full.
const FILES: [Sysno; 40] = [
    Sysno::openat,
    Sysno::openat2,
    Sysno::close,
    Sysno::close_range,
    Sysno::read,
    Sysno::readv,
    Sysno::pread64,
    Sysno::preadv,
    Sysno::preadv2,
    Sysno::write,
    Sysno::writev,
    Sysno::pwrite64,
    Sysno::pwritev,
    Sysno::pwritev2,
    Sysno::lseek,
    Sysno::fstat,
    Sysno::statx,
    Sysno::statfs,
    Sysno::fstatfs,
    Sysno::faccessat,
    Sysno::faccessat2,
    Sysno::readlinkat,
    Sysno::getdents64,
    Sysno::mkdirat,
    Sysno::unlinkat,
    Sysno::renameat,
    Sysno::renameat2,
    Sysno::fchmod,
    Sysno::ftruncate,
    Sysno::fallocate,
    Sysno::fsync,
    Sysno::fdatasync,
    Sysno::sync_file_range,
    Sysno::fadvise64,
    Sysno::flock,
    Sysno::fcntl,
    Sysno::dup,
    Sysno::dup3,
    Sysno::memfd_create,
    Sysno::getcwd,
];

/// Of the allocator, of stacks, and of mapped executables. See also `sometimes`: nothing becomes a program that was data.
const MEMORY: [Sysno; 4] = [Sysno::brk, Sysno::munmap, Sysno::mremap, Sysno::madvise];

/// What starting, naming and ending a thread, and locks between them, are made of. `clone3` has an answer of its own.
const THREADS: [Sysno; 13] = [
    Sysno::clone3,
    Sysno::exit,
    Sysno::exit_group,
    Sysno::futex,
    Sysno::set_robust_list,
    Sysno::set_tid_address,
    Sysno::rseq,
    Sysno::membarrier,
    Sysno::gettid,
    Sysno::getpid,
    Sysno::sched_yield,
    Sysno::sched_getaffinity,
    Sysno::restart_syscall,
];

/// SIGTERM, a full stack, and a broken pipe: handlers of its own.
const SIGNALS: [Sysno; 4] = [
    Sysno::rt_sigaction,
    Sysno::rt_sigprocmask,
    Sysno::rt_sigreturn,
    Sysno::sigaltstack,
];

/// Clocks are read without a call, where the kernel can; sleeping needs one.
const TIME: [Sysno; 5] = [
    Sysno::clock_gettime,
    Sysno::clock_getres,
    Sysno::clock_nanosleep,
    Sysno::nanosleep,
    Sysno::gettimeofday,
];

/// The async runtime, the ring reader, and asking for names (DNS).
const WAITING: [Sysno; 6] = [
    Sysno::epoll_create1,
    Sysno::epoll_ctl,
    Sysno::epoll_pwait,
    Sysno::epoll_pwait2,
    Sysno::eventfd2,
    Sysno::ppoll,
];

/// API and metrics are served; API server, http destinations and DNS are asked. Which families: `sometimes`.
const SOCKETS: [Sysno; 15] = [
    Sysno::bind,
    Sysno::listen,
    Sysno::accept4,
    Sysno::connect,
    Sysno::shutdown,
    Sysno::getsockname,
    Sysno::getpeername,
    Sysno::getsockopt,
    Sysno::setsockopt,
    Sysno::sendto,
    Sysno::recvfrom,
    Sysno::sendmsg,
    Sysno::recvmsg,
    Sysno::sendmmsg,
    Sysno::recvmmsg,
];

/// What it asks about itself and the machine. `getppid`: a call that does nothing, to measure what the tail costs one.
const ABOUT: [Sysno; 10] = [
    Sysno::capget,
    Sysno::getuid,
    Sysno::geteuid,
    Sysno::getgid,
    Sysno::getegid,
    Sysno::getppid,
    Sysno::getrandom,
    Sysno::getrusage,
    Sysno::sysinfo,
    Sysno::uname,
];

/// What the above was called before; x86_64 still has it, and C libraries still use it.
#[cfg(target_arch = "x86_64")]
const OLD: [Sysno; 15] = [
    Sysno::open,
    Sysno::stat,
    Sysno::lstat,
    Sysno::newfstatat,
    Sysno::access,
    Sysno::readlink,
    Sysno::mkdir,
    Sysno::rmdir,
    Sysno::unlink,
    Sysno::rename,
    Sysno::dup2,
    Sysno::poll,
    Sysno::epoll_wait,
    Sysno::accept,
    Sysno::time,
];
#[cfg(target_arch = "aarch64")]
const OLD: [Sysno; 1] = [Sysno::fstatat];

/// Calls that are allowed when all conditions of one line hold.
pub(super) fn sometimes(role: Role) -> Vec<(Sysno, Vec<When>)> {
    let mut lines = Vec::new();
    // A thread of this process: in no new namespace, and never a process. (clone(2); the low byte is a signal.)
    let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u32;
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    let mask = thread | namespaces as u32;
    lines.push((Sysno::clone, vec![When(0, Bits { mask, set: thread })]));
    lines.extend(mappings());
    lines.extend(sockets());
    lines.extend(bpf(role).map(|command| (Sysno::bpf, vec![When(0, Exactly(command))])));
    // The name of a thread, of a mapping (the C library's), and what rustix asks of the auxiliary vector.
    let prctl = [
        libc::PR_SET_NAME,
        libc::PR_GET_NAME,
        libc::PR_SET_VMA,
        PR_GET_AUXV,
    ];
    lines.extend(prctl.map(|what| (Sysno::prctl, vec![When(0, Exactly(what as u32))])));
    // Non-blocking sockets, and whether standard output is a terminal.
    let ioctl = [libc::FIONBIO, libc::FIONREAD, libc::FIOCLEX, libc::TCGETS];
    lines.extend(ioctl.map(|what| (Sysno::ioctl, vec![When(1, Exactly(what as u32))])));
    // A limit is read; where it is 0, the third argument sets none.
    lines.push((
        Sysno::prlimit64,
        vec![When(0, Exactly(0)), When(2, Exactly(0))],
    ));
    // Its own end, when it has gone wrong.
    let own = std::process::id();
    lines.push((Sysno::tgkill, vec![When(0, Exactly(own))]));
    lines
}

/// `include/uapi/linux/prctl.h`, since 6.4.
const PR_GET_AUXV: libc::c_int = 0x4155_5856;

/// Memory, but none that is written and then executed. Files are mapped as programs where the C library loads a part of
/// itself (names of hosts).
fn mappings() -> [(Sysno, Vec<When>); 3] {
    let (write, execute) = (libc::PROT_WRITE as u32, libc::PROT_EXEC as u32);
    let data = || {
        When(
            2,
            Bits {
                mask: execute,
                set: 0,
            },
        )
    };
    let program = When(
        2,
        Bits {
            mask: write | execute,
            set: execute,
        },
    );
    let of_a_file = When(
        3,
        Bits {
            mask: libc::MAP_ANONYMOUS as u32,
            set: 0,
        },
    );
    [
        (Sysno::mmap, vec![data()]),
        (Sysno::mmap, vec![program, of_a_file]),
        (Sysno::mprotect, vec![data()]),
    ]
}

/// TCP and UDP, the C library's own (a name service at a socket, the list of interfaces), and the runtime's pair for signals.
fn sockets() -> Vec<(Sysno, Vec<When>)> {
    let kind = |kind: libc::c_int| {
        When(
            1,
            Bits {
                mask: 0xf,
                set: kind as u32,
            },
        )
    };
    let mut lines = Vec::new();
    for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
        for of in [libc::SOCK_STREAM, libc::SOCK_DGRAM] {
            lines.push((
                Sysno::socket,
                vec![When(0, Exactly(family as u32)), kind(of)],
            ));
        }
    }
    let (netlink, route) = (libc::AF_NETLINK as u32, libc::NETLINK_ROUTE as u32);
    lines.push((
        Sysno::socket,
        vec![When(0, Exactly(netlink)), When(2, Exactly(route))],
    ));
    lines.push((
        Sysno::socketpair,
        vec![When(0, Exactly(libc::AF_UNIX as u32))],
    ));
    lines
}

/// The commands of bpf(2) (`enum bpf_cmd`, `include/uapi/linux/bpf.h`): maps are read and written by all, programs that are
/// loaded already are attached by one thread; nobody loads one.
fn bpf(role: Role) -> impl Iterator<Item = u32> {
    const LOOKUP: u32 = 1;
    const UPDATE: u32 = 2;
    const DELETE: u32 = 3;
    const NEXT_KEY: u32 = 4;
    const RAW_TRACEPOINT_OPEN: u32 = 17;
    const LINK_CREATE: u32 = 28;
    let commands: &[u32] = match role {
        Role::Most => &[LOOKUP, UPDATE, DELETE, NEXT_KEY],
        Role::Attach => &[RAW_TRACEPOINT_OPEN, LINK_CREATE],
    };
    commands.iter().copied()
}
