//! `cargo xtask vm small`: the daemon in a cgroup of 80 MiB with a tenth of a processor, and everything at once: a fork storm,
//! a flood of failing calls, a sidecar that submits, deaths, reports, and the window on disk.
//!
//! It must live, lose no decisive record, and tell every death. An emulated machine is too slow to fill the window to its
//! bounds: what the daemon needs then, this does not show.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::disk::Disk;
use super::machine::Machine;
use super::node::Build;
use super::packed::{Packed, Size};
use super::protocol::{API_KEY, Measured, News, Order, Wanted};
use super::table::Rows;
use crate::deaths::{Death, Truth, WATCH_CGROUPS};
use crate::exec::step;
use crate::output;
use crate::timing::Stopwatch;

const MEMORY_MIB: u32 = 1536;
const LIMIT: Duration = Duration::from_secs(1500);
const RECORDING_LIMIT: Duration = Duration::from_secs(180);
/// For reports, s: a tenth of an emulated processor is a hundredth of a real one.
const PATIENCE: u64 = 400;
const LOOK_LIMIT: Duration = Duration::from_secs(600);
const EVERY_MS: u64 = 20;

/// `cargo xtask vm small`.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Which series of Debian's cloud kernels to boot.
    #[arg(long, default_value = "6.12", value_parser = ["6.12", "6.1"])]
    kernel: String,
    /// The daemon's memory.max.
    #[arg(long, default_value_t = 80, value_name = "MIB")]
    memory_mib: u64,
    /// What the daemon may use of one processor.
    #[arg(long, default_value_t = 10, value_name = "PERCENT")]
    cpu_percent: u64,
    /// How long everything happens at once.
    #[arg(long, default_value_t = 40)]
    seconds: u64,
    /// Cgroups in which calls fail as fast as they can: each may fill its share of the window.
    #[arg(long, default_value_t = 4)]
    floods: u64,
    /// Take the daemon that was built last for tests, which is not optimised.
    #[arg(long)]
    tested: bool,
    /// More of the daemon's environment.
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Write what was found to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    measured: &'a Measured,
    rows: &'a Rows,
    ok: bool,
}

/// Runs the command. A check that fails is an exit code, told in the table.
///
/// # Errors
/// The machine cannot be had or fails, or a death cannot be staged.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let packed = Packed::make(&options.kernel, Build::chosen(options.tested), &[], false)?;
    let disk = Disk::make()?;
    let top = disk.renew()?;
    let mut booted = packed.boot(Size {
        disk: Some(&top),
        memory_mib: MEMORY_MIB,
        in_turns: true,
        limit: LIMIT,
    })?;
    let machine = &mut booted.machine;
    machine.order(&Order::LimitMemory {
        bytes: options.memory_mib << 20,
    })?;
    step("vm: starting the daemon", || {
        let env = environment(&options.env);
        machine.order(&Order::Record { env })?;
        let recording = |news| matches!(news, News::Recording).then_some(());
        machine.expect(RECORDING_LIMIT, recording)
    })?;
    let begun = measure(machine)?;
    // Not before: to load programs takes an emulated processor seconds, and a tenth of it minutes.
    machine.order(&Order::LimitCpu {
        percent: options.cpu_percent,
    })?;
    println!("after the start: {}", memory(&begun));
    let (staged, accepted) = step("vm: everything at once", || everything(machine, options))?;
    let wanted = Wanted {
        boot: booted.boot.clone(),
        kinds: Vec::new(),
        pids: staged.iter().map(|truth| truth.pid).collect(),
        patience: PATIENCE,
    };
    let told = step("vm: reports", || look(machine, &wanted))?;
    let measured = measure(machine)?;
    let mut rows = Rows::default();
    rows.add("oom_kill in memory.events", 0, measured.events["oom_kill"]);
    rows.add("decisive records lost", 0, measured.lost_decisive());
    rows.add("deaths told", staged.len() as u64, told.told);
    rows.add("report files that are not whole", 0, told.broken);
    rows.print();
    println!(
        "\n{accepted} objects of telemetry were taken\n{}",
        memory(&measured)
    );
    println!(
        "recorded: {:?}\nlost: {:?}",
        measured.recorded, measured.lost
    );
    println!("processor: {:?}", measured.cpu);
    let ok = rows.hold();
    output::write(
        options.json.as_deref(),
        &Outcome {
            measured: &measured,
            rows: &rows,
            ok,
        },
    )?;
    std::fs::remove_dir_all(packed.forget()?)?;
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lets it all happen; who died, and how much telemetry was taken.
fn everything(machine: &mut Machine, options: &Options) -> Result<(Vec<Truth>, u64)> {
    machine.order(&Order::Load { every_ms: EVERY_MS })?;
    machine.order(&Order::Storm {
        seconds: options.seconds,
        floods: options.floods,
    })?;
    let watch = Stopwatch::start();
    let (mut staged, mut accepted, mut asked) = (Vec::new(), 0, 0);
    let mut storms = 0;
    while storms < 1 || staged.len() < asked {
        let due = Duration::from_secs(2 + 4 * asked as u64);
        if storms == 0 && watch.elapsed() >= due && staged.len() == asked {
            let death = Death::ALL[asked % Death::ALL.len()];
            machine.order(&Order::Stage { death })?;
            asked += 1;
        }
        match machine.hear(Duration::from_millis(20))? {
            Some(News::Accepted { .. }) => accepted += 1,
            Some(News::Staged { truth, .. }) => staged.push(truth),
            Some(News::Stormed { said }) => {
                println!("the storm: {said}");
                storms += 1;
            }
            _ => {}
        }
    }
    Ok((staged, accepted))
}

struct Told {
    told: u64,
    broken: u64,
}

fn look(machine: &mut Machine, wanted: &Wanted) -> Result<Told> {
    machine.order(&Order::Look {
        wanted: wanted.clone(),
    })?;
    machine.expect(LOOK_LIMIT, |news| match news {
        News::Seen {
            reports, broken, ..
        } => {
            for why in &broken {
                println!("NOT OK: {why}");
            }
            let told = |pid: &&u32| reports.iter().any(|it| it.pid == Some(**pid));
            Some(Told {
                told: wanted.pids.iter().filter(told).count() as u64,
                broken: broken.len() as u64,
            })
        }
        _ => None,
    })
}

fn measure(machine: &mut Machine) -> Result<Measured> {
    machine.order(&Order::Measure)?;
    machine.expect(LOOK_LIMIT, |news| match news {
        News::Measured(measured) => Some(measured),
        _ => None,
    })
}

/// Where the memory is.
fn memory(measured: &Measured) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let parts = [
        "anon",
        "file",
        "kernel",
        "percpu",
        "vmalloc",
        "slab",
        "pagetables",
        "sock",
    ];
    let parts = parts.map(|name| {
        let bytes = measured.memory.get(name).copied().unwrap_or_default();
        format!("{name} {}", mib(bytes))
    });
    format!(
        "memory: peak {}, now {}: {}; events {:?}",
        mib(measured.peak),
        mib(measured.current),
        parts.join(", "),
        measured.events
    )
}

fn environment(more: &[String]) -> Vec<(String, String)> {
    let env = [
        ("BLACKBOX_STATE_DIR", "/disk/state"),
        ("BLACKBOX_OUTPUT_PATH", "/disk/reports"),
        ("BLACKBOX_OUTPUT_FORMATTERS", "default,json"),
        ("BLACKBOX_WATCH_CGROUPS", WATCH_CGROUPS),
        ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
        ("BLACKBOX_API_KEY", API_KEY),
        ("BLACKBOX_API_RATE_LIMIT", "1000000"),
        // Each death has a report of its own.
        ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
        ("BLACKBOX_METRICS_ENABLED", "true"),
        ("BLACKBOX_METRICS_ADDRESS", "127.0.0.1"),
    ];
    let more = more.iter().filter_map(|pair| pair.split_once('='));
    env.into_iter()
        .chain(more)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
