//! Calls that are allowed with some arguments only, and why with these.
//!
//! A filter sees numbers, not what an address points to; of each number the low 32 bits, which is all that the kernel uses of
//! these arguments.

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
    // Non-blocking sockets, and whether standard output is a terminal; and that room which is reserved in a file stays where
    // it is (btrfs).
    let ioctl: [u64; 6] = [
        libc::FIONBIO,
        libc::FIONREAD,
        libc::FIOCLEX,
        libc::TCGETS,
        libc::FS_IOC_GETFLAGS,
        libc::FS_IOC_SETFLAGS,
    ]
    .map(Into::into);
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
/// loaded already are attached by one thread, or put into a map of programs; nobody loads one.
fn bpf(role: Role) -> impl Iterator<Item = u32> {
    const LOOKUP: u32 = 1;
    const UPDATE: u32 = 2;
    const DELETE: u32 = 3;
    const NEXT_KEY: u32 = 4;
    const RAW_TRACEPOINT_OPEN: u32 = 17;
    const LINK_CREATE: u32 = 28;
    let commands: &[u32] = match role {
        Role::Most => &[LOOKUP, UPDATE, DELETE, NEXT_KEY],
        Role::Attach => &[UPDATE, DELETE, RAW_TRACEPOINT_OPEN, LINK_CREATE],
    };
    commands.iter().copied()
}
