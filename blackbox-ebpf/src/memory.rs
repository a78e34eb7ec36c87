//! OOM victims (`mark_victim`): sizes, whose allocation triggered it, and the limits above the victim.
//!
//! Seen order of one kill: `signal_generate` (SIGKILL from the kernel, running in the allocating task), then
//! `mark_victim`, then the exit. Seen on 6.18 too: the exit before `mark_victim`, when the victim runs on another
//! CPU. A victim without that SIGKILL was dying already and is marked `killed: 0`.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use blackbox_common::{
    ABSENT_U64,
    header::{COMM_LEN, Kind, Task as WireTask},
    memory::{ABSENT_SCORE, LEVELS, MemoryLevel, OomRecord},
    offsets::ABSENT,
};

use crate::{
    emit,
    maps::{CONDEMNED, FATAL, Fatal, FatalKey, Sizes, VICTIMS, Victim},
    offsets::{Ptr, Task, offset},
};

const SIGKILL: u32 = 9;

/// Sizes nobody read.
const UNKNOWN: Sizes = Sizes {
    total_vm: ABSENT_U64,
    file: ABSENT_U64,
    anon: ABSENT_U64,
    shmem: ABSENT_U64,
    page_tables: ABSENT_U64,
};

/// Reads a task's sizes, as the kernel's own OOM message does: per-CPU remainders left out.
#[inline(always)]
fn sizes(task: Task) -> Sizes {
    let mm = task.0.follow(offset!(task_mm));
    if mm.is_null() {
        return UNKNOWN;
    }
    // Order of the counters: MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES (linux/mm_types_task.h).
    let (base, step) = if offset!(mm_rss_percpu) != ABSENT {
        (offset!(mm_rss_percpu), offset!(percpu_counter_size))
    } else {
        (offset!(mm_rss_plain), 8)
    };
    Sizes {
        total_vm: read(mm, offset!(mm_total_vm)),
        file: read(mm, base),
        anon: read(mm, base.wrapping_add(step)),
        shmem: read(mm, base.wrapping_add(step.wrapping_mul(3))),
        page_tables: read(mm, offset!(mm_page_tables)),
    }
}

/// A counter that may be briefly negative (then: 0, as the kernel shows it).
#[inline(always)]
fn read(base: Ptr, offset: u32) -> u64 {
    match base.read::<i64>(offset) {
        Some(value) if value > 0 => value as u64,
        Some(_) => 0,
        None => ABSENT_U64,
    }
}

/// What is told of a task as a victim.
#[inline(always)]
pub(crate) fn victim(task: Task) -> Victim {
    let score = task.signal().read::<i16>(offset!(signal_oom_score_adj));
    Victim {
        task: task.wire(),
        sizes: sizes(task),
        memory_css: task.memory_css().0 as u64,
        oom_score_adj: score.map_or(ABSENT_SCORE, i32::from),
        pad: 0,
    }
}

/// Keeps the target of a SIGKILL from the kernel for a `mark_victim` that names only its pid.
#[inline(always)]
pub(crate) fn condemn(task: Task) {
    if let Some(entry) = CONDEMNED.get_ptr_mut(0) {
        // SAFETY: the entry is this CPU's own.
        unsafe { entry.write(victim(task)) };
    }
}

#[btf_tracepoint(function = "mark_victim")]
pub(crate) fn mark_victim_task(ctx: BtfTracePointContext) -> i32 {
    let task: *const u8 = ctx.arg(0);
    tell(&victim(Task(Ptr(task))))
}

/// For kernels that hand over only the thread id. It is that of the running task, or of the target of the
/// SIGKILL just before; of any other the kernel only found that it was dying already, and nothing is known.
#[btf_tracepoint(function = "mark_victim")]
pub(crate) fn mark_victim_pid(ctx: BtfTracePointContext) -> i32 {
    let tid: u32 = ctx.arg(0);
    let current = Task::current();
    if current.tid() == tid {
        return tell(&victim(current));
    }
    if let Some(entry) = CONDEMNED.get_ptr_mut(0) {
        // SAFETY: the entry is this CPU's own.
        let condemned = unsafe { &mut *entry };
        if condemned.task.tid == tid {
            // Once only: a later mark without a signal is of another death.
            condemned.task.tid = 0;
            let mut victim = *condemned;
            victim.task.tid = tid;
            return tell(&victim);
        }
    }
    tell(&Victim {
        task: WireTask {
            cgroup: ABSENT_U64,
            start: 0,
            tgid: tid,
            tid,
            comm: [0; COMM_LEN],
        },
        sizes: UNKNOWN,
        memory_css: 0,
        oom_score_adj: ABSENT_SCORE,
        pad: 0,
    })
}

#[inline(always)]
fn tell(victim: &Victim) -> i32 {
    let task = victim.task;
    if task.start != 0 {
        // A failed insert costs the flag on the exit record; the record below still tells.
        let _ = VICTIMS.insert(&task.tgid, &task.start, 0);
    }
    let Some(mut reserved) = emit::crit::<OomRecord>(Kind::Oom, task) else {
        return 0;
    };
    let record = reserved.record();
    let sizes = &victim.sizes;
    // SAFETY: `record` is the reserved room for a whole `OomRecord`.
    unsafe {
        (&raw mut (*record).allocator).write(Task::current().wire());
        (&raw mut (*record).total_vm_pages).write(sizes.total_vm);
        (&raw mut (*record).file_rss_pages).write(sizes.file);
        (&raw mut (*record).anon_rss_pages).write(sizes.anon);
        (&raw mut (*record).shmem_rss_pages).write(sizes.shmem);
        (&raw mut (*record).page_tables).write(sizes.page_tables);
        (&raw mut (*record).oom_score_adj).write(victim.oom_score_adj);
        (&raw mut (*record).killed).write(u32::from(killed(task)));
        (&raw mut (*record).pad).write(0);
        let css = Ptr(victim.memory_css as *const u8);
        let count = levels(css, &raw mut (*record).levels);
        (&raw mut (*record).level_count).write(count);
    }
    reserved.submit();
    0
}

/// Whether the kernel sent this process SIGKILL.
#[inline(always)]
fn killed(subject: WireTask) -> bool {
    // SAFETY: the entry stays valid while this program runs.
    match unsafe {
        FATAL.get(&FatalKey {
            tgid: subject.tgid,
            sig: SIGKILL,
        })
    } {
        Some(Fatal {
            target_start,
            facts,
            ..
        }) => *target_start == subject.start && facts.code == blackbox_common::signal::SI_KERNEL,
        None => false,
    }
}

/// How often this very memory cgroup ran out.
#[inline(always)]
fn oom_events(memcg: Ptr) -> u64 {
    if offset!(memcg_events) == ABSENT || offset!(memcg_event_oom) == ABSENT {
        return ABSENT_U64;
    }
    let at = offset!(memcg_events).wrapping_add(offset!(memcg_event_oom).wrapping_mul(8));
    memcg.read(at).unwrap_or(ABSENT_U64)
}

/// Walks from a memory cgroup to the root and copies usage and limit of each.
#[inline(always)]
fn levels(mut css: Ptr, out: *mut [MemoryLevel; LEVELS]) -> u32 {
    let mut count = 0;
    for index in 0..LEVELS {
        if css.is_null() {
            break;
        }
        // mem_cgroup begins with its css (memcg_css is 0); the counters lie outside the css's BTF type.
        let memcg = Ptr(css.0.wrapping_sub(offset!(memcg_css) as usize));
        let cgroup = css.read::<*const u8>(offset!(css_cgroup)).map(Ptr);
        let node = cgroup
            .and_then(|cgroup| cgroup.read::<*const u8>(offset!(cgroup_kn)))
            .map(Ptr);
        let level = MemoryLevel {
            cgroup: node
                .and_then(|node| node.read(offset!(kn_id)))
                .unwrap_or(ABSENT_U64),
            usage_pages: memcg.read(offset!(memcg_usage)).unwrap_or(ABSENT_U64),
            limit_pages: memcg.read(offset!(memcg_max)).unwrap_or(ABSENT_U64),
            oom_group: u64::from(memcg.read::<u8>(offset!(memcg_oom_group)).unwrap_or(0)),
            oom_events: oom_events(memcg),
        };
        // SAFETY: `index` is below the array's length, and `out` points into a reserved record.
        unsafe { out.cast::<MemoryLevel>().add(index).write(level) };
        count += 1;
        css = Ptr(css
            .read::<*const u8>(offset!(css_parent))
            .unwrap_or(core::ptr::null()));
    }
    count
}

/// Whether the OOM killer chose this process; forgets it.
#[inline(always)]
pub(crate) fn was_victim(tgid: u32, start: u64) -> bool {
    // SAFETY: the entry stays valid while this program runs.
    let Some(known) = (unsafe { VICTIMS.get(&tgid) }) else {
        return false;
    };
    let same = *known == start;
    // Already gone is as good as removed.
    let _ = VICTIMS.remove(&tgid);
    same
}
