//! The kernel as a source: drains both rings on a thread of its own, keeps the sequences, tells the losses.
//!
//! A thread and not a task, so that nothing the async runtime does delays it. CRIT is drained first and whole,
//! BULK in bounded turns. When the recorder's queue is full, records stay in the ring: what then does not fit
//! is counted by the kernel. Once a second: the tally, each cgroup's call counts, and the losses as gaps.

mod argument;
pub mod btf;
mod counts;
pub mod decode;
pub mod governor;
pub mod limits;
pub mod load;
pub mod offsets;
pub mod orders;
mod pins;
mod ring;
mod sequences;
pub mod spending;
mod switch;
mod tail;
mod verify;
mod wakes;
mod wire;
mod words;

use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::counts::Counts;
use self::load::Programs;
use self::offsets::Hook;
use self::orders::{Orders, Taken, orders};
use self::ring::Ring;
use self::sequences::Sequences;
use self::tail::Tails;
use self::wakes::Wakes;
use self::words::Heard;
use super::cgroup::killed::Kills;
use super::feed::BATCH;
use super::{Feed, announce};
use crate::clock;
use crate::record::{
    BootTime, Class, Event, Health, LaneName, LossCause, Record, SourceName, Subject,
};

/// How long the reader lets the recorder catch up when its queue is full.
const BLOCKED_PAUSE: Duration = Duration::from_millis(1);
/// Batches of BULK taken before CRIT is looked at again.
const BULK_BATCHES_PER_TURN: usize = 16;
/// How often the counts are read.
const COUNTS_EVERY: Duration = Duration::from_secs(1);
/// Tries to read counts between which nothing moved, so that they agree with what was drained.
const STEADY_TRIES: usize = 4;

/// Drains the rings until `stop`, then once more.
pub struct Reader {
    programs: Programs,
    feed: Feed,
    sequences: Sequences,
    counts: Counts,
    wakes: Wakes,
    page: u64,
    orders: Taken,
    kills: Kills,
}

impl Reader {
    /// A reader of these programs' rings, which tells `kills` of OOM kills; and where it takes orders to arm containers.
    ///
    /// # Errors
    /// When the kernel has no descriptor left to wait with.
    pub fn new(programs: Programs, feed: Feed, kills: Kills) -> std::io::Result<(Self, Orders)> {
        let (given, orders) = orders()?;
        let reader = Self {
            wakes: Wakes::new(&programs.crit, [programs.bulk.as_fd(), orders.as_fd()])?,
            page: rustix::param::page_size() as u64,
            sequences: Sequences::new(programs.taken_over),
            counts: Counts::after(&programs),
            programs,
            feed,
            orders,
            kills,
        };
        Ok((reader, given))
    }

    /// The thread's body.
    pub fn run(mut self, stop: &CancellationToken) {
        let mut count_at = BootTime(0);
        loop {
            let stopping = stop.is_cancelled();
            self.follow_orders();
            let drained = self.drain();
            if let Some(logger) = &mut self.programs.logger {
                logger.flush();
            }
            let now = clock::boot_now();
            if stopping || now >= count_at {
                self.count(now);
                count_at = now.plus(clock::until_next(now, COUNTS_EVERY));
            }
            match drained {
                _ if stopping => return,
                Drained::All => self.wakes.wait(count_at.since(now)),
                Drained::More => {}
                Drained::Blocked => std::thread::sleep(BLOCKED_PAUSE),
            }
        }
    }

    /// Arms and disarms containers.
    fn follow_orders(&mut self) {
        let tails = &mut self.programs.tails;
        let told: Vec<Record> = self
            .orders
            .each()
            .filter_map(|order| tails.follow(order, clock::boot_now()))
            .collect();
        self.feed.offer(LaneName::Decisive, told);
    }

    /// Takes all of CRIT and a bounded part of BULK.
    fn drain(&mut self) -> Drained {
        let Self {
            programs,
            feed,
            sequences,
            counts,
            page,
            kills,
            ..
        } = self;
        let mut crit = Lane {
            name: LaneName::Decisive,
            feed,
            sequences,
            counts,
            heard: &mut programs.heard,
            tails: &mut programs.tails,
            page: *page,
            kills,
        };
        loop {
            match crit.take(&mut programs.crit) {
                Some(true) => {}
                Some(false) => return Drained::Blocked,
                None => break,
            }
        }
        while programs.tails.has_waiting() {
            let Some(place) = feed.place(LaneName::Bulk) else {
                return Drained::Blocked;
            };
            if let Some(batch) = programs.tails.next_batch() {
                place.send(batch);
            }
        }
        let mut bulk = Lane {
            name: LaneName::Bulk,
            feed,
            sequences,
            counts,
            heard: &mut programs.heard,
            tails: &mut programs.tails,
            page: *page,
            kills,
        };
        for _ in 0..BULK_BATCHES_PER_TURN {
            match bulk.take(&mut programs.bulk) {
                Some(true) => {}
                Some(false) => return Drained::Blocked,
                None => return Drained::All,
            }
        }
        Drained::More
    }

    /// Reads the counts at a moment at which everything they speak of has been drained, if there is one.
    fn count(&mut self, now: BootTime) {
        for _ in 0..STEADY_TRIES {
            let before = self.counts.read_tally(&self.programs);
            let drained = self.drain();
            let after = self.counts.read_tally(&self.programs);
            if matches!(drained, Drained::All) && before == after {
                break;
            }
        }
        // Few, and not to be lost to the flood they count: they go the decisive records' way. Without a place there
        // they wait for the next look, for the kernel's counts only grow.
        let Some(place) = self.feed.place(LaneName::Decisive) else {
            return;
        };
        let reported = self.counts.report(&mut self.programs, now, &self.feed);
        let mut batch = reported.calls;
        let calls = counts::node_calls(&self.programs);
        let governed = self.programs.tails.govern(now, calls);
        batch.extend(governed.records);
        batch.push(Record {
            at: now,
            subject: Subject::Node,
            event: Event::KernelTally(reported.tally),
        });
        place.send(batch);
        self.sequences.check(&reported.ring_full);
        if let Some(calls) = governed.calls {
            let health = self.health(calls);
            announce(SourceName::Ebpf, now, health, &self.feed);
        }
    }

    /// How this source fares while calls that fail are told, or are not and why.
    fn health(&self, calls: Result<(), String>) -> Health {
        match (calls, hooks_health(&self.programs.hooks)) {
            (Ok(()), hooks) => hooks,
            (Err(why), Health::Degraded(missing)) => Health::Degraded(format!("{why}; {missing}")),
            (Err(why), _) => Health::Degraded(why),
        }
    }
}

/// How the kernel source fares with the hooks it got: a hook that is missing is named with what is lost by it.
#[must_use]
pub fn hooks_health(hooks: &[Hook]) -> Health {
    let missing: Vec<String> = hooks
        .iter()
        .filter_map(|hook| {
            Some(format!(
                "{}: {}",
                hook.tracepoint,
                hook.program.as_ref().err()?
            ))
        })
        .collect();
    match missing.is_empty() {
        true => Health::Ok,
        false => Health::Degraded(format!("hooks missing: {}", missing.join("; "))),
    }
}

/// What a turn left in the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// Nothing.
    All,
    /// Bulk records beyond the bound of a turn.
    More,
    /// Records for which the recorder's queue has no room yet.
    Blocked,
}

/// One lane during one turn.
struct Lane<'a> {
    name: LaneName,
    feed: &'a Feed,
    sequences: &'a mut Sequences,
    counts: &'a mut Counts,
    heard: &'a mut Heard,
    tails: &'a mut Tails,
    page: u64,
    kills: &'a Kills,
}

impl Lane<'_> {
    /// Moves one batch from the ring to the feed. `None`: the ring is empty. False: the feed is full.
    fn take(&mut self, ring: &mut Ring) -> Option<bool> {
        let Some(place) = self.feed.place(self.name) else {
            return Some(false);
        };
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some(decoded) = ring.take(|bytes| decode::decode(bytes, self.page)) else {
                break;
            };
            match decoded {
                Some(decoded) => {
                    self.sequences.note(decoded.kind, decoded.cpu, decoded.seq);
                    self.counts.note(&decoded.record);
                    if let Event::Oom(oom) = &decoded.record.event {
                        self.kills.tell(oom);
                    }
                    // What was said before the end comes before it.
                    batch.append(&mut self.heard.at_death(&decoded.record));
                    batch.extend(self.tails.at_death(&decoded.record));
                    batch.push(decoded.record);
                }
                None => self.feed.lose(Class::Recorder, LossCause::Malformed, 1),
            }
        }
        if batch.is_empty() {
            return None;
        }
        place.send(batch);
        Some(true)
    }
}
