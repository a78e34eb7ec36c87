//! What telemetry costs, beside the least a server can do with it: parse the JSON and answer some.
//!
//! `cargo bench -p blackbox-daemon --bench ingest [-- --json FILE]`; needs `wrk` (Debian's package of that name).
//! The daemon checks the key, counts against limits, parses, checks, numbers, queues, records and answers ids; the
//! peer is axum in a process of its own (this program again, told so by its environment) with as many workers. Both
//! get the same requests in turns; medians are told with their least and greatest, and only the ratios travel
//! between machines.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

mod load;
mod peer;

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Context;
use xtask::stage::{Daemon, DaemonOptions};

use crate::load::{Load, Shape, Turn};
use crate::peer::Peer;

const ROUNDS: usize = 5;
const KEY: &str = "the-key-of-the-benchmark";

fn main() -> anyhow::Result<()> {
    if let Some(port) = std::env::var_os(peer::PORT) {
        return peer::serve(&port.to_string_lossy());
    }
    load::require()?;
    let directory = tempfile::tempdir()?;
    let (ours, theirs) = (free_port()?, free_port()?);
    let env = [
        ("BLACKBOX_EBPF", "off"),
        ("BLACKBOX_API_KEY", KEY),
        ("BLACKBOX_API_RATE_LIMIT", "4000000000"),
        // So that no share of the window is ever used up: nothing is answered 429.
        ("BLACKBOX_BUFFER_WINDOW_SIZE", "1s"),
        ("BLACKBOX_WINDOW_BULK_BYTES", "8GiB"),
    ];
    let mut env = env
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    env.push(("BLACKBOX_API_PORT".to_owned(), ours.to_string()));
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: env!("CARGO_BIN_EXE_blackbox-daemon").into(),
        directory: directory.path().to_owned(),
        env,
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(Duration::from_secs(20))?;
    let peer = Peer::start(theirs)?;
    let mut rows = Vec::new();
    for shape in [Shape::One, Shape::Batch] {
        let load = Load::new(directory.path(), shape, KEY)?;
        let mut turns: [Vec<Turn>; 2] = Default::default();
        for (port, pid) in [(ours, daemon.pid()), (theirs, peer.pid())] {
            load.warm(port, pid)?;
        }
        for _ in 0..ROUNDS {
            turns[0].push(load.turn(ours, daemon.pid())?);
            turns[1].push(load.turn(theirs, peer.pid())?);
        }
        rows.extend(table(shape, &turns));
    }
    let log = daemon.log()?;
    daemon.stop().with_context(|| log)?;
    let mut words = std::env::args();
    if words.any(|word| word == "--json") {
        let path = words.next().context("--json needs a FILE")?;
        std::fs::write(&path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind("127.0.0.1:0")?
        .local_addr()
        .map(|address| address.port())
}

/// Prints what the turns came to.
fn table(shape: Shape, [ours, theirs]: &[Vec<Turn>; 2]) -> Vec<serde_json::Value> {
    type Figure = (&'static str, fn(&Turn) -> f64);
    let figures: [Figure; 2] = [
        ("requests/s", |turn| turn.per_second),
        ("CPU s per 10,000 requests", |turn| {
            turn.cpu_per_ten_thousand
        }),
    ];
    let mut rows = Vec::new();
    for (what, of) in figures {
        let [a, b] = [ours, theirs].map(|turns| spread(turns.iter().map(of)));
        // Of turns that were next to each other, so that what else the machine does falls on both.
        let ratio = spread(ours.iter().zip(theirs).map(|(a, b)| of(a) / of(b)));
        println!(
            "{:<22} {what:<26} daemon {:>9.2} ({:.2}–{:.2})   peer {:>9.2} ({:.2}–{:.2})   ratio {:.2} ({:.2}–{:.2})",
            shape.name(),
            a.1,
            a.0,
            a.2,
            b.1,
            b.0,
            b.2,
            ratio.1,
            ratio.0,
            ratio.2,
        );
        rows.push(serde_json::json!({
            "shape": shape.name(), "what": what, "rounds": ROUNDS, "daemon": a.1, "peer": b.1, "ratio": ratio.1,
        }));
    }
    rows
}

/// Least, median and greatest.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    (
        values[0],
        values[values.len() / 2],
        values[values.len() - 1],
    )
}
