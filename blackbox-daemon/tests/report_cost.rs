//! What a report costs after a busy minute: 50,000 failing calls a second for 60 s, through the real recorder, to every
//! format, to a bundle, and through the reporter to a directory. Prints seconds and the memory that each took beyond what was
//! there before. The same with a minute a sixth as busy, of which as much is in the report: the memory must be the same.
//!
//! Long: `cargo test --release -p blackbox-daemon --test report_cost -- --ignored --nocapture`.

#[path = "support/mod.rs"]
mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blackbox_daemon::bundle;
use blackbox_daemon::clock::boot_now;
use blackbox_daemon::destinations::{DestinationConfig, Destinations, file};
use blackbox_daemon::durability::Durability;
use blackbox_daemon::record::{CgroupId, Event, FailedCall, Record};
use blackbox_daemon::report::build::build;
use blackbox_daemon::report::case::Case;
use blackbox_daemon::report::format::{Format, Options};
use blackbox_daemon::reporter::{self, Aids, Told};
use support::{DEMO, OTHER, UNIT, about, config, core, killer, process, signal, wall};
use tokio::sync::mpsc;

/// Failing calls in a minute, of three cgroups.
const FEW: u64 = 500_000;
const MANY: u64 = 3_000_000;
const SECONDS: u64 = 60;
/// Bytes: what a report may take for a moment, whatever was recorded.
const MOST: u64 = 16 << 20;
/// Bytes by which two measures of the same may differ: the lists of segments, and what an allocator keeps.
const NOISE: u64 = 4 << 20;

/// Each has a path of its own.
fn call(number: u64, of: u64) -> Record {
    let (cgroup, pid): (CgroupId, u32) =
        [(DEMO, 100), (OTHER, 200), (UNIT, 300)][(number % 3) as usize];
    let event = Event::FailedCall(FailedCall {
        nr: 257,
        errno: 2,
        args: [0, number, 0],
        argument: Some(format!("/srv/data/shard-{}/part-{number:08}", number % 97)),
        compat: false,
    });
    let ms = number * SECONDS * 1_000 / of;
    about(process(pid, "worker", cgroup), ms, event)
}

/// A process that is killed after such a minute. The window has room for all of it.
fn case(calls: u64) -> Case {
    let mut config = config();
    config.storage.bulk_bytes = 1 << 30;
    let mut core = core(config);
    for number in 0..calls {
        let record = call(number, calls);
        core.take(&record, record.at, wall());
    }
    let end = SECONDS * 1_000;
    let killed = signal(end, killer(), support::SIGKILL, support::SI_USER);
    for record in support::death_by(support::victim(), end, killed) {
        core.take(&record, record.at, wall());
    }
    let later = support::at(end).plus(2 * support::SETTLE);
    core.turn(later, wall(), false).pop().expect("a case")
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

/// What one step cost.
struct Cost {
    step: &'static str,
    seconds: f64,
    /// Bytes that it took at most beyond what was there before.
    memory: u64,
    /// What it counted: bytes written, entries, documents.
    made: u64,
}

/// Runs a step, which returns what it made and how much of it; adds what it cost.
fn measured<T>(costs: &mut Vec<Cost>, step: &'static str, run: impl FnOnce() -> (T, u64)) -> T {
    // clear_refs(5) makes the present size the peak (proc_pid_clear_refs(5)).
    fs::write("/proc/self/clear_refs", "5").expect("there");
    let before = status("VmRSS");
    let started = boot_now();
    let (result, made) = run();
    let seconds = boot_now().since(started).as_secs_f64();
    let memory = status("VmHWM").saturating_sub(before);
    costs.push(Cost {
        step,
        seconds,
        memory,
        made,
    });
    result
}

/// Writes a new file; its length in bytes.
fn file(directory: &Path, name: &str, write: impl FnOnce(&mut BufWriter<File>)) -> u64 {
    let file = File::create_new(directory.join(name)).expect("a new file");
    let mut out = BufWriter::with_capacity(64 << 10, file);
    write(&mut out);
    out.flush().expect("written");
    out.get_ref().metadata().expect("there").len()
}

/// Through the reporter into a directory, in every format and as a bundle.
fn tell(case: Case, directory: &Path) -> u64 {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let folder = DestinationConfig::File(file::Config::new(directory.to_owned()));
        let to = Destinations::start(vec![folder], &Format::ALL, &Durability::default())
            .expect("a directory");
        let (cases, waiting) = mpsc::channel(1);
        cases.send(case).await.expect("room");
        drop(cases);
        reporter::run(
            waiting,
            Arc::new(to.clone()),
            Told::default(),
            Aids::default(),
        )
        .await;
        to.clone().drain(Duration::from_secs(600)).await;
        to.states()[0].written
    })
}

/// Every step, in order.
fn costs(calls: u64) -> Vec<Cost> {
    let directory = tempfile::tempdir().expect("a directory");
    let mut costs = Vec::new();
    let case = case(calls);
    let report = measured(&mut costs, "build", || (build(&case), 1));
    measured(&mut costs, "entries", || {
        ((), report.telemetry.entries().count() as u64)
    });
    for format in Format::ALL {
        measured(&mut costs, format.name(), || {
            let write = |out: &mut _| format.write(out, &report, Options::default());
            let write = |out: &mut _| write(out).expect("written");
            ((), file(directory.path(), format.extension(), write))
        });
    }
    measured(&mut costs, "bundle", || {
        let write = |out: &mut _| bundle::pack(&case, &report, out).expect("written");
        ((), file(directory.path(), "bundle", write))
    });
    drop(report);
    let told = directory.path().join("told");
    measured(&mut costs, "reporter and directory", || {
        ((), tell(case, &told))
    });
    costs
}

#[test]
#[ignore = "three million records; see the file's head"]
fn a_report_of_a_busy_minute_takes_little_memory_however_busy_it_was() {
    blackbox_daemon::allocator::keep_little();
    let (few, many) = (costs(FEW), costs(MANY));
    for (calls, costs) in [(FEW, &few), (MANY, &many)] {
        eprintln!("\n{calls} failing calls in {SECONDS} s");
        for cost in costs {
            let Cost {
                step,
                seconds,
                memory,
                made,
            } = cost;
            let kib = memory >> 10;
            eprintln!("{step:>24} {seconds:8.3} s {kib:8} KiB at its peak, made {made}");
        }
    }
    for (few, many) in few.iter().zip(&many) {
        let step = many.step;
        assert!(many.memory < MOST, "{step}");
        assert!(many.memory < few.memory + NOISE, "{step}");
    }
    let made = |step| {
        many.iter()
            .find(|cost| cost.step == step)
            .map(|cost| cost.made)
    };
    assert_eq!(
        made("reporter and directory"),
        Some(Format::ALL.len() as u64 + 1)
    );
    assert!(made("entries").is_some_and(|entries| (20_000..21_000).contains(&entries)));
}
