//! The filter of system calls: what a thread needs no more, it cannot do (seccomp(2)).
//!
//! Makes programs from the lists in `allowed` and `conditions` and puts them on the calling thread, and so on every thread that this one
//! starts. A call that is not in the list answers EPERM, and is counted by name (`denied`). Where the kernel has no
//! filters, the daemon runs without, and says so.

mod allowed;
mod conditions;
pub mod denied;

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use syscalls::Sysno;

pub use self::conditions::Role;
use self::conditions::{Is, When, sometimes};

/// Why a thread has no filter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the filter cannot be made: {0}")]
    Made(#[from] BackendError),
    #[error("the kernel refused the filter: {0}")]
    Installed(#[from] seccompiler::Error),
    #[error("denied calls cannot be counted: {0}")]
    Handler(#[from] std::io::Error),
}

/// Puts the filter on this thread and on those that it will start; for good. Sets `no_new_privs`.
///
/// # Errors
/// The kernel has no filters, or refuses this one: then the thread has none.
pub fn install(role: Role) -> Result<(), Error> {
    let programs = programs(role)?;
    denied::handle()?;
    for program in &programs {
        seccompiler::apply_filter(program)?;
    }
    Ok(())
}

/// In the order in which they are put on: the second forbids to add more.
fn programs(role: Role) -> Result<[BpfProgram; 2], BackendError> {
    // What clone3 is told lies in memory, where no filter sees it. With this answer the C library uses clone.
    let clone3 = BTreeMap::from([(number(Sysno::clone3), Vec::new())]);
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let unknown = SeccompFilter::new(clone3, SeccompAction::Allow, unknown, architecture()?)?;
    let list = SeccompFilter::new(
        rules(role)?,
        SeccompAction::Trap,
        SeccompAction::Allow,
        architecture()?,
    )?;
    Ok([unknown.try_into()?, list.try_into()?])
}

fn rules(role: Role) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let always = allowed::always().map(|call| (number(call), Vec::new()));
    let mut rules: BTreeMap<_, Vec<_>> = always.collect();
    for (call, when) in sometimes(role) {
        let conditions = when.into_iter().map(condition).collect::<Result<_, _>>()?;
        let rule = SeccompRule::new(conditions)?;
        rules.entry(number(call)).or_default().push(rule);
    }
    Ok(rules)
}

fn condition(When(argument, is): When) -> Result<SeccompCondition, BackendError> {
    let (operator, value) = match is {
        Is::Exactly(value) => (SeccompCmpOp::Eq, value),
        Is::Bits { mask, set } => (SeccompCmpOp::MaskedEq(mask.into()), set),
    };
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())
}

fn architecture() -> Result<TargetArch, BackendError> {
    std::env::consts::ARCH.try_into()
}

fn number(call: Sysno) -> i64 {
    call.id().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_allowed_always_or_sometimes_and_is_listed_once() {
        let always: Vec<Sysno> = allowed::always().collect();
        for (index, call) in always.iter().enumerate() {
            assert!(!always[..index].contains(call), "{call}");
        }
        for role in [Role::Most, Role::Attach] {
            for (call, _) in sometimes(role) {
                assert!(!always.contains(&call), "{call}: no condition would count");
            }
        }
    }

    #[test]
    fn what_must_never_be_allowed() {
        for role in [Role::Most, Role::Attach] {
            let rules = rules(role).unwrap();
            for call in [
                Sysno::execve,
                Sysno::execveat,
                Sysno::ptrace,
                Sysno::process_vm_readv,
                Sysno::process_vm_writev,
                Sysno::kill,
                Sysno::pidfd_open,
                Sysno::mount,
                Sysno::open_tree,
                Sysno::move_mount,
                Sysno::pivot_root,
                Sysno::chroot,
                Sysno::init_module,
                Sysno::finit_module,
                Sysno::kexec_load,
                Sysno::unshare,
                Sysno::setns,
                Sysno::setuid,
                Sysno::setresuid,
                Sysno::capset,
                Sysno::seccomp,
                Sysno::perf_event_open,
                Sysno::io_uring_setup,
                Sysno::userfaultfd,
                Sysno::keyctl,
                Sysno::reboot,
                Sysno::clock_settime,
            ] {
                assert!(!rules.contains_key(&number(call)), "{call}");
            }
        }
    }

    #[test]
    fn programs_are_made() {
        for role in [Role::Most, Role::Attach] {
            let [_, list] = programs(role).unwrap();
            // BPF_MAXINSNS (include/uapi/linux/bpf_common.h).
            assert!(list.len() < 4096, "{}", list.len());
        }
    }
}
