//! What a report costs after a busy minute: 50,000 failing calls a second for 60 s, through the real recorder, to every
//! format. Prints seconds and the memory that it took beyond what was there before; bounded in size by the same run.
//!
//! Long: `cargo test --release -p blackbox-daemon --test report_cost -- --ignored --nocapture`.

#[path = "support/mod.rs"]
mod support;

use std::fs;

use blackbox_daemon::clock::boot_now;
use blackbox_daemon::record::{CgroupId, Event, FailedCall, Record};
use blackbox_daemon::report::build::build;
use blackbox_daemon::report::format::Format;
use support::{DEMO, OTHER, UNIT, about, config, core, killer, process, signal, wall};

const PER_SECOND: u64 = 50_000;
const SECONDS: u64 = 60;
/// Bytes: what a report may take for a moment.
const MOST: u64 = 96 << 20;

/// One of half a million paths of three cgroups.
fn call(number: u64, cgroup: CgroupId, pid: u32) -> Record {
    let ms = number * 1_000 / PER_SECOND;
    let event = Event::FailedCall(FailedCall {
        nr: 257,
        errno: 2,
        args: [0, number, 0],
        argument: Some(format!("/srv/data/shard-{}/part-{number}", number % 97)),
        compat: false,
    });
    about(process(pid, "worker", cgroup), ms, event)
}

/// `VmRSS` or `VmHWM`, bytes.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("there");
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .expect("there");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .expect("there")
        .parse()
        .expect("there");
    kib << 10
}

/// Runs it; its result, seconds, and the bytes that it took at most.
fn measured<T>(run: impl FnOnce() -> T) -> (T, f64, u64) {
    // clear_refs(5) makes the present size the peak (proc_pid_clear_refs(5)).
    fs::write("/proc/self/clear_refs", "5").expect("there");
    let before = status("VmRSS");
    let started = boot_now();
    let result = run();
    let seconds = boot_now().since(started).as_secs_f64();
    (result, seconds, status("VmHWM").saturating_sub(before))
}

#[test]
#[ignore = "three million records; see the file's head"]
fn a_report_of_a_busy_minute_is_small_and_quick() {
    blackbox_daemon::allocator::keep_little();
    let mut core = core(config());
    let started = boot_now();
    for number in 0..PER_SECOND * SECONDS {
        let (cgroup, pid) = [(DEMO, 100), (OTHER, 200), (UNIT, 300)][(number % 3) as usize];
        let record = call(number, cgroup, pid);
        core.take(&record, record.at, wall());
    }
    let seconds = boot_now().since(started).as_secs_f64();
    eprintln!("{} records taken in {seconds:.2} s", PER_SECOND * SECONDS);
    let end = SECONDS * 1_000;
    let killed = signal(end, killer(), support::SIGKILL, support::SI_USER);
    for record in support::death_by(support::victim(), end, killed) {
        core.take(&record, record.at, wall());
    }
    let later = support::at(end).plus(2 * support::SETTLE);
    let mut cases = core.turn(later, wall(), false);
    let case = cases.pop().expect("a case");

    let (report, seconds, extra) = measured(|| build(&case));
    let calls: u64 = report.failed_calls.iter().map(|calls| calls.count).sum();
    eprintln!(
        "build: {seconds:.3} s, {} KiB more at its peak; {} entries, {calls} of them failed calls",
        extra >> 10,
        report.telemetry.entries().count()
    );
    assert!(calls >= 10_000, "{calls} calls only");
    let mut most = extra;
    for format in Format::ALL {
        let (bytes, seconds, extra) = measured(|| format.render(&report).expect("there"));
        eprintln!(
            "{format}: {seconds:.3} s, {} KiB more at its peak, {} KiB long",
            extra >> 10,
            bytes.len() >> 10
        );
        most = most.max(extra);
    }
    assert!(most < MOST, "{} KiB at its peak", most >> 10);
}
