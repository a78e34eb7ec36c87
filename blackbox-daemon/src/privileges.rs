//! Capabilities: which the process has, and giving all of them up once the kernel programs run.
//!
//! Must run before the async runtime starts: capabilities belong to a thread, and threads inherit them. One thread, started
//! before, keeps what attaching needs (`sources/ebpf/switch`).

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What loading and attaching needs (kernels 5.8 and later; before, CAP_SYS_ADMIN covers both).
const NEEDED: [(CapabilitySet, &str); 2] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
];

/// Names of the capabilities that loading needs and this thread does not have.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    match capabilities(None) {
        Ok(sets) if sets.effective.contains(CapabilitySet::SYS_ADMIN) => Vec::new(),
        Ok(sets) => NEEDED
            .into_iter()
            .filter_map(|(needed, name)| (!sets.effective.contains(needed)).then_some(name))
            .collect(),
        Err(_) => NEEDED.map(|(_, name)| name).to_vec(),
    }
}

/// Keeps of this thread's capabilities only those that attaching needs.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn keep_needed() -> std::io::Result<()> {
    let had = capabilities(None)?;
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let kept = had.effective & needed;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Gives up every capability of this thread and of those it will start.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn drop_all() -> std::io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    Ok(set_capabilities(None, sets)?)
}
