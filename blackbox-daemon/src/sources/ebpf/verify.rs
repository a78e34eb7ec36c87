//! Has the kernel verify the programs, several at once: the verifier is most of a start, and takes its time with each alone.
//!
//! Reads the loaded object and the kernel's types; makes programs that can be attached, and says of each how that went. Its
//! threads have ended when it returns, so that none keeps a capability.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, available_parallelism, scope};

use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};

use crate::words::chain;

/// Most programs at once. What the verifier remembers of each is memory of this daemon's cgroup.
const MOST: usize = 4;

/// How it went, by program.
pub(super) type Verified = HashMap<&'static str, Result<(), String>>;

/// Loads each of `wanted`, a program with its tracepoint, those that come first first. One that the object does not have is
/// not among the outcomes.
pub(super) fn verify(
    ebpf: &mut Ebpf,
    kernel: &Btf,
    wanted: &[(&'static str, &'static str)],
) -> Verified {
    let found = ebpf.programs_mut().filter_map(|(name, program)| {
        let place = wanted.iter().position(|(wanted, _)| *wanted == name)?;
        let program: &mut BtfTracePoint = program.try_into().ok()?;
        Some((place, program))
    });
    let mut found: Vec<_> = found.collect();
    found.sort_unstable_by_key(|(place, _)| *place);
    let several = available_parallelism().map_or(1, usize::from).min(MOST);
    let (queue, outcomes) = (Mutex::new(found.into_iter()), Mutex::new(Verified::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((place, program)) = next() {
            let Some((name, tracepoint)) = wanted.get(place) else {
                continue;
            };
            let loaded = program.load(tracepoint, kernel);
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.insert(*name, loaded.map_err(|error| chain(&error)));
        }
    };
    scope(|threads| {
        for _ in 1..several {
            if let Err(error) = Builder::new().spawn_scoped(threads, work) {
                tracing::debug!(%error, "fewer programs are verified at once");
            }
        }
        work();
    });
    outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}
