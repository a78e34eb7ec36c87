//! What the programs must know of this kernel: field offsets, program variants, and what each hook needs.
//!
//! Reads BTF, makes the frozen globals. A field that a hook cannot do without and this kernel does not have
//! takes that hook out of service, by name; the others go on.

use blackbox_common::offsets::Offsets;

use super::btf::Btf;

/// One kernel hook: a tracepoint and the program for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The tracepoint.
    pub tracepoint: &'static str,
    /// The program chosen for this kernel, or why there is none.
    pub program: Result<&'static str, String>,
}

/// Fields every program reads to name a task.
const TASK: &[&str] = &[
    "task_tgid",
    "task_pid",
    "task_comm",
    "task_start",
    "task_leader",
    "task_parent",
    "task_cgroups",
    "cset_unified",
    "cset_subsys",
    "memory_subsys",
    "css_cgroup",
    "cgroup_kn",
    "kn_id",
];

/// The hooks in the order reports list them, with the fields each cannot do without.
const HOOKS: [(&str, &[&str]); 7] = [
    ("sched_process_exec", &["bprm_filename"]),
    (
        "sched_process_exit",
        &[
            "task_signal",
            "task_exit_code",
            "task_thread_pid",
            "signal_live",
            "signal_flags",
            "signal_group_exit_code",
        ],
    ),
    (
        "signal_generate",
        &[
            "task_sighand",
            "sighand_action",
            "action_handler",
            "action_size",
        ],
    ),
    ("mark_victim", &["task_signal", "task_mm"]),
    ("cgroup_mkdir", &["cgroup_root", "root_hierarchy"]),
    ("cgroup_rmdir", &["cgroup_root", "root_hierarchy"]),
    (
        "sys_exit",
        &[
            "regs_nr",
            "regs_arg0",
            "regs_arg1",
            "regs_arg2",
            "regs_arg3",
        ],
    ),
];

/// Looks every offset up.
#[must_use]
pub fn offsets(btf: &Btf) -> Offsets {
    Offsets::from_paths(|path| btf.offset(path))
}

/// The paths this kernel does not have, of those the programs know how to do without or not.
#[must_use]
pub fn missing(btf: &Btf) -> Vec<(&'static str, &'static str)> {
    Offsets::PATHS
        .iter()
        .filter(|(_, path)| btf.offset(path).is_none())
        .copied()
        .collect()
}

/// Chooses the program for each hook by what the kernel's tracepoints hand over, never by version.
#[must_use]
pub fn hooks(btf: &Btf) -> Vec<Hook> {
    let missing: Vec<&str> = missing(btf).into_iter().map(|(name, _)| name).collect();
    let choose = |(tracepoint, fields): (&'static str, &[&'static str])| {
        let lacking = TASK
            .iter()
            .chain(fields)
            .find(|field| missing.contains(field));
        let program = match (btf.tracepoint(tracepoint), lacking) {
            (None, _) => Err(format!("this kernel has no tracepoint {tracepoint}")),
            (Some(_), Some(field)) => Err(format!("this kernel's BTF has no field for {field}")),
            (Some(arguments), None) => Ok(variant(tracepoint, &arguments)),
        };
        Hook {
            tracepoint,
            program,
        }
    };
    HOOKS.into_iter().map(choose).collect()
}

/// The program for a tracepoint with these arguments.
fn variant(tracepoint: &'static str, arguments: &[Option<String>]) -> &'static str {
    match tracepoint {
        "sched_process_exec" => "process_exec",
        "sched_process_exit" if arguments.len() > 1 => "process_exit_told",
        "sched_process_exit" => "process_exit_live",
        "mark_victim" if arguments.first().is_some_and(Option::is_some) => "mark_victim_task",
        "mark_victim" => "mark_victim_pid",
        other => other,
    }
}
