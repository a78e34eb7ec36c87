//! What the daemon still needs from the kernel once it has started: each group of calls with why. Those that depend on
//! what they are told are in `conditions`.
//!
//! Found by tracing the daemon with everything switched on (every destination, API with TLS, cluster, reports with stacks,
//! tails) and by reading what it is made of. What is not here answers EPERM, is counted and logged (`denied`): in
//! particular to execute programs, to trace or signal others, to mount, to load modules or kernel programs, namespaces,
//! keys, clocks, other families of sockets.

use syscalls::Sysno;

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

/// Of the allocator, of stacks, and of mapped executables. See also `conditions`: nothing becomes a program that was data.
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

/// API and metrics are served; API server, http destinations and DNS are asked. Which families: `conditions`.
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
