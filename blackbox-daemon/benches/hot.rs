//! The hot paths one by one: a record decoded, appended and sliced, and a report in each format.
//!
//! `cargo bench -p blackbox-daemon --bench hot` prints times. `-- --times N NAME` does one of them N times and no more: what
//! `cargo xtask bench --counts` counts the instructions of.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use anyhow::{Context as _, bail};
use blackbox_daemon::record::{BootTime, Event, FailedCall, Record};
use blackbox_daemon::report::Report;
use blackbox_daemon::report::format::{Format, Options};
use blackbox_daemon::sources::ebpf::decode::decode;
use blackbox_daemon::window::{Config, Window};

/// Records of the window that is sliced, and of the report that is formatted.
const RECORDS: u64 = 20_000;

/// A failing call as the kernel's ring has it (`blackbox_common::syscall::SyscallRecord`).
fn from_ring() -> Vec<u8> {
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let numbers = |numbers: &[u32]| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    };
    [
        words(&[3_600_000_000_000, 1, 5_000, 3_500_000_000_000]),
        numbers(&[20_000, 20_001]),
        b"postgres\0\0\0\0\0\0\0\0".to_vec(),
        numbers(&[6, 1]),
        words(&[0xffff_ff9c, 0x7ffe_12a4_5670, 0x8_0000]),
        numbers(&[257, 2]),
    ]
    .concat()
}

fn call(number: u64) -> Record {
    let process = support::process(
        100 + u32::try_from(number / 8 % 20).unwrap_or(0),
        "postgres",
        support::DEMO,
    );
    let event = Event::FailedCall(FailedCall {
        nr: 257,
        errno: 2,
        args: [0, number, 0],
        argument: None,
        compat: false,
    });
    support::about(process, number / 20, event)
}

fn window() -> Window {
    let mut window = Window::new(Config::default());
    for number in 0..RECORDS {
        let record = call(number);
        window.append(&record, record.at);
    }
    window
}

fn report() -> Report {
    let mut core = support::core(support::config());
    for number in 0..RECORDS {
        let record = call(number);
        core.take(&record, record.at, support::wall());
    }
    let killed = support::signal(1_500, support::killer(), support::SIGKILL, support::SI_USER);
    for record in support::death_by(support::victim(), 1_500, killed) {
        core.take(&record, record.at, support::wall());
    }
    let later = support::at(1_500).plus(2 * support::SETTLE);
    let case = core
        .turn(later, support::wall(), false)
        .pop()
        .expect("a case");
    blackbox_daemon::report::build::build(&case)
}

/// What is measured, made ready: doing it once is one call.
fn work(name: &str) -> Option<Box<dyn FnMut()>> {
    Some(match name {
        "decode" => {
            let bytes = from_ring();
            assert!(decode(&bytes, 4096).is_some(), "that is no record");
            Box::new(move || drop(black_box(decode(black_box(&bytes), 4096))))
        }
        "append" => {
            let (mut window, record) = (window(), call(RECORDS));
            Box::new(move || {
                black_box(window.append(black_box(&record), record.at));
            })
        }
        "slice" => {
            let mut window = window();
            Box::new(move || drop(black_box(window.slice(BootTime(0), BootTime(u64::MAX)))))
        }
        format => {
            let format = Format::ALL
                .into_iter()
                .find(|known| known.name() == format)?;
            let report = report();
            Box::new(move || {
                let mut out = Vec::new();
                format
                    .write(&mut out, black_box(&report), Options::default())
                    .expect("written");
                black_box(out);
            })
        }
    })
}

fn names() -> Vec<&'static str> {
    let formats = Format::ALL.into_iter().map(Format::name);
    ["decode", "append", "slice"]
        .into_iter()
        .chain(formats)
        .collect()
}

#[divan::bench(args = names())]
fn hot(bencher: divan::Bencher<'_, '_>, name: &str) {
    let mut work = work(name).expect("a known name");
    bencher.bench_local(&mut work);
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let Some(at) = words.iter().position(|word| word == "--times") else {
        divan::main();
        return Ok(());
    };
    let times: u32 = words
        .get(at + 1)
        .context("--times needs a number and a NAME")?
        .parse()?;
    let name = words.get(at + 2).context("--times needs a NAME")?;
    let Some(mut work) = work(name) else {
        bail!("{name} is none of {}", names().join(", "));
    };
    for _ in 0..times {
        work();
    }
    Ok(())
}
