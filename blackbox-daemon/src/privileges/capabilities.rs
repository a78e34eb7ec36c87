//! Capabilities of one thread: which it has, and giving them up, the bounding and the ambient set too where the kernel
//! allows.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

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

/// What a thread keeps that attaches programs later on.
pub(super) fn for_attaching() -> CapabilitySet {
    CapabilitySet::BPF | CapabilitySet::PERFMON
}

/// Whether this thread may take another uid and gid.
pub(super) fn may_change_ids() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// What this thread can use now, by number as in `/proc/PID/status`.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn effective() -> std::io::Result<u64> {
    Ok(capabilities(None)?.effective.bits())
}

/// Those in `bits`, as far as this daemon ever has a use for them; others by number.
#[must_use]
pub fn names(bits: u64) -> String {
    let set = CapabilitySet::from_bits_retain(bits);
    let known = NEEDED.iter().filter(|(one, _)| set.contains(*one));
    let mut names: Vec<String> = known.map(|(_, name)| (*name).to_owned()).collect();
    let others = set - for_attaching();
    names.extend((!others.is_empty()).then(|| format!("others ({:#x})", others.bits())));
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(" and "),
    }
}

/// Gives up every capability of this thread and of those it will start.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn drop_all() -> std::io::Result<()> {
    keep_only(CapabilitySet::empty())
}

/// Keeps of this thread's capabilities only these.
pub(super) fn keep_only(wanted: CapabilitySet) -> std::io::Result<()> {
    // Of those it may have: after a change of ids none is effective.
    let kept = capabilities(None)?.permitted & wanted;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

/// Empties the bounding set, so that no program that is executed has any, and the ambient one. Whether the bounding set is
/// empty now: only CAP_SETPCAP may empty it. Without that, `no_new_privs` does what matters.
pub(super) fn empty_bounds() -> std::io::Result<bool> {
    clear_ambient_capability_set()?;
    for number in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(one) {
            // The kernel knows none of that number, and none above.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
            Ok(false) => continue,
            Ok(true) => {}
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}
