//! The recorder under pressure: how long a report takes while records pour in, what a flood costs, and how it begins.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::process::cpu;
use super::recorder::{Recorder, binary};
use super::rounds::{self, Figures};
use super::table::{Row, Target};
use crate::stage::Cgroup;
use crate::timing::{Stopwatch, wait_for};

/// For a report, however slow.
const READY: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(500);
/// Deaths, one after the other; the slowest of so many stands for the 99th of a hundred.
const DEATHS: usize = 60;
/// What is promised of a report, once it has settled.
const REPORT: Duration = Duration::from_millis(250);
/// Containers with failing calls, and how many a second are recorded of each.
const FLOODS: usize = 5;
const RATE: &str = "10000";
/// How long a flood is watched, s.
const SPAN: u64 = 8;

/// Whether there is a report file about this process, by its name.
fn has_told(recorder: &Recorder, pid: u32) -> Result<bool> {
    let mark = format!("-{pid}-");
    let files = fs::read_dir(recorder.folder.path().join("reports"))?;
    Ok(files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.contains(&mark) && name.ends_with(".json") && !name.starts_with('.')
    }))
}

/// A process in a cgroup. Dropped, it is killed.
struct Process {
    child: Child,
    _cgroup: Cgroup,
}

impl Process {
    fn start(victim: &Path, name: &str, words: &[&str]) -> Result<Self> {
        let cgroup = Cgroup::create(&format!("blackbox-demo-{}/{name}", std::process::id()))?;
        let mut command = cgroup.command(victim)?;
        let child = command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            _cgroup: cgroup,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Measures all; the rows about pressure.
pub(super) fn rows(rounds: usize, victim: &Path) -> Result<Vec<Row>> {
    let rain = format!("{FLOODS} containers that fail {RATE} calls a second each");
    let flood = format!("{FLOODS} that fail as many as they can, on every processor");
    Ok(vec![
        reports(victim, &rain, &["rain", "600", RATE])?,
        reports(victim, &flood, &["flood", "600"])?,
        self::flood(rounds, victim)?,
        size()?,
        start(rounds)?,
    ])
}

/// How long a report takes beside containers that run the victim with these `words`.
fn reports(victim: &Path, beside: &str, words: &[&str]) -> Result<Row> {
    let recorder = Recorder::start(&[
        ("BLACKBOX_SETTLE_TIME", "500ms"),
        ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
        ("BLACKBOX_SYSCALL_RATE", RATE),
        ("BLACKBOX_WATCH_CGROUPS", "/blackbox-demo-*"),
        // The floods last for more than a minute.
        ("BLACKBOX_CPU_BUDGET_PERCENT", "100"),
    ])?;
    let floods = (0..FLOODS)
        .map(|number| Process::start(victim, &format!("flood-{number}"), words))
        .collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_secs(3));
    let mut times = Figures::default();
    for number in 0..DEATHS {
        let mut process = Process::start(victim, &format!("dies-{number}"), &["sleep"])?;
        thread::sleep(Duration::from_millis(300));
        let watch = Stopwatch::start();
        process.child.kill()?;
        process.child.wait()?;
        let told = wait_for(READY, || {
            anyhow::Ok(has_told(&recorder, process.child.id())?.then_some(()))
        })?;
        told.context("a death is not told")?;
        times.add(watch.elapsed().saturating_sub(SETTLE).as_secs_f64() * 1e3);
        thread::sleep(Duration::from_millis(200));
    }
    drop(floods);
    let (least, most) = times.spread();
    Ok(Row {
        work: format!("death → report on disk after settling, beside {beside}"),
        ours: format!(
            "the slowest of {DEATHS}: {most:.0} ms (median {:.0}, least {least:.0})",
            times.median()
        ),
        peer: format!("{} ms", REPORT.as_millis()),
        ratio: most / (REPORT.as_secs_f64() * 1e3),
        target: Target::AtMost(1.0),
    })
}

/// What the daemon takes of a processor while calls fail as fast as two of them can make them.
fn flood(rounds: usize, victim: &Path) -> Result<Row> {
    let figures = rounds::play(rounds, &[()], |()| {
        let recorder = Recorder::start(&[])?;
        let seconds = (SPAN + 4).to_string();
        let _flood = Process::start(victim, "calls", &["calls", &seconds])?;
        thread::sleep(Duration::from_secs(2));
        let before = cpu(recorder.daemon.pid())?;
        thread::sleep(Duration::from_secs(SPAN));
        Ok(((cpu(recorder.daemon.pid())? - before) / SPAN as f64).max(0.001))
    })?;
    let (least, most) = figures[0].spread();
    Ok(Row {
        work: "failing calls as fast as every processor makes them".to_owned(),
        ours: format!(
            "the daemon takes {:.3} of a processor ({least:.3}–{most:.3})",
            figures[0].median()
        ),
        peer: "0.15 of a processor".to_owned(),
        ratio: figures[0].median() / 0.15,
        target: Target::AtMost(1.0),
    })
}

fn size() -> Result<Row> {
    let path = binary()?;
    let mib = fs::metadata(&path)?.len() as f64 / f64::from(1 << 20);
    Ok(Row {
        work: "size of the program, stripped".to_owned(),
        ours: format!("{mib:.1} MiB"),
        peer: "15 MiB".to_owned(),
        ratio: mib / 15.0,
        target: Target::AtMost(1.0),
    })
}

fn start(rounds: usize) -> Result<Row> {
    let figures = rounds::play(rounds, &[()], |()| {
        let watch = Stopwatch::start();
        let recorder = Recorder::start(&[])?;
        let took = watch.elapsed();
        drop(recorder);
        Ok(took.as_secs_f64() * 1e3)
    })?;
    let (least, most) = figures[0].spread();
    ensure!(least > 1.0, "nothing begins so fast");
    Ok(Row {
        work: "start to recording".to_owned(),
        ours: format!("{:.0} ms ({least:.0}–{most:.0})", figures[0].median()),
        peer: "300 ms".to_owned(),
        ratio: figures[0].median() / 300.0,
        target: Target::AtMost(1.0),
    })
}
