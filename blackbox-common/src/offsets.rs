//! Where the running kernel keeps its fields: filled from its BTF by the daemon, frozen before load.

/// The value of an offset whose field this kernel does not have. Programs branch on it, and the verifier
/// prunes the dead branch, so that one object serves every kernel.
pub const ABSENT: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident = $path:literal,)*) => {
        /// Byte offsets of kernel fields. Each is documented by the path it is looked up by.
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct Offsets { $(#[doc = concat!("`", $path, "`")] $(#[$doc])* pub $name: u32,)* }

        impl Offsets {
            /// What the object holds until the daemon fills it in.
            pub const NONE: Self = Self { $($name: ABSENT,)* };
            /// Each field with its path, `struct.member.member`, in declaration order.
            pub const PATHS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), $path),)*];

            /// Builds the table by asking `find` for each path.
            #[must_use]
            pub fn from_paths(mut find: impl FnMut(&'static str) -> Option<u32>) -> Self {
                Self { $($name: match find($path) { Some(offset) => offset, None => ABSENT },)* }
            }
        }
    };
}

offsets! {
    task_tgid = "task_struct.tgid",
    task_pid = "task_struct.pid",
    task_comm = "task_struct.comm",
    task_start = "task_struct.start_boottime",
    task_leader = "task_struct.group_leader",
    task_parent = "task_struct.real_parent",
    task_signal = "task_struct.signal",
    task_sighand = "task_struct.sighand",
    task_mm = "task_struct.mm",
    task_cgroups = "task_struct.cgroups",
    task_exit_code = "task_struct.exit_code",
    task_thread_pid = "task_struct.thread_pid",
    /// x86 only.
    task_error_code = "task_struct.thread.error_code",
    /// x86 only: holds `TS_COMPAT` (0x2) during a 32-bit call.
    task_status = "task_struct.thread_info.status",
    signal_live = "signal_struct.live",
    signal_flags = "signal_struct.flags",
    signal_group_exit_code = "signal_struct.group_exit_code",
    signal_maxrss = "signal_struct.maxrss",
    signal_oom_score_adj = "signal_struct.oom_score_adj",
    sighand_action = "sighand_struct.action",
    action_handler = "k_sigaction.sa.sa_handler",
    action_size = "sizeof k_sigaction",
    cset_unified = "css_set.dfl_cgrp",
    cset_subsys = "css_set.subsys",
    /// The index of the memory controller in `css_set.subsys`.
    memory_subsys = "enum cgroup_subsys_id.memory_cgrp_id",
    css_cgroup = "cgroup_subsys_state.cgroup",
    css_parent = "cgroup_subsys_state.parent",
    cgroup_kn = "cgroup.kn",
    cgroup_root = "cgroup.root",
    kn_id = "kernfs_node.id",
    root_hierarchy = "cgroup_root.hierarchy_id",
    memcg_css = "mem_cgroup.css",
    memcg_usage = "mem_cgroup.memory.usage",
    memcg_max = "mem_cgroup.memory.max",
    memcg_oom_group = "mem_cgroup.oom_group",
    memcg_events = "mem_cgroup.memory_events_local",
    /// The index of "ran out" in these events.
    memcg_event_oom = "enum memcg_memory_event.MEMCG_OOM",
    mm_total_vm = "mm_struct.total_vm",
    mm_page_tables = "mm_struct.pgtables_bytes",
    /// Since 6.2 an array of per-CPU counters: the offset of the first one's shared count …
    mm_rss_percpu = "mm_struct.rss_stat[].count",
    /// … and the distance to the next.
    percpu_counter_size = "sizeof percpu_counter",
    /// Up to 6.1 a struct of plain counters, 8 bytes apart.
    mm_rss_plain = "mm_struct.rss_stat.count[]",
    info_code = "kernel_siginfo.si_code",
    info_addr = "kernel_siginfo._sifields._sigfault._addr",
    bprm_filename = "linux_binprm.filename",
    pid_level = "pid.level",
    pid_numbers = "pid.numbers",
    upid_nr = "upid.nr",
    upid_size = "sizeof upid",
    /// The number of the system call: `orig_ax` on x86, `syscallno` on arm64.
    regs_nr = "pt_regs.orig_ax|syscallno",
    regs_arg0 = "pt_regs.di|orig_x0",
    regs_arg1 = "pt_regs.si|regs[1]",
    regs_arg2 = "pt_regs.dx|regs[2]",
    regs_arg3 = "pt_regs.r10|regs[3]",
    /// What the call returned.
    regs_ret = "pt_regs.ax|regs[0]",
    regs_sp = "pt_regs.sp",
    regs_ip = "pt_regs.ip|pc",
    /// The frame pointer, then what functions must keep: x86 `rbx`, `r12`–`r15`; arm64 the link register.
    regs_fp = "pt_regs.bp|regs[29]",
    regs_kept0 = "pt_regs.bx|regs[30]",
    regs_kept1 = "pt_regs.r12",
    regs_kept2 = "pt_regs.r13",
    regs_kept3 = "pt_regs.r14",
    regs_kept4 = "pt_regs.r15",
    mm_start_code = "mm_struct.start_code",
}
const _: () = assert!(size_of::<Offsets>() == 4 * Offsets::PATHS.len());
