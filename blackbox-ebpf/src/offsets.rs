//! Reading kernel structs without CO-RE: offsets are frozen globals that the daemon fills from the kernel's BTF.
//!
//! Two ways to read. A pointer that the verifier knows as a BTF pointer (an argument of the tracepoint, the
//! current task, and what is reached from them member by member) is loaded directly; faults read as 0. Any
//! other pointer goes through `bpf_probe_read_kernel`. Unsafe lives here, behind [`Ptr`] and [`Task`].

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated::bpf_get_current_task_btf};
use blackbox_common::{
    header::{COMM_LEN, Task as WireTask},
    offsets::{ABSENT, Offsets},
    settings::{Settings, VIA_UNIFIED},
};

#[unsafe(no_mangle)]
pub(crate) static OFFSETS: Offsets = Offsets::NONE;
#[unsafe(no_mangle)]
pub(crate) static SETTINGS: Settings = Settings::ZERO;

/// Reads a field of a frozen global: volatile, because the daemon changes it before the load, after which the
/// verifier sees a constant.
#[inline(always)]
pub(crate) fn frozen<T: Copy>(field: &'static T) -> T {
    // SAFETY: a reference is a valid address to read.
    unsafe { core::ptr::read_volatile(field) }
}

/// The offset of a field.
macro_rules! offset {
    ($field:ident) => {
        $crate::offsets::frozen(&$crate::offsets::OFFSETS.$field)
    };
}
pub(crate) use offset;

/// A setting.
macro_rules! setting {
    ($field:ident) => {
        $crate::offsets::frozen(&$crate::offsets::SETTINGS.$field)
    };
}
pub(crate) use setting;

/// A kernel address of unknown type.
#[derive(Clone, Copy)]
pub(crate) struct Ptr(pub(crate) *const u8);

impl Ptr {
    /// Loads a member directly. Only for pointers the verifier knows by BTF.
    #[inline(always)]
    pub(crate) fn direct<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the verifier checks that the pointer is a BTF pointer and the offset lies in its struct; a
        // fault is handled by the kernel and reads as 0.
        unsafe { core::ptr::read_volatile(self.0.add(offset as usize).cast::<T>()) }
    }

    /// Follows a pointer member directly.
    #[inline(always)]
    pub(crate) fn follow(self, offset: u32) -> Self {
        Self(self.direct::<*const u8>(offset))
    }

    /// Copies a member by helper; `None` when this kernel has no such field or the address is bad.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> Option<T> {
        if offset == ABSENT {
            return None;
        }
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel(self.0.wrapping_add(offset as usize).cast::<T>()) }.ok()
    }

    #[inline(always)]
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }
}

/// A `task_struct` the verifier knows by BTF.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) Ptr);

impl Task {
    /// The task that is running.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: the helper has no preconditions; it returns a BTF pointer to the running task.
        Self(Ptr(unsafe { bpf_get_current_task_btf() }
            .cast_const()
            .cast()))
    }

    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        self.0.direct(offset!(task_tgid))
    }

    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        self.0.direct(offset!(task_pid))
    }

    #[inline(always)]
    pub(crate) fn leader(self) -> Self {
        Self(self.0.follow(offset!(task_leader)))
    }

    #[inline(always)]
    pub(crate) fn parent(self) -> Self {
        Self(self.0.follow(offset!(task_parent)))
    }

    /// Boot time at which its process started, ns.
    #[inline(always)]
    pub(crate) fn start(self) -> u64 {
        self.leader().0.direct(offset!(task_start))
    }

    #[inline(always)]
    pub(crate) fn signal(self) -> Ptr {
        self.0.follow(offset!(task_signal))
    }

    /// The css of its memory controller.
    #[inline(always)]
    pub(crate) fn memory_css(self) -> Ptr {
        let index = offset!(memory_subsys);
        self.0
            .follow(offset!(task_cgroups))
            .follow(offset!(cset_subsys).wrapping_add(index.wrapping_mul(8)))
    }

    /// Its cgroup in the watched hierarchy.
    ///
    /// Not `bpf_get_current_cgroup_id`: that one only knows the unified hierarchy, and only the current task.
    #[inline(always)]
    pub(crate) fn cgroup(self) -> u64 {
        let cgroup = if setting!(cgroup_via) == VIA_UNIFIED {
            self.0
                .follow(offset!(task_cgroups))
                .follow(offset!(cset_unified))
        } else {
            self.memory_css().follow(offset!(css_cgroup))
        };
        cgroup.follow(offset!(cgroup_kn)).direct(offset!(kn_id))
    }

    /// The task as records name it.
    #[inline(always)]
    pub(crate) fn wire(self) -> WireTask {
        WireTask {
            cgroup: self.cgroup(),
            start: self.start(),
            tgid: self.tgid(),
            tid: self.tid(),
            comm: self.comm(),
        }
    }

    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; COMM_LEN] {
        let words: [u64; COMM_LEN / 8] = [
            self.0.direct(offset!(task_comm)),
            self.0.direct(offset!(task_comm) + 8),
        ];
        // SAFETY: two words are sixteen bytes, and any bytes are a `[u8; 16]`.
        unsafe { core::mem::transmute(words) }
    }
}
