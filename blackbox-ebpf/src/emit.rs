//! From facts to a ring: reserve, fill the header, submit, and count what did not fit.
//!
//! Guarantee: for each kind, `tried = submitted + ring_full` on every CPU, exactly. A program is never run
//! twice at once on one CPU, and each kind belongs to one program, so plain additions suffice.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_boot_ns},
    maps::{RingBuf, ring_buf::RingBufEntry},
};
use blackbox_common::{
    daemon::SILENT_AFTER,
    header::{Header, Kind, Task as WireTask},
    tally::Tally,
};

use crate::maps::{BULK, CRIT, DAEMON, TALLY};

/// BULK wakes its reader once per this many records of a CPU; the reader has a timer besides.
/// Waking for each record costs three times the record (measured, see docs/architecture.md).
const BULK_WAKE_EVERY: u64 = 1024;

/// Now, ns of boot time.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Whether nobody has read the rings for so long that nobody will: then nothing is told, and nothing counted.
#[inline(always)]
pub(crate) fn silent(at: u64) -> bool {
    match DAEMON.get(0) {
        Some(daemon) => at > daemon.alive + SILENT_AFTER,
        None => false,
    }
}

/// Whether a process is the daemon itself.
#[inline(always)]
pub(crate) fn is_daemon(tgid: u32) -> bool {
    DAEMON.get(0).is_some_and(|daemon| daemon.tgid == tgid)
}

/// This CPU's counters.
#[inline(always)]
pub(crate) fn tally() -> Option<&'static mut Tally> {
    // SAFETY: the only reference to this CPU's entry while this program runs; see the module's guarantee.
    TALLY.get_ptr_mut(0).map(|entry| unsafe { &mut *entry })
}

/// A reserved record whose header is filled. Submit it: a dropped one is refused by the verifier.
pub(crate) struct Reserved<T: 'static> {
    entry: RingBufEntry<T>,
    seq: u64,
}

impl<T> Reserved<T> {
    /// Where the record is.
    #[inline(always)]
    pub(crate) fn record(&mut self) -> *mut T {
        self.entry.as_mut_ptr()
    }

    /// Hands a CRIT record over and lets the ring wake its reader.
    #[inline(always)]
    pub(crate) fn submit(self) {
        self.entry.submit(0);
    }

    /// Hands a BULK record over; wakes the reader now and then.
    #[inline(always)]
    pub(crate) fn submit_quietly(self) {
        let wake = self.seq % BULK_WAKE_EVERY == 0;
        self.entry.submit(u64::from(if wake {
            BPF_RB_FORCE_WAKEUP
        } else {
            BPF_RB_NO_WAKEUP
        }));
    }
}

/// Reserves a record in CRIT. `T` must begin with a [`Header`]. `None`: the ring was full; counted.
#[inline(always)]
pub(crate) fn crit<T: 'static>(kind: Kind, subject: WireTask) -> Option<Reserved<T>> {
    reserve(&CRIT, kind, now(), subject)
}

/// Reserves a record in BULK, likewise.
#[inline(always)]
pub(crate) fn bulk<T: 'static>(kind: Kind, at: u64, subject: WireTask) -> Option<Reserved<T>> {
    reserve(&BULK, kind, at, subject)
}

#[inline(always)]
fn reserve<T: 'static>(
    ring: &'static RingBuf,
    kind: Kind,
    at: u64,
    subject: WireTask,
) -> Option<Reserved<T>> {
    if silent(at) {
        return None;
    }
    let tally = tally()?;
    tally.tried[kind as usize] += 1;
    let seq = tally.tried[kind as usize];
    let Some(mut entry) = ring.reserve::<T>(0) else {
        tally.ring_full[kind as usize] += 1;
        return None;
    };
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let header = Header {
        at,
        seq,
        subject,
        kind: kind as u32,
        cpu,
    };
    // SAFETY: every record begins with a header (its `repr(C)` first field).
    unsafe { entry.as_mut_ptr().cast::<Header>().write(header) };
    Some(Reserved { entry, seq })
}
