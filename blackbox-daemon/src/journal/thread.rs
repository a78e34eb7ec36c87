//! The one thread that writes: takes orders, appends blocks, has them synced in time, and makes a new file when one has failed.
//!
//! Guarantee: it holds up nobody. What it cannot write stays in the window ([`Journal::has_room`]); what is wrong is told by its
//! part of [`Durability`](crate::durability::Durability) until a sync has succeeded.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::file;
use super::layout::{self, Key, PAGE, Section};
use super::recovered::Recovered;
use super::ring::{Ring, Start, When};
use super::scan::{Scan, scan};
use super::syncer::Syncer;
use super::{Busy, Config, Flush, Journal, Order, Pace, QUEUE, Shared, TOLD};
use crate::clock::{self, WallOffset};
use crate::durability::Part;
use crate::record::BootTime;
use crate::window::Piece;

/// First wait before a new file is tried; doubled each time …
const RETRY: Duration = Duration::from_millis(500);
/// … up to this.
const RETRY_MOST: Duration = Duration::from_secs(8);
/// How often the end of a sync is looked for, when nothing else comes.
const SHORT: Duration = Duration::from_millis(20);
/// Frames of one block, bytes: small enough that one that is torn costs little.
const BLOCK: usize = 128 << 10;

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub boot: [u8; 16],
    /// A number no other life has: its start by the wall clock, ns.
    pub number: u64,
    /// How far back the window reaches, which is what is read again.
    pub reach: Duration,
}

/// Reads what is there and starts the thread. Returns what an earlier life left, if that can be read; why not is logged, and
/// the file is replaced.
///
/// # Errors
/// The thread cannot be started.
pub fn start(config: Config, life: Life, part: Part) -> io::Result<(Journal, Option<Recovered>)> {
    let key = Key(random());
    let fresh = Start {
        key,
        size: config.size,
        at: PAGE,
        sequence: layout::next_life(0, seconds(life.number)),
        chain: 0,
        life: life.number,
        boot: life.boot,
    };
    let (file, start, recovered) = match file::find(&config) {
        Ok(Some((file, bytes))) => match scan(&bytes) {
            Ok(scan) => {
                let start = go_on(&scan, fresh);
                let fits = scan.head.size == config.size && bytes.len() as u64 == config.size;
                let recovered = Recovered::read(&bytes, &scan, life.reach);
                (fits.then_some(file), start, recovered)
            }
            Err(why) => {
                tracing::warn!(%why, "the window.ring of an earlier life cannot be read: a new one is made");
                (None, fresh, None)
            }
        },
        Ok(None) => (None, fresh, None),
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::warn!("no window.ring could be read: {error:#}");
            (None, fresh, None)
        }
    };
    let journal = spawn(config, file, start, part)?;
    Ok((journal, recovered))
}

/// Where to go on in a file, or with a new one.
fn go_on(scan: &Scan, fresh: Start) -> Start {
    let last = scan.blocks.last();
    Start {
        key: scan.head.key,
        at: scan.end() as u64,
        sequence: layout::next_life(
            last.map_or(0, |found| found.stamp.sequence),
            seconds(fresh.life),
        ),
        chain: last.map_or(0, |found| found.crc),
        ..fresh
    }
}

/// When a life began, in seconds.
fn seconds(life: u64) -> u32 {
    u32::try_from(life / 1_000_000_000).unwrap_or(u32::MAX)
}

fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Seeded by the operating system, anew in each process.
    std::hash::RandomState::new().build_hasher().finish()
}

fn spawn(config: Config, file: Option<File>, start: Start, part: Part) -> io::Result<Journal> {
    let shared = Arc::new(Shared {
        flushes: AtomicUsize::new(0),
        open: AtomicBool::new(file.is_some()),
        anew: AtomicBool::new(false),
        writing: Busy::default(),
        syncing: Busy::default(),
        state: Mutex::default(),
        part,
        told: Mutex::default(),
    });
    let (orders, taken) = sync_channel(QUEUE + TOLD);
    let writer = Writer {
        ring: file.map(|file| Ring::new(Arc::new(file), start)),
        syncer: Syncer::start(Arc::clone(&shared))?,
        start,
        synced: clock::boot_now(),
        retry: RETRY,
        next_try: BootTime(0),
        written_before: 0,
        last: When {
            at: clock::boot_now(),
            wall: WallOffset::now(),
            skipped: 0,
            ended: false,
        },
        config,
        shared: Arc::clone(&shared),
    };
    std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || writer.run(&taken))?;
    Ok(Journal { orders, shared })
}

struct Writer {
    config: Config,
    /// `None`: the file failed, or there is none yet.
    ring: Option<Ring<Arc<File>>>,
    syncer: Syncer,
    /// What a new file goes on from.
    start: Start,
    synced: BootTime,
    retry: Duration,
    next_try: BootTime,
    /// Bytes written to files that were given up.
    written_before: u64,
    /// What the last flush was stamped with.
    last: When,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            if self.ring.is_none() {
                self.make();
            }
            match orders.recv_timeout(self.patience()) {
                Ok(Order::Flush(flush)) => {
                    self.flush(flush);
                    self.shared.flushes.fetch_sub(1, Ordering::AcqRel);
                }
                Ok(Order::Told(id)) => self.told(id),
                Ok(Order::End(at, wall, done)) => {
                    let ended = When {
                        at,
                        wall,
                        ended: true,
                        ..self.last
                    };
                    self.append(ended, &[]);
                    self.syncer.wait();
                    self.begin_sync();
                    self.syncer.wait();
                    drop(done);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.take_sync();
            if self
                .config
                .pace
                .sync
                .is_some_and(|every| self.is_due(every))
            {
                self.begin_sync();
            }
        }
    }

    fn is_due(&self, every: Duration) -> bool {
        clock::boot_now().since(self.synced) >= every
    }

    /// How long to wait for an order.
    fn patience(&self) -> Duration {
        let now = clock::boot_now();
        match (&self.ring, self.config.pace.sync) {
            (None, _) => self.next_try.since(now).max(Duration::from_millis(1)),
            (Some(_), Some(every)) => self.synced.plus(every).since(now).max(SHORT),
            (Some(_), None) => RETRY_MOST,
        }
    }

    /// Makes a new file, if it is time to.
    fn make(&mut self) {
        let now = clock::boot_now();
        if now < self.next_try {
            return;
        }
        let key = Key(random());
        let make = || file::make(&self.config, key);
        match self.shared.writing.while_doing(make) {
            Ok(file) => {
                let start = Start {
                    key,
                    size: self.config.size,
                    at: PAGE,
                    ..self.start
                };
                self.start = start;
                self.ring = Some(Ring::new(Arc::new(file), start));
                (self.retry, self.synced) = (RETRY, clock::boot_now());
                self.shared.lock().made += 1;
                self.shared.part.works();
                // In this order: who sees that it is open sees that it is new.
                self.shared.anew.store(true, Ordering::Release);
                self.shared.open.store(true, Ordering::Release);
            }
            Err(error) => {
                self.next_try = now.plus(self.retry);
                self.retry = (self.retry * 2).min(RETRY_MOST);
                let error = anyhow::Error::from(error);
                tracing::debug!("no window.ring: {error:#}");
                // No path: health is told without a key.
                let why = format!("window.ring cannot be made: {}", error.root_cause());
                self.shared.part.degraded(why);
            }
        }
    }

    fn flush(&mut self, flush: Flush) {
        let when = When {
            at: flush.at,
            wall: flush.wall,
            skipped: flush.skipped,
            ended: false,
        };
        self.last = when;
        for block in blocks(&flush.pieces) {
            let sections: Vec<_> = block.iter().map(section).collect();
            self.append(when, &sections);
        }
        if let Some(bytes) = flush.checkpoint.map(|make| make()) {
            self.append(when, &[Section::Checkpoint(&bytes)]);
        }
        if flush.urgent && self.config.pace.sync.is_some() {
            // Where one is under way, the next follows it at once.
            self.synced = BootTime(0);
            self.begin_sync();
        }
    }

    fn told(&mut self, id: String) {
        self.append(self.last, &[Section::Told(vec![id])]);
    }

    fn append(&mut self, when: When, sections: &[Section<'_>]) {
        let Some(mut ring) = self.ring.take() else {
            return;
        };
        let append = || ring.append(when, sections);
        let appended = self.shared.writing.while_doing(append);
        self.shared.lock().written = self.written_before + ring.written();
        match appended {
            Ok(()) => self.ring = Some(ring),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.ring = Some(ring);
                tracing::warn!(
                    "a checkpoint is larger than a quarter of window.ring and was left out"
                );
            }
            Err(error) => self.give_up(&ring, "written", &error),
        }
    }

    /// Begins a sync, if there is anything to sync and none is under way.
    fn begin_sync(&mut self) {
        if self.syncer.is_syncing() {
            return;
        }
        self.synced = clock::boot_now();
        if let Some(ring) = &mut self.ring
            && ring.begin_sync()
        {
            self.syncer.begin(ring.medium());
        }
    }

    fn take_sync(&mut self) {
        let Some((file, ended)) = self.syncer.ended() else {
            return;
        };
        // That of a file that was given up meanwhile says nothing of this one.
        let current = |ring: &mut Ring<Arc<File>>| Arc::ptr_eq(ring.medium(), &file);
        match (self.ring.take_if(current), ended) {
            (Some(ring), Ok(())) => {
                self.ring = Some(ring);
                self.shared.part.works();
            }
            (Some(ring), Err(error)) => self.give_up(&ring, "synced", &error),
            (None, _) => {}
        }
    }

    /// The file is not written any more: what it holds from now on is not known. It stays until a new one takes its place.
    fn give_up(&mut self, ring: &Ring<Arc<File>>, what: &str, error: &io::Error) {
        self.shared.open.store(false, Ordering::Release);
        self.written_before += ring.written();
        self.start.sequence = ring.sequence();
        self.next_try = clock::boot_now();
        let why = format!("window.ring cannot be {what}: {error}");
        self.shared.part.degraded(why);
    }
}

/// Pieces by block.
fn blocks(pieces: &[Piece]) -> Vec<Vec<&Piece>> {
    let mut blocks: Vec<Vec<&Piece>> = Vec::new();
    let mut size = BLOCK;
    for piece in pieces {
        if size + piece.bytes.len() > BLOCK {
            blocks.push(Vec::new());
            size = 0;
        }
        size += piece.bytes.len();
        if let Some(block) = blocks.last_mut() {
            block.push(piece);
        }
    }
    blocks
}

fn section<'a>(piece: &&'a Piece) -> Section<'a> {
    Section::Frames {
        lane: piece.lane,
        first_id: piece.first_id.0,
        count: piece.count,
        bytes: &piece.bytes,
    }
}

impl Pace {
    /// For solid-state disks.
    pub const SSD: Self = Self {
        // Each turn of the recorder, which is each 50 ms while something comes: as many would be missed by a hair.
        write: Duration::from_millis(40),
        sync: Some(Duration::from_secs(1)),
        checkpoint: Duration::from_secs(30),
        bulk_percent: 100,
    };
    /// For flash that wears out: a tenth of the syncs, a quarter of the bulk.
    pub const EMMC: Self = Self {
        write: Duration::from_secs(1),
        sync: Some(Duration::from_secs(10)),
        checkpoint: Duration::from_secs(60),
        bulk_percent: 25,
    };
    /// For file systems in memory: it survives the daemon, not the node.
    pub const RAM: Self = Self {
        sync: None,
        ..Self::SSD
    };
}
