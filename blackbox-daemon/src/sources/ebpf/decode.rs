//! From ring bytes to records. Reads the contract structs, makes [`Record`]s; sentinels become `None`.
//!
//! Guarantee: no input panics. What does not decode is `None`, and the caller counts it.

use blackbox_common::{
    ABSENT_U64,
    cgroup::CgroupRecord,
    crash::{CRASH_HANDLED, CrashRecord, FatalCrashRecord, PLACE_IN_FILE},
    header::{Header, Kind, Task},
    memory::{ABSENT_SCORE, OomRecord},
    process::{EXIT_KILLER_KNOWN, EXIT_OOM_VICTIM, ExecRecord, ExitRecord},
    signal::{EFFECT_FATAL, EFFECT_IGNORED, SignalFacts, SignalRecord},
    syscall::{SYSCALL_COMPAT, SyscallArgRecord, SyscallRecord},
    tail::{LastCallRecord, NO_CALL, TAIL_COMPAT},
};

use super::{argument, wire};
use crate::record::{
    BootTime, CgroupId, Class, Comm, CrashStack, Event, Exec, Exit, FailedCall, FilePlace,
    LastCall, MemoryLevel, Oom, Process, ProcessKey, RawFrame, Record, Registers, Signal,
    SignalSent, Subject, WaitStatus,
};

/// Limits at or above this are the kernel's "no limit": `PAGE_COUNTER_MAX` is `LONG_MAX / PAGE_SIZE` pages
/// (include/linux/page_counter.h).
const NO_LIMIT_BYTES: u64 = (i64::MAX as u64) & !0xffff;

/// The class under which a kernel kind is counted.
#[must_use]
pub fn class(kind: Kind) -> Class {
    match kind {
        Kind::Exec => Class::Exec,
        Kind::Exit => Class::Exit,
        Kind::Signal => Class::Signal,
        Kind::Oom => Class::Oom,
        Kind::CgroupMkdir | Kind::CgroupRmdir => Class::CgroupLifecycle,
        Kind::Syscall => Class::FailedCall,
        Kind::Crash => Class::CrashStack,
        Kind::LastCall => Class::LastCall,
    }
}

/// A decoded ring entry with its place in its CPU's sequence.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub kind: Kind,
    pub cpu: u32,
    pub seq: u64,
    pub record: Record,
}

/// Decodes one ring entry; `page` is the kernel's page size in bytes. `None`: not a record of this contract.
#[must_use]
pub fn decode(bytes: &[u8], page: u64) -> Option<Decoded> {
    let header: Header = wire::read(bytes)?;
    let kind = Kind::from_wire(header.kind)?;
    let mut subject = Subject::Process(process(&header.subject));
    let event = match kind {
        Kind::Exec => exec(&wire::read(bytes)?)?,
        Kind::Exit => exit(&wire::read(bytes)?, page),
        Kind::Signal => {
            let record: SignalRecord = wire::read(bytes)?;
            let signal = signal(&record.facts);
            Event::Signal(SignalSent {
                signal,
                fatal: record.effect == EFFECT_FATAL,
                ignored: record.effect == EFFECT_IGNORED,
            })
        }
        Kind::Oom => oom(&wire::read(bytes)?, page)?,
        Kind::CgroupMkdir | Kind::CgroupRmdir => {
            let record: CgroupRecord = wire::read(bytes)?;
            subject = Subject::Cgroup(CgroupId(record.id));
            let path = text(&record.path, record.path_len)?;
            match kind {
                Kind::CgroupMkdir => Event::CgroupCreated { path },
                _ => Event::CgroupRemoved { path },
            }
        }
        Kind::Syscall => failed_call(bytes)?,
        Kind::Crash => crash(bytes)?,
        Kind::LastCall => last_call(&wire::read(bytes)?),
    };
    let record = Record {
        at: BootTime(header.at),
        subject,
        event,
    };
    Some(Decoded {
        kind,
        cpu: header.cpu,
        seq: header.seq,
        record,
    })
}

fn process(task: &Task) -> Process {
    Process {
        key: ProcessKey {
            tgid: task.tgid,
            start: BootTime(task.start),
        },
        tid: task.tid,
        comm: Comm::new(task.comm),
        cgroup: CgroupId(task.cgroup),
    }
}

fn known(value: u64) -> Option<u64> {
    (value != ABSENT_U64).then_some(value)
}

fn text(bytes: &[u8], len: u32) -> Option<String> {
    bytes
        .get(..len as usize)
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn signal(facts: &SignalFacts) -> Signal {
    Signal {
        at: BootTime(facts.at),
        sender: process(&facts.sender),
        number: facts.sig,
        code: facts.code,
        fault_addr: known(facts.fault_addr),
        ip: known(facts.ip),
        sp: known(facts.sp),
        error_code: (facts.error_code != u32::MAX).then_some(facts.error_code),
    }
}

fn exec(record: &ExecRecord) -> Option<Event> {
    let exe = text(&record.exe, record.exe_len)?;
    Some(Event::Exec(Exec {
        parent: process(&record.parent),
        exe,
    }))
}

fn exit(record: &ExitRecord, page: u64) -> Event {
    let killer = (record.flags & EXIT_KILLER_KNOWN != 0).then(|| signal(&record.killer));
    Event::Exit(Exit {
        parent: process(&record.parent),
        status: WaitStatus(record.status),
        killer,
        oom_victim: record.flags & EXIT_OOM_VICTIM != 0,
        ns_pid: record.ns_pid,
        ns_level: record.ns_level,
        peak_rss: known(record.peak_rss_pages).map(|pages| pages.saturating_mul(page)),
    })
}

fn oom(record: &OomRecord, page: u64) -> Option<Event> {
    let bytes = |pages: u64| known(pages).map(|pages| pages.saturating_mul(page));
    let levels = record.levels.get(..record.level_count as usize)?;
    let levels = levels
        .iter()
        .filter_map(|level| {
            Some(MemoryLevel {
                cgroup: CgroupId(known(level.cgroup)?),
                usage: bytes(level.usage_pages)?,
                limit: bytes(level.limit_pages).filter(|limit| *limit < NO_LIMIT_BYTES),
                oom_group: level.oom_group != 0,
                oom_events: known(level.oom_events),
            })
        })
        .collect();
    Some(Event::Oom(Oom {
        allocator: process(&record.allocator),
        killed: record.killed != 0,
        total_vm: bytes(record.total_vm_pages),
        anon_rss: bytes(record.anon_rss_pages),
        file_rss: bytes(record.file_rss_pages),
        shmem_rss: bytes(record.shmem_rss_pages),
        page_tables: known(record.page_tables),
        oom_score_adj: (record.oom_score_adj != ABSENT_SCORE).then_some(record.oom_score_adj),
        levels,
    }))
}

fn failed_call(bytes: &[u8]) -> Option<Event> {
    let record: SyscallRecord = wire::read(bytes)?;
    // Longer records tell what the argument that matters points to.
    let argument = wire::read::<SyscallArgRecord>(bytes).and_then(|record| {
        let told = record.arg.get(..record.len as usize)?;
        argument::text(record.kind, told)
    });
    Some(Event::FailedCall(FailedCall {
        nr: record.nr,
        errno: record.errno,
        args: record.args,
        argument,
        compat: record.flags & SYSCALL_COMPAT != 0,
    }))
}

fn last_call(record: &LastCallRecord) -> Event {
    Event::LastCall(LastCall {
        nr: (record.nr != NO_CALL).then_some(record.nr),
        args: record.args,
        ret: record.ret,
        since: known(record.since).map(BootTime),
        compat: record.flags & TAIL_COMPAT != 0,
    })
}

fn crash(bytes: &[u8]) -> Option<Event> {
    let record: CrashRecord = wire::read(bytes)?;
    // A fatal one has the stack's bytes behind it.
    let stack = wire::read::<FatalCrashRecord>(bytes).and_then(|fatal| {
        fatal
            .stack
            .get(..fatal.stack_len as usize)
            .map(<[u8]>::to_vec)
    });
    let [ip, sp, fp, kept @ ..] = record.registers.map(known);
    let ips = record.ips.get(..record.ip_count as usize)?;
    let places = record.places.get(..record.place_count as usize)?;
    let frame = |(index, ip): (usize, &u64)| RawFrame {
        ip: *ip,
        file: places
            .get(index)
            .filter(|place| place.status == PLACE_IN_FILE)
            .map(|place| FilePlace {
                build_id: place.build_id,
                offset: place.offset,
            }),
    };
    Some(Event::CrashStack(Box::new(CrashStack {
        at: BootTime(record.header.at),
        signal: record.sig,
        handled: record.flags & CRASH_HANDLED != 0,
        registers: Registers { ip, sp, fp, kept },
        start_code: known(record.start_code),
        frames: ips.iter().enumerate().map(frame).collect(),
        stack: stack.unwrap_or_default(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_none_and_never_a_panic() {
        for len in 0..=420 {
            for fill in [0x00, 0x01, 0x7f, 0xff] {
                let bytes = vec![fill; len];
                let decoded = decode(&bytes, 4096);
                if fill == 0xff || len < size_of::<Header>() {
                    assert!(decoded.is_none());
                }
            }
        }
    }
}
