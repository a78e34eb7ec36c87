//! `cargo xtask vm clock`: the wall clock is set an hour ahead, an hour back and to 1970 while the daemon records, and at each
//! the daemon is killed and begins again.
//!
//! Nothing may be lost or out of order, every death is told, and the window reaches back as far as before.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::cuts::ring::{self, Ring};
use super::disk::Disk;
use super::load;
use super::machine::Machine;
use super::node::Build;
use super::packed::{Packed, Size};
use super::protocol::{API_KEY, Measured, News, Order, Wanted};
use super::table::Rows;
use crate::deaths::{Death, WATCH_CGROUPS};
use crate::exec::step;
use crate::output;
use crate::timing::{Stopwatch, now};

const MEMORY_MIB: u32 = 1536;
const LIMIT: Duration = Duration::from_secs(900);
/// For reports, s.
const PATIENCE: u64 = 60;
const ANSWER: Duration = Duration::from_secs(180);
const EVERY_MS: u64 = 20;
/// Under load before and after each change.
const PAUSE: Duration = Duration::from_secs(4);
/// Records of one class come from several processors: they may be so much out of order. An hour is more.
const MAY_STEP_BACK_MS: u64 = 1000;
/// What is not sampled or submitted yet, and what the daemon's absence takes.
const MAY_MISS: u64 = 12;
const HOUR: i64 = 3_600_000_000_000;

/// `cargo xtask vm clock`.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Which series of Debian's cloud kernels to boot.
    #[arg(long, default_value = "6.12", value_parser = ["6.12", "6.1"])]
    kernel: String,
    /// Take the daemon that was built last for tests, which is not optimised.
    #[arg(long)]
    tested: bool,
    /// Write what was found to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    rows: &'a Rows,
    ok: bool,
}

/// Runs the command. A check that fails is an exit code, told in the table.
///
/// # Errors
/// The machine cannot be had or fails, or a death cannot be staged.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let rows = play(&options.kernel, Build::chosen(options.tested))?;
    let ok = rows.hold();
    output::write(options.json.as_deref(), &Outcome { rows: &rows, ok })?;
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the machine has said so far.
#[derive(Default)]
struct Heard {
    accepted: BTreeSet<u64>,
    died: Vec<u32>,
    /// How far back the window reached, and how long the load had gone on, s.
    reached: Vec<(u64, u64)>,
    /// What the daemon said of its former life.
    read: Vec<String>,
}

/// Plays it all; the checks.
///
/// # Errors
/// Those of [`run`].
pub(super) fn play(series: &str, build: Build) -> Result<Rows> {
    let reader = ring::build_reader()?;
    let packed = Packed::make(series, build, &[], false)?;
    let disk = Disk::make()?;
    let top = disk.renew()?;
    let mut booted = packed.boot(Size {
        disk: Some(&top),
        memory_mib: MEMORY_MIB,
        in_turns: false,
        limit: LIMIT,
    })?;
    let machine = &mut booted.machine;
    machine.order(&Order::Record { env: environment() })?;
    machine.expect(ANSWER, |news| matches!(news, News::Recording).then_some(()))?;
    machine.order(&Order::Load { every_ms: EVERY_MS })?;
    let (mut heard, watch) = (Heard::default(), Stopwatch::start());
    let real = i64::try_from(now().as_nanosecond())?;
    // Not before the machine's boot: the kernel refuses that.
    let clocks = [
        ("an hour ahead", real + HOUR),
        ("an hour back", real - HOUR),
        ("1970", HOUR),
        ("right again", real),
    ];
    for (name, nanos) in clocks {
        step(&format!("vm: the clock is set: {name}"), || {
            change(machine, nanos, &watch, &mut heard)
        })?;
    }
    let wanted = Wanted {
        boot: booted.boot.clone(),
        kinds: Vec::new(),
        pids: heard.died.clone(),
        patience: PATIENCE,
    };
    machine.order(&Order::Look { wanted })?;
    let (told, broken) = listen(machine, &mut heard, |news| match news {
        News::Seen {
            reports, broken, ..
        } => Some((reports, broken)),
        _ => None,
    })?;
    let measured = measure(machine, &mut heard)?;
    machine.order(&Order::Finish { reports: 0 })?;
    listen(machine, &mut heard, |news| {
        matches!(news, News::Done { .. }).then_some(())
    })?;
    machine.wait_off()?;
    disk.settle()?;
    let file = packed.directory.join("window.ring");
    disk.take("/state/window.ring", &file)?;
    let ring = ring::read(&reader, &file)?;
    let mut rows = Rows::default();
    let told_pid = |pid: &&u32| told.iter().any(|it| it.pid == Some(**pid));
    rows.add(
        "deaths told",
        heard.died.len() as u64,
        heard.died.iter().filter(told_pid).count() as u64,
    );
    rows.add("report files that are not whole", 0, broken.len() as u64);
    rows.add("decisive records lost", 0, measured.lost_decisive());
    judge(&mut rows, &heard, &ring);
    rows.print();
    std::fs::remove_dir_all(packed.forget()?)?;
    Ok(rows)
}

/// Sets the clock between two deaths, looks how far back the window reaches, and kills the daemon.
fn change(machine: &mut Machine, nanos: i64, watch: &Stopwatch, heard: &mut Heard) -> Result<()> {
    die(machine, Death::Segv, heard)?;
    machine.order(&Order::SetClock { nanos })?;
    die(machine, Death::Exit, heard)?;
    thread::sleep(PAUSE);
    let measured = measure(machine, heard)?;
    let reach = measured.reach.values().max().copied();
    let reach = reach.context("no metric tells how far back the window reaches")?;
    heard.reached.push((reach, watch.elapsed().as_secs()));
    machine.order(&Order::Restart)?;
    let read = listen(machine, heard, |news| match news {
        News::Restarted { read } => Some(read),
        _ => None,
    })?;
    println!("    {read}");
    heard.read.push(read);
    thread::sleep(PAUSE);
    Ok(())
}

fn die(machine: &mut Machine, death: Death, heard: &mut Heard) -> Result<()> {
    machine.order(&Order::Stage { death })?;
    let pid = listen(machine, heard, |news| match news {
        News::Staged { truth, .. } => Some(truth.pid),
        _ => None,
    })?;
    heard.died.push(pid);
    Ok(())
}

fn measure(machine: &mut Machine, heard: &mut Heard) -> Result<Measured> {
    machine.order(&Order::Measure)?;
    listen(machine, heard, |news| match news {
        News::Measured(measured) => Some(measured),
        _ => None,
    })
}

/// Waits for an answer, and notes what was accepted meanwhile.
fn listen<T>(
    machine: &mut Machine,
    heard: &mut Heard,
    mut wanted: impl FnMut(News) -> Option<T>,
) -> Result<T> {
    machine.expect(ANSWER, |news| match news {
        News::Accepted { counter, .. } => {
            heard.accepted.insert(counter);
            None
        }
        other => wanted(other),
    })
}

fn judge(rows: &mut Rows, heard: &Heard, ring: &Ring) {
    let kept: BTreeSet<u64> = ring.telemetry.iter().filter_map(load::number).collect();
    let missing = heard.accepted.difference(&kept).count();
    println!(
        "    {} objects were taken, {} are kept",
        heard.accepted.len(),
        kept.len()
    );
    // A kill may take what was not written yet: 100 ms of each life but the last.
    rows.add("… of a life's last 100 ms at most: more are missing", 0, {
        let may = heard.read.len() as u64 * (100 / EVERY_MS + 1);
        (missing as u64).saturating_sub(may)
    });
    rows.add("records that do not decode", 0, ring.broken);
    rows.add("blocks missing", 0, ring.holes);
    let far = |(_class, ms): &(&String, &u64)| **ms > MAY_STEP_BACK_MS;
    let stepped: Vec<_> = ring.steps_back_ms.iter().filter(far).collect();
    println!("    steps back in time, ms: {:?}", ring.steps_back_ms);
    rows.add("kinds of records out of order", 0, stepped.len() as u64);
    let short = |(reach, went): &&(u64, u64)| reach + MAY_MISS < (*went).min(60);
    println!(
        "    the window reached back, of so much load, s: {:?}",
        heard.reached
    );
    rows.add(
        "times the window was cut short",
        0,
        heard.reached.iter().filter(short).count() as u64,
    );
    let whole = |read: &&String| read.contains("holes=0") && read.contains("broken=0");
    let begun = heard.read.iter().filter(whole).count() as u64;
    rows.add(
        "times the window was read again",
        heard.read.len() as u64,
        begun,
    );
}

fn environment() -> Vec<(String, String)> {
    let env = [
        ("BLACKBOX_STATE_DIR", "/disk/state"),
        ("BLACKBOX_OUTPUT_PATH", "/disk/reports"),
        ("BLACKBOX_OUTPUT_FORMATTERS", "json"),
        ("BLACKBOX_WATCH_CGROUPS", WATCH_CGROUPS),
        // The same deaths again and again within a minute: each is to be told.
        ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
        ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
        ("BLACKBOX_API_KEY", API_KEY),
        ("BLACKBOX_API_RATE_LIMIT", "1000000"),
        ("BLACKBOX_METRICS_ENABLED", "true"),
        ("BLACKBOX_METRICS_ADDRESS", "127.0.0.1"),
    ];
    env.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
