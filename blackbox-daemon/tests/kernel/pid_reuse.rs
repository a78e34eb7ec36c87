//! One pid, thousands of processes, two cgroups in turns: every record is of the process it says.
//!
//! The truth is in the records themselves: a process fails to close the descriptor -CODE and exits with CODE, and CODE is its
//! cgroup's. They are read from window.ring, where they are as the kernel made them.
#![expect(clippy::print_stdout, reason = "prints what was counted")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use blackbox_daemon::journal::layout::Section;
use blackbox_daemon::journal::scan::scan;
use blackbox_daemon::record::{BootTime, CgroupId, Event, Record, RecordId};
use blackbox_daemon::window::read_piece;
use xtask::stage::Cgroup;
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, Lab, VICTIM};

/// The codes of the two cgroups.
const CODES: [u32; 2] = [3, 4];

/// Starts who makes the processes of one cgroup.
fn turns(cgroup: &Cgroup, words: [String; 3], ends: (Stdio, Stdio)) -> Result<Child> {
    let mut command = cgroup.command(VICTIM)?;
    command
        .arg("reuse")
        .args(words)
        .stdin(ends.0)
        .stdout(ends.1);
    command.spawn().context("starting the victim")
}

/// Lets `count` processes live in each cgroup, in turns, all with the pid `pid`.
fn play(count: u64, pid: u32, cgroups: &[Cgroup; 2]) -> Result<()> {
    let (first_in, mut first_turn) = std::io::pipe()?;
    let (second_in, first_out) = std::io::pipe()?;
    let second_out = first_turn.try_clone()?;
    // For the very last turn, which nobody takes.
    let _kept = first_in.try_clone()?;
    let words = |code: u32| [count.to_string(), pid.to_string(), code.to_string()];
    let ends = [
        (first_in.into(), first_out.into()),
        (second_in.into(), second_out.into()),
    ];
    let mut children = Vec::new();
    for ((cgroup, code), ends) in cgroups.iter().zip(CODES).zip(ends) {
        children.push(turns(cgroup, words(code), ends)?);
    }
    first_turn.write_all(b"!")?;
    drop(first_turn);
    for mut child in children {
        let status = child.wait()?;
        ensure!(status.success(), "the victim ended with {status}");
    }
    Ok(())
}

/// All records of window.ring, by id.
fn records(state: &std::path::Path) -> Result<BTreeMap<RecordId, Record>> {
    let bytes = std::fs::read(state.join("window.ring"))?;
    let scanned = scan(&bytes)?;
    let mut all = BTreeMap::new();
    for found in &scanned.blocks {
        for section in found.sections(&bytes, &scanned.head) {
            if let Section::Frames {
                first_id,
                count,
                bytes,
                ..
            } = section
            {
                all.extend(read_piece(RecordId(first_id), count, bytes).0);
            }
        }
    }
    Ok(all)
}

/// What was found of the pid.
#[derive(Debug, Default)]
struct Found {
    /// By start: the cgroup the process ended in.
    lives: BTreeMap<BootTime, CgroupId>,
    execs: u64,
    calls: u64,
    /// Records that say another cgroup, or another process, than is true.
    wrong: Vec<String>,
}

impl Found {
    fn of(records: &BTreeMap<RecordId, Record>, pid: u32, cgroups: [CgroupId; 2]) -> Self {
        let mut found = Self::default();
        let own = |record: &&Record| {
            record
                .subject
                .process()
                .is_some_and(|it| it.key.tgid == pid)
        };
        let code_of = |cgroup| (0..2).find(|at| cgroups[*at] == cgroup).map(|at| CODES[at]);
        let own: Vec<&Record> = records.values().filter(own).collect();
        for record in &own {
            let Some(process) = record.subject.process() else {
                continue;
            };
            if let Event::Exit(exit) = &record.event {
                if exit.status.code() != code_of(process.cgroup) {
                    found.wrong.push(format!("{record:?}"));
                }
                if found
                    .lives
                    .insert(process.key.start, process.cgroup)
                    .is_some()
                {
                    found.wrong.push(format!("it ended twice: {record:?}"));
                }
            }
        }
        for record in own {
            let Some(process) = record.subject.process() else {
                continue;
            };
            match &record.event {
                Event::FailedCall(call) if call.errno == libc::EBADF as u16 => {
                    found.calls += 1;
                    let told = (call.args[0] as u32).wrapping_neg();
                    if Some(told) != code_of(process.cgroup) {
                        found.wrong.push(format!("{record:?}"));
                    }
                }
                Event::Exec(_) => found.execs += 1,
                _ => continue,
            }
            if found.lives.get(&process.key.start) != Some(&process.cgroup) {
                found.wrong.push(format!("of no such life: {record:?}"));
            }
        }
        found
    }
}

fn reuse(count: u64) -> Result<()> {
    let state = tempfile::tempdir()?;
    let mut lab = Lab::start(&[
        ("BLACKBOX_STATE_DIR", &state.path().to_string_lossy()),
        ("BLACKBOX_JOURNAL_BYTES", "256MiB"),
        ("BLACKBOX_WINDOW_DECISIVE_BYTES", "256MiB"),
        ("BLACKBOX_WINDOW_BULK_BYTES", "256MiB"),
        ("BLACKBOX_SYSCALL_RATE", "1000000"),
        ("BLACKBOX_SYSCALL_BURST", "10000000"),
        // An exit code is an incident only there; these are no incidents.
        ("BLACKBOX_WATCH_CGROUPS", "/none"),
    ])?;
    let cgroups = [lab::cgroup("reuse-a")?, lab::cgroup("reuse-b")?];
    let ids = [cgroups[0].folder(), cgroups[1].folder()];
    let [a, b] = ids.map(|folder| std::fs::metadata(folder).map(|data| CgroupId(data.ino())));
    let pid_max = std::fs::read_to_string("/proc/sys/kernel/pid_max")?;
    // Far from those the kernel gives out now.
    let pid = pid_max.trim().parse::<u32>()? - 7;
    play(count / 2, pid, &cgroups)?;
    // The last ones arrive: the kernel's rings are drained, and the window written.
    wait_for(LIMIT.mul_f32(0.1), || anyhow::Ok(None::<()>))?;
    let status = lab.daemon.stop()?;
    ensure!(status.success(), "{status}: {}", lab.daemon.log()?);
    let found = Found::of(&records(state.path())?, pid, [a?, b?]);
    let (lives, calls, execs) = (found.lives.len() as u64, found.calls, found.execs);
    println!("{count} processes of pid {pid}: {lives} ends, {calls} failed calls, {execs} execs");
    assert_eq!(found.wrong, Vec::<String>::new());
    assert_eq!(lives, count, "ends");
    assert_eq!(
        (calls, execs),
        (count, count / 50),
        "failed calls and execs"
    );
    Ok(())
}

#[test]
fn two_thousand_processes_of_one_pid_are_told_apart() -> Result<()> {
    reuse(2_000)
}

#[test]
#[ignore = "long: 100,000 processes"]
fn a_hundred_thousand_processes_of_one_pid_are_told_apart() -> Result<()> {
    reuse(100_000)
}
