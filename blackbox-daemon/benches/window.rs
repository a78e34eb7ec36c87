//! What the window costs, beside the obvious way to keep the same: a queue of structs of strings.
//!
//! `cargo bench -p blackbox-daemon --bench window [-- --json FILE]` prints the figures and writes them to FILE.
//! Both keep the same failed calls. The peer makes its strings from the record, as whoever fills such a queue
//! must. It keeps a tenth of the records, for the sake of memory; what grows with them is scaled.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark is for")]

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use blackbox_daemon::record::{
    BootTime, CgroupId, Comm, Event, FailedCall, LaneName, Process, ProcessKey, Record, Subject,
};
use blackbox_daemon::window::{Appended, Config, Window};

const RATE: u64 = 50_000;
const SECONDS: u64 = 60;
const RECORDS: u64 = RATE * SECONDS;
const PEER_RECORDS: u64 = RECORDS / 10;
const CONTAINERS: u64 = 20;
const BOOT: u64 = 3_600_000_000_000;

/// The obvious way.
#[derive(Clone)]
struct NaiveEntry {
    _timestamp: Option<String>,
    _source: String,
    _kind: String,
    _name: String,
    _value: String,
    _tags: HashMap<String, String>,
}

/// The `n`th failed call of a node where twenty containers make 50,000 a second, in bursts of eight.
fn record(n: u64) -> Record {
    let container = n / 8 % CONTAINERS;
    let process = Process {
        key: ProcessKey {
            tgid: 20_000 + container as u32,
            start: BootTime(BOOT - container * 1_000_000_007),
        },
        tid: 20_000 + container as u32,
        comm: Comm::from_text("postgres"),
        cgroup: CgroupId(5_000 + container),
    };
    let call = FailedCall {
        nr: 257,
        errno: 2,
        args: [0xffff_ff9c, 0x7ffe_12a4_5670 + n % 64, 0x8_0000],
        argument: None,
        compat: false,
    };
    Record {
        at: BootTime(BOOT + n * (1_000_000_000 / RATE)),
        subject: Subject::Process(process),
        event: Event::FailedCall(call),
    }
}

fn naive(record: &Record) -> NaiveEntry {
    let mut tags = HashMap::new();
    let mut tag = |key: &str, value: String| tags.insert(key.to_owned(), value);
    if let Some(process) = record.subject.process() {
        tag("pid", process.key.tgid.to_string());
        tag("comm", process.comm.to_string());
        tag("cgroup", process.cgroup.0.to_string());
    }
    let mut value = String::new();
    if let Event::FailedCall(call) = &record.event {
        value = call.errno.to_string();
        tag("nr", call.nr.to_string());
        tag("args", format!("{:x?}", call.args));
    }
    NaiveEntry {
        _timestamp: Some(record.at.0.to_string()),
        _source: "system".to_owned(),
        _kind: "process".to_owned(),
        _name: "failed_call".to_owned(),
        _value: value,
        _tags: tags,
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let made = work();
    (made, start.elapsed())
}

/// Resident memory of this process, bytes (proc_pid_statm(5), second field).
fn resident() -> anyhow::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split(' ')
        .nth(1)
        .context("statm has no second field")?;
    Ok(pages.parse::<u64>()? * rustix::param::page_size() as u64)
}

fn nanos_each(time: Duration, count: u64) -> f64 {
    time.as_nanos() as f64 / count as f64
}

/// Appends `count` records; the time is that of the appends alone, the best of slices of 2^15.
fn fill(window: &mut Window, count: u64) -> (u64, f64) {
    let (mut kept, mut best) = (0, f64::MAX);
    let mut next = 0;
    while next < count {
        let batch: Vec<Record> = (next..count.min(next + (1 << 15))).map(record).collect();
        next += batch.len() as u64;
        let (taken, time) = timed(|| {
            let mut taken = 0;
            for record in &batch {
                let appended = window.append(black_box(record), record.at);
                taken += u64::from(matches!(appended, Appended::Kept(_)));
            }
            taken
        });
        kept += taken;
        best = nanos_each(time, batch.len() as u64).min(best);
    }
    (kept, best)
}

/// The same for the peer.
fn fill_naive(count: u64) -> (VecDeque<NaiveEntry>, f64) {
    let (mut queue, mut best) = (VecDeque::new(), f64::MAX);
    let mut next = 0;
    while next < count {
        let batch: Vec<Record> = (next..count.min(next + (1 << 15))).map(record).collect();
        next += batch.len() as u64;
        let ((), time) = timed(|| queue.extend(batch.iter().map(naive)));
        best = nanos_each(time, batch.len() as u64).min(best);
    }
    (queue, best)
}

fn best_of<T>(rounds: u32, mut work: impl FnMut() -> T) -> Duration {
    let times = (0..rounds).map(|_| timed(|| black_box(work())).1);
    times.min().unwrap_or_default()
}

#[derive(Default)]
struct Figures(Vec<(&'static str, f64)>);

impl Figures {
    fn add(&mut self, name: &'static str, value: f64) {
        println!("{name:<44} {value:>16.2}");
        self.0.push((name, value));
    }
}

/// A minute at full rate with the default caps: what the window adds to the daemon's memory.
fn a_full_minute(figures: &mut Figures) -> anyhow::Result<()> {
    let config = Config::default();
    // The batches' own memory, which the allocator may keep, is there before and after.
    let mut small = Window::new(Config {
        bulk_bytes: 1 << 20,
        ..config.clone()
    });
    fill(&mut small, 1 << 16);
    let before = resident()?;
    let mut window = Window::new(config.clone());
    let (kept, nanos) = fill(&mut window, RECORDS);
    let stats = window.stats();
    figures.add("default caps: records given", RECORDS as f64);
    figures.add("default caps: records kept at first", kept as f64);
    figures.add("default caps: records held", stats.bulk.records as f64);
    figures.add("default caps: ns per append, evicting", nanos);
    figures.add("default caps: bulk bytes", stats.bulk.bytes as f64);
    figures.add("default caps: bulk cap", config.bulk_bytes as f64);
    figures.add(
        "default caps: resident bytes added",
        (resident()? - before) as f64,
    );
    if stats.bulk.bytes > config.bulk_bytes {
        bail!("the bulk lane holds more than its cap");
    }
    Ok(())
}

/// A minute at full rate with room for all of it, beside the peer.
fn a_whole_minute(figures: &mut Figures) -> anyhow::Result<()> {
    let mut window = Window::new(Config {
        bulk_bytes: 1 << 30,
        ..Config::default()
    });
    let (kept, append) = fill(&mut window, RECORDS);
    let stats = window.stats().bulk;
    if kept != RECORDS || stats.records != RECORDS {
        bail!("{} of {RECORDS} records are held", stats.records);
    }
    let slice = best_of(9, || window.slice(BootTime(0), BootTime(u64::MAX)));
    let slice_all = window.slice(BootTime(0), BootTime(u64::MAX));
    let (read, reading) = timed(|| slice_all.records(LaneName::Bulk).map(black_box).count());
    let bytes = stats.bytes as f64 / RECORDS as f64;

    let before = resident()?;
    let (queue, naive_append) = fill_naive(PEER_RECORDS);
    let naive_bytes = (resident()? - before) as f64 / PEER_RECORDS as f64;
    let naive_slice = best_of(3, || queue.clone()) * (RECORDS / PEER_RECORDS) as u32;

    figures.add("append: ns", append);
    figures.add("append: ns, queue of strings", naive_append);
    figures.add("append: times faster", naive_append / append);
    figures.add("memory: bytes per record", bytes);
    figures.add("memory: bytes per record, queue of strings", naive_bytes);
    figures.add("memory: times smaller", naive_bytes / bytes);
    figures.add("slice of 3,000,000: segments", slice_all.bulk.len() as f64);
    figures.add("slice of 3,000,000: us", slice.as_nanos() as f64 / 1e3);
    figures.add(
        "slice of 3,000,000: us, queue of strings",
        naive_slice.as_nanos() as f64 / 1e3,
    );
    figures.add(
        "slice of 3,000,000: times faster",
        naive_slice.as_secs_f64() / slice.as_secs_f64(),
    );
    figures.add(
        "reading a slice: ns per record",
        nanos_each(reading, read as u64),
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let mut figures = Figures::default();
    a_full_minute(&mut figures)?;
    a_whole_minute(&mut figures)?;
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--json") {
        let file = args.get(at + 1).context("--json needs a file")?;
        let map: serde_json::Map<_, _> = figures
            .0
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        std::fs::write(file, serde_json::to_string_pretty(&map)?)
            .with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}
