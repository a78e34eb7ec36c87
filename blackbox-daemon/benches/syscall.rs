//! What recording adds to a system call: the same loops with the daemon off and on, in turns.
//!
//! `cargo bench -p blackbox-daemon --bench syscall [-- --json FILE]`; needs root and BPF, and the kernel object
//! (`cargo xtask build-ebpf`). Prints medians, their spread, and ratios; only the ratios travel between machines.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use xtask::stage::{Daemon, DaemonOptions, require_kernel};

const ROUNDS: usize = 7;
/// Long enough that a turn of the scheduler does not decide, short enough for seven rounds.
const SPAN: Duration = Duration::from_millis(400);
const BATCH: u32 = 1000;

/// One loop: its name and one call of it.
type Work = (&'static str, fn());

const WORK: [Work; 2] = [
    ("getppid, succeeds", succeed),
    ("fcntl, fails with EINVAL", fail),
];

fn succeed() {
    std::hint::black_box(rustix::process::getppid());
}

fn fail() {
    // A pipe size of a file: EINVAL without any work behind it.
    std::thread_local!(static NULL: File = File::open("/dev/null").expect("/dev/null opens"));
    NULL.with(|null| std::hint::black_box(rustix::pipe::fcntl_getpipe_size(null.as_fd()).is_err()));
}

/// ns per call.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure(call: fn()) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < SPAN {
        for _ in 0..BATCH {
            call();
        }
        calls += BATCH;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn main() -> anyhow::Result<()> {
    require_kernel()?;
    let directory = tempfile::tempdir()?;
    let options = DaemonOptions {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_blackbox-daemon")),
        directory: directory.path().to_owned(),
        ..DaemonOptions::default()
    };
    let mut times: [[Vec<f64>; 2]; WORK.len()] = Default::default();
    for _ in 0..ROUNDS {
        for on in [false, true] {
            let mut daemon = on.then(|| Daemon::start(&options)).transpose()?;
            if let Some(daemon) = &mut daemon {
                daemon.wait_ready(Duration::from_secs(20))?;
            }
            for (work, (_, call)) in WORK.iter().enumerate() {
                times[work][usize::from(on)].push(measure(*call));
            }
            if let Some(mut daemon) = daemon {
                daemon.stop()?;
            }
        }
    }
    let mut rows = Vec::new();
    for ((name, _), [off, on]) in WORK.iter().zip(&mut times) {
        let (off, on) = (median(off), median(on));
        println!(
            "{name:26} off {:6.0} ns ({:.0}–{:.0})   on {:6.0} ns ({:.0}–{:.0})   added {:5.0} ns   on/off {:.2}",
            off.1,
            off.0,
            off.2,
            on.1,
            on.0,
            on.2,
            on.1 - off.1,
            on.1 / off.1
        );
        rows.push(serde_json::json!({
            "work": name, "off_ns": off.1, "on_ns": on.1, "ratio": on.1 / off.1, "rounds": ROUNDS,
        }));
    }
    let mut words = std::env::args();
    if words.any(|word| word == "--json") {
        let path = words.next().context("--json needs a FILE")?;
        std::fs::write(&path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}

/// Least, median and greatest.
fn median(times: &mut [f64]) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[0], times[times.len() / 2], times[times.len() - 1])
}
