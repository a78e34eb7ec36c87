//! The OOM ledger in words, the same in every format that people or models read.
//!
//! Reads the ledger; makes text that may hold names of others, so each format still quotes it its own way.

use jiff::Timestamp;

use crate::report::{LedgerLevel, LedgerParts, LedgerProcess, OomLedger};
use crate::words;

/// What a level used of what it may: `64.0 MiB of 64.0 MiB, its limit was hit`.
pub(super) fn used(level: &LedgerLevel) -> String {
    let used = words::bytes(level.usage_bytes);
    let of = match level.limit_bytes {
        Some(limit) => format!("{used} of {}", words::bytes(limit)),
        None => format!("{used}, no limit"),
    };
    of + marks(level)
}

/// What is special about a level.
pub(super) fn marks(level: &LedgerLevel) -> &'static str {
    match (level.hit, level.oom_group) {
        (true, true) => ", its limit was hit, memory.oom.group is set",
        (true, false) => ", its limit was hit",
        (false, true) => ", memory.oom.group is set",
        (false, false) => "",
    }
}

/// What it was made of: `62.0 MiB = anon 60.0 MiB, file 1.0 MiB, kernel 1.0 MiB`.
pub(super) fn parts(parts: &LedgerParts) -> String {
    let named = [
        ("anon", parts.anon_bytes),
        ("file", parts.file_bytes),
        ("shmem", parts.shmem_bytes),
        ("mapped", parts.mapped_bytes),
        ("dirty", parts.dirty_bytes),
        ("kernel", parts.kernel_bytes),
        ("slab", parts.slab_bytes),
        ("sock", parts.sock_bytes),
    ];
    let known = named
        .iter()
        .filter_map(|(name, size)| Some((name, (*size)?)));
    let known: Vec<String> = known
        .map(|(name, size)| format!("{name} {}", words::bytes(size)))
        .collect();
    let all = words::bytes(parts.current_bytes);
    match known.is_empty() {
        true => all,
        false => format!("{all}: {}", known.join(", ")),
    }
}

/// When a number was taken: `0.6 s before the kill`.
pub(super) fn age(ledger: &OomLedger, taken: Timestamp) -> String {
    let early = ledger.killed_at.duration_since(taken);
    let apart = words::duration(early.unsigned_abs());
    match early.signum() {
        1 => format!("{apart} before the kill"),
        -1 => format!("{apart} after the kill"),
        _ => "at the kill".to_owned(),
    }
}

/// A process's share of what the cgroup that ran out used, per cent. `None`: it maps what is charged elsewhere, so that it
/// has more than there was.
pub(super) fn share(ledger: &OomLedger, process: &LedgerProcess) -> Option<u64> {
    let all = ledger.full()?.usage_bytes;
    let share = process.rss_bytes.saturating_mul(100).checked_div(all)?;
    (share <= 100).then_some(share)
}

/// Which part it plays, and when its size was taken.
pub(super) fn part(ledger: &OomLedger, process: &LedgerProcess) -> String {
    let age = age(ledger, process.timestamp);
    match process.victim {
        true => format!("victim, {age}"),
        false => age,
    }
}

/// Processes that are not listed: `12 more, 3.0 MiB together`.
pub(super) fn others(ledger: &OomLedger, listed: usize) -> Option<String> {
    let more = ledger.processes.len().saturating_sub(listed) as u64;
    let count = ledger.others.unwrap_or_default() + more;
    let rss = ledger.others_rss_bytes.filter(|_| more == 0);
    let together = rss.map_or(String::new(), |rss| {
        format!(", {} together as far as they were read", words::bytes(rss))
    });
    (count > 0).then(|| format!("{count} more{together}"))
}

/// The ledger in one sentence: the level that ran out, and its largest processes.
pub(super) fn summary(ledger: &OomLedger) -> Option<String> {
    let full = ledger.full()?;
    let mut text = format!("{} used {}", full.name, used(full));
    if let Some(sample) = &full.parts {
        let age = age(ledger, sample.timestamp);
        text += &format!("; {age} {}", parts(sample));
    }
    for process in ledger.processes.iter().take(3) {
        let (rss, part) = (words::bytes(process.rss_bytes), part(ledger, process));
        text += &format!("; {} (pid {}) {rss} ({part})", process.comm, process.pid);
    }
    Some(text)
}
