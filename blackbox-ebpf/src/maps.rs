//! Every map and ring: all the kernel memory BlackBox uses, each with its bound.
//!
//! Sizes marked "set at load" are only defaults; the daemon's configuration decides.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
};
use blackbox_common::{
    daemon::Daemon,
    header::Task as WireTask,
    signal::SignalFacts,
    syscall::{CALLS, SyscallAccount},
    tail::{ARMED_SETS, ArmedSet, STARTED_LEN, Started, TAIL_LEN, TailEntry},
    tally::Tally,
    words::LastWords,
};

/// Rare, decisive records: exec, exit, signal, OOM, cgroup. Bytes; set at load.
#[map]
pub(crate) static CRIT: RingBuf = RingBuf::with_byte_size(16 << 20, 0);

/// Failing system calls. A ring of its own, so that a flood here costs no record there. Bytes; set at load.
#[map]
pub(crate) static BULK: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Exact counts, one set per CPU.
#[map]
pub(crate) static TALLY: PerCpuArray<Tally> = PerCpuArray::with_max_entries(1, 0);

/// The daemon that reads the rings. Written by it.
#[map]
pub(crate) static DAEMON: Array<Daemon> = Array::with_max_entries(1, 0);

/// A fatal signal on its way: which process, which signal.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FatalKey {
    pub(crate) tgid: u32,
    pub(crate) sig: u32,
}

/// The first fatal signal of its number sent to a process, kept until the process dies.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Fatal {
    /// Start of the target, so that a reused pid is not taken for it.
    pub(crate) target_start: u64,
    pub(crate) facts: SignalFacts,
}

/// Sizes of a process: pages, and bytes of page tables.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) total_vm: u64,
    pub(crate) file: u64,
    pub(crate) anon: u64,
    pub(crate) shmem: u64,
    pub(crate) page_tables: u64,
}

/// Fatal signals not yet followed by their death. Least recently used ones go first: what is lost then is the
/// join on the exit record, not the signal's own record.
#[map]
pub(crate) static FATAL: LruHashMap<FatalKey, Fatal> = LruHashMap::with_max_entries(8192, 0);

/// What an OOM record tells of its victim.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Victim {
    pub(crate) task: WireTask,
    pub(crate) sizes: Sizes,
    /// Address of the css of its memory cgroup; 0 when unknown.
    pub(crate) memory_css: u64,
    pub(crate) oom_score_adj: i32,
    pub(crate) pad: u32,
}

/// The target of this CPU's last SIGKILL from the kernel, for kernels whose `mark_victim` hands over only a pid.
/// The OOM killer marks its victim right after the signal, under the victim's `alloc_lock`: on the same CPU.
#[map]
pub(crate) static CONDEMNED: PerCpuArray<Victim> = PerCpuArray::with_max_entries(1, 0);

/// When this CPU last told of a fault that its program handles, ns of boot time.
#[map]
pub(crate) static HANDLED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// OOM victims not yet dead: pid to start.
#[map]
pub(crate) static VICTIMS: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

/// Deaths already told, pid to start, for kernels whose exit tracepoint can fire twice for a last thread.
#[map]
pub(crate) static TOLD: LruHashMap<u32, u64> = LruHashMap::with_max_entries(4096, 0);

/// Failing system calls by cgroup. Not preallocated: a node with few containers pays for few.
/// When it is full, calls of further cgroups are counted as `unaccounted`.
#[map]
pub(crate) static ACCOUNTS: HashMap<u64, SyscallAccount> =
    HashMap::with_max_entries(4096, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// One account of zeros: too large for the stack, and a new entry needs something to copy.
#[map]
pub(crate) static EMPTY_ACCOUNT: Array<SyscallAccount> = Array::with_max_entries(1, 0);

/// Which argument of a call matters, by its number: `ARG_*`. Filled by the daemon.
#[map]
pub(crate) static ARGUMENTS: Array<u32> = Array::with_max_entries(CALLS, 0);

/// Last words by cgroup, of processes in pid namespaces. Not preallocated; set at load. When it is full, what further
/// containers write is counted as `unheard`.
#[map]
pub(crate) static WORDS: HashMap<u64, LastWords> =
    HashMap::with_max_entries(512, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// One entry of zeros, as above.
#[map]
pub(crate) static EMPTY_WORDS: Array<LastWords> = Array::with_max_entries(1, 0);

/// Armed containers. A table of sets and no hash map: every call of the node asks it twice.
#[map]
pub(crate) static ARMED: Array<ArmedSet> = Array::with_max_entries(ARMED_SETS, 0);

/// What `sys_exit` goes on with while a container is armed: `tail_exit`, or nothing.
#[map]
pub(crate) static AFTER_CALL: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The calls of armed containers, `TAIL_LEN` places for each slot. Set at load: slots × `TAIL_LEN`.
#[map]
pub(crate) static TAIL: Array<TailEntry> = Array::with_max_entries(TAIL_LEN, 0);

/// How many calls each slot was given since the daemon started. Set at load: slots.
#[map]
pub(crate) static TAIL_HEADS: Array<u64> = Array::with_max_entries(1, 0);

/// Calls of armed containers that are under way, by the lowest bits of the thread's id.
#[map]
pub(crate) static STARTED: Array<Started> = Array::with_max_entries(STARTED_LEN, 0);

/// How many threads of a process that is ending were told: by pid.
#[map]
pub(crate) static THREADS: LruHashMap<u32, u32> = LruHashMap::with_max_entries(1024, 0);
