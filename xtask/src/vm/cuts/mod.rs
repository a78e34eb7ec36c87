//! `cargo xtask vm power-cuts`: a machine records under load, its power is cut at a random moment, and the next boot of the
//! same disk must tell it all.
//!
//! Each cut is judged by what the machine had said before it (`life`), by the window.ring the cut left (`ring`), and by the
//! reports after the next boot.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

mod judge;
mod life;
pub(super) mod ring;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use self::judge::Row;
use self::life::Life;
use self::ring::Ring;
use super::disk::Disk;
use super::node::Build;
use super::packed::{Packed, Size};
use super::protocol::{API_KEY, News, Order, Wanted};
use crate::deaths::WATCH_CGROUPS;
use crate::output;

/// Of each machine. The files it boots into take their size twice.
const MEMORY_MIB: u32 = 1536;
const LIMIT: Duration = Duration::from_secs(600);
const RECORDING_LIMIT: Duration = Duration::from_secs(180);
/// For reports, s.
const PATIENCE: u64 = 60;
const LOOK_LIMIT: Duration = Duration::from_secs(180);
const REBOOT: &str = "node_unclean_reboot";

/// `cargo xtask vm power-cuts`.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// How many cuts, shared between the kernels.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Which series of Debian's cloud kernels to boot.
    #[arg(long, value_delimiter = ',', default_value = "6.1,6.12", value_parser = ["6.12", "6.1"])]
    kernel: Vec<String>,
    /// How the daemon keeps its window; with `ram` nothing is synced, and this must fail.
    #[arg(long, default_value = "ssd", value_parser = ["ssd", "emmc", "ram"])]
    journal: String,
    /// Take the daemon that was built last for tests, which is not optimised.
    #[arg(long)]
    tested: bool,
    /// Write what was found to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    cuts: &'a [Row],
    ok: bool,
}

/// Runs the command. A check that fails is an exit code, told in the table.
///
/// # Errors
/// The machine cannot be had or fails, or a death cannot be staged.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let mut rows = Vec::new();
    let kernels = options.kernel.len();
    for (at, kernel) in options.kernel.iter().enumerate() {
        // The first ones get what is left over.
        let count = (usize::from(options.count) + kernels - 1 - at) / kernels;
        let build = Build::chosen(options.tested);
        cut(kernel, (build, &options.journal), count, &mut rows)?;
    }
    let ok = rows.iter().all(Row::holds);
    output::write(options.json.as_deref(), &Outcome { cuts: &rows, ok })?;
    judge::print_sum(&rows);
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A few cuts, as a test, of the daemon that was built last for tests; how many hold, and how many do not.
///
/// # Errors
/// Those of [`run`].
pub(super) fn smoke(kernel: &str, count: usize) -> Result<(u64, u64)> {
    let mut rows = Vec::new();
    cut(kernel, (Build::Tested, "ssd"), count, &mut rows)?;
    let passed = rows.iter().filter(|row| row.holds()).count();
    Ok((passed as u64, (rows.len() - passed) as u64))
}

/// Cuts the power `count` times, and boots once more.
fn cut(
    series: &str,
    (build, journal): (Build, &str),
    count: usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let reader = ring::build_reader()?;
    let packed = Packed::make(series, build, &[], false)?;
    let disk = Disk::make()?;
    let mut cut: Option<(Life, Ring)> = None;
    judge::print_head();
    for number in 0..=count {
        let top = disk.renew()?;
        let mut booted = packed.boot(Size {
            disk: Some(&top),
            memory_mib: MEMORY_MIB,
            in_turns: false,
            limit: LIMIT,
        })?;
        let machine = &mut booted.machine;
        let env = environment(build, journal);
        machine.order(&Order::Record { env })?;
        let recording = |news| matches!(news, News::Recording).then_some(());
        machine.expect(RECORDING_LIMIT, recording)?;
        if let Some((life, ring)) = cut.take() {
            let wanted = Wanted {
                boot: life.boot.clone(),
                kinds: vec![REBOOT.to_owned()],
                pids: life.told_for_sure(),
                patience: PATIENCE,
            };
            machine.order(&Order::Look { wanted })?;
            let seen = machine.expect(LOOK_LIMIT, judge::seen)?;
            let row = judge::judge(rows.len() + 1, &life, &ring, &seen);
            judge::print(&row);
            rows.push(row);
        }
        if number < count {
            let life = life::live(booted)?;
            disk.settle()?;
            let file = packed.directory.join("window.ring");
            disk.take("/state/window.ring", &file)?;
            cut = Some((life, ring::read(&reader, &file)?));
        }
    }
    std::fs::remove_dir_all(packed.forget()?)?;
    Ok(())
}

fn environment(build: Build, journal: &str) -> Vec<(String, String)> {
    let env = [
        ("BLACKBOX_STATE_DIR", "/disk/state"),
        ("BLACKBOX_OUTPUT_PATH", "/disk/reports"),
        ("BLACKBOX_OUTPUT_FORMATTERS", "json"),
        ("BLACKBOX_JOURNAL", journal),
        ("BLACKBOX_BUFFER_WINDOW_SIZE", build.window()),
        ("BLACKBOX_WATCH_CGROUPS", WATCH_CGROUPS),
        ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
        ("BLACKBOX_API_KEY", API_KEY),
        ("BLACKBOX_API_RATE_LIMIT", "1000000"),
    ];
    env.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}
