//! What the kernel programs counted: totals by class, and each cgroup's failing calls since the last look.
//!
//! Totals only grow. Losses among them are handed to the feed once each, which makes them gaps.

use std::collections::HashMap;
use std::time::Duration;

use blackbox_common::header::Kind;
use blackbox_common::syscall::SyscallAccount;
use blackbox_common::tally::Tally;

use super::decode::class;
use super::load::Programs;
use super::wire::Plain;
use crate::record::{
    BootTime, CallCounts, CgroupId, Class, Event, KernelTally, LossCause, Record, Subject, TallyRow,
};
use crate::sources::Feed;

/// How long a removed cgroup's account is kept: its last calls must have been counted.
const ACCOUNT_GRACE: Duration = Duration::from_secs(3);

/// The previous look.
#[derive(Debug)]
pub(super) struct Counts {
    rows: Vec<TallyRow>,
    placeless: [(Class, u64); 2],
    accounts: HashMap<u64, SyscallAccount>,
    /// Cgroups whose removal was seen, and when.
    removed: Vec<(u64, BootTime)>,
}

/// All CPUs' counts in one.
fn sum(cpus: impl IntoIterator<Item = Tally>) -> Tally {
    let mut sum = Tally::default();
    for tally in cpus {
        for kind in 0..Kind::COUNT {
            sum.tried[kind] += tally.tried[kind];
            sum.ring_full[kind] += tally.ring_full[kind];
        }
        sum.throttled += tally.throttled;
        sum.unaccounted += tally.unaccounted;
        sum.unheard += tally.unheard;
        sum.untold += tally.untold;
        sum.threads_untold += tally.threads_untold;
        sum.calls += tally.calls;
    }
    sum
}

/// The kernel's counters of all CPUs together, by kind where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Totals {
    tried: [u64; Kind::COUNT],
    ring_full: [u64; Kind::COUNT],
    throttled: [u64; Kind::COUNT],
    /// What found no place in a table, by the class that misses it.
    placeless: [(Class, u64); 2],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            tried: [0; Kind::COUNT],
            ring_full: [0; Kind::COUNT],
            throttled: [0; Kind::COUNT],
            placeless: [(Class::CallCounts, 0), (Class::Words, 0)],
        }
    }
}

impl Totals {
    /// Adds those of a CPU, or of all.
    fn add(&mut self, tally: &Tally) {
        // No `..`: what the kernel counts is told.
        let Tally {
            tried,
            ring_full,
            throttled,
            unaccounted,
            unheard,
            untold,
            threads_untold,
            // No record is missing by it, and it moves with every call: `node_calls` reads it.
            calls: _,
        } = tally;
        for kind in 0..Kind::COUNT {
            self.tried[kind] += tried[kind];
            self.ring_full[kind] += ring_full[kind];
        }
        self.throttled[Kind::Syscall as usize] += throttled;
        self.throttled[Kind::Crash as usize] += untold;
        self.throttled[Kind::LastCall as usize] += threads_untold;
        self.placeless[0].1 += unaccounted;
        self.placeless[1].1 += unheard;
    }

    /// By class.
    fn rows(&self) -> Vec<TallyRow> {
        let mut rows: Vec<TallyRow> = Vec::new();
        for kind in Kind::ALL {
            let at = kind as usize;
            let add = TallyRow {
                class: class(kind),
                attempted: self.tried[at] + self.throttled[at],
                throttled: self.throttled[at],
                ring_full: self.ring_full[at],
            };
            match rows.iter_mut().find(|row| row.class == add.class) {
                Some(row) => {
                    row.attempted += add.attempted;
                    row.throttled += add.throttled;
                    row.ring_full += add.ring_full;
                }
                None => rows.push(add),
            }
        }
        rows
    }
}

/// One look.
pub(super) struct Reported {
    pub(super) tally: KernelTally,
    pub(super) calls: Vec<Record>,
    pub(super) ring_full: [u64; Kind::COUNT],
}

/// Calls of the node so far, while `sys_exit` was attached.
pub(super) fn node_calls(programs: &Programs) -> u64 {
    read(programs).calls
}

fn read(programs: &Programs) -> Tally {
    let cpus = programs.tally.get(&0, 0);
    let all = cpus.iter().flat_map(|cpus| cpus.iter());
    sum(all.map(|Plain(tally)| *tally))
}

impl Counts {
    /// Counts that go on from what a former daemon told, if these programs were its.
    pub(super) fn after(programs: &Programs) -> Self {
        let mut told = Totals::default();
        told.add(&programs.told_before());
        let accounts = match programs.taken_over {
            // What its calls came to meanwhile is not known by error; the records tell them.
            true => programs
                .accounts
                .iter()
                .flatten()
                .map(|(id, Plain(account))| (id, account))
                .collect(),
            false => HashMap::new(),
        };
        Self {
            rows: told.rows(),
            placeless: told.placeless,
            accounts,
            removed: Vec::new(),
        }
    }

    /// Notes a removed cgroup, so that its account can be given back.
    pub(super) fn note(&mut self, record: &Record) {
        if let (Event::CgroupRemoved { .. }, Subject::Cgroup(id)) = (&record.event, &record.subject)
        {
            self.removed.push((id.0, record.at));
        }
    }

    /// The counters of all CPUs added up.
    pub(super) fn read_tally(&self, programs: &Programs) -> Totals {
        let mut totals = Totals::default();
        totals.add(&read(programs));
        totals
    }

    /// Reads everything and tells what is new.
    pub(super) fn report(
        &mut self,
        programs: &mut Programs,
        now: BootTime,
        feed: &Feed,
    ) -> Reported {
        let all = read(programs);
        let mut totals = Totals::default();
        totals.add(&all);
        let rows = totals.rows();
        self.tell_losses(&rows, feed);
        programs.present(all);
        let placeless = totals.placeless;
        for ((class, now), (_, before)) in placeless.into_iter().zip(self.placeless) {
            tell(feed, class, LossCause::NoPlace, now - before);
        }
        self.rows.clone_from(&rows);
        self.placeless = placeless;
        let calls = self.calls(programs, now);
        self.give_back(programs, now);
        Reported {
            tally: KernelTally { rows },
            calls,
            ring_full: totals.ring_full,
        }
    }

    fn tell_losses(&self, rows: &[TallyRow], feed: &Feed) {
        for row in rows {
            let before = self.rows.iter().find(|total| total.class == row.class);
            let (throttled, ring_full) =
                before.map_or((0, 0), |total| (total.throttled, total.ring_full));
            tell(
                feed,
                row.class,
                LossCause::Throttled,
                row.throttled - throttled,
            );
            tell(
                feed,
                row.class,
                LossCause::RingFull,
                row.ring_full - ring_full,
            );
        }
    }

    fn calls(&mut self, programs: &Programs, now: BootTime) -> Vec<Record> {
        let mut records = Vec::new();
        for (cgroup, Plain(account)) in programs.accounts.iter().flatten() {
            let before = self.accounts.get(&cgroup);
            if before.is_some_and(|before| before.attempted == account.attempted) {
                continue;
            }
            let event = Event::CallCounts(difference(before, &account));
            self.accounts.insert(cgroup, account);
            records.push(Record {
                at: now,
                subject: Subject::Cgroup(CgroupId(cgroup)),
                event,
            });
        }
        records
    }

    fn give_back(&mut self, programs: &mut Programs, now: BootTime) {
        let (due, keep) = std::mem::take(&mut self.removed)
            .into_iter()
            .partition(|(_, at)| now.since(*at) >= ACCOUNT_GRACE);
        self.removed = keep;
        let due: Vec<(u64, BootTime)> = due;
        for (cgroup, _) in due {
            programs.heard.forget(cgroup);
            programs.tails.forget(CgroupId(cgroup));
            if self.accounts.remove(&cgroup).is_some()
                && let Err(error) = programs.accounts.remove(&cgroup)
            {
                tracing::debug!(cgroup, %error, "the account of a removed cgroup was gone already");
            }
        }
    }
}

fn tell(feed: &Feed, class: Class, cause: LossCause, count: u64) {
    if count > 0 {
        feed.lose(class, cause, count);
    }
}

/// What an account gained.
fn difference(before: Option<&SyscallAccount>, now: &SyscallAccount) -> CallCounts {
    let gained = |field: fn(&SyscallAccount) -> u64| field(now) - before.map_or(0, field);
    let by_errno = (0_u16..)
        .zip(now.by_errno)
        .filter_map(|(errno, count)| {
            let gained = count - before.map_or(0, |before| before.by_errno[usize::from(errno)]);
            (gained > 0).then_some((errno, gained))
        })
        .collect();
    CallCounts {
        attempted: gained(|account| account.attempted),
        throttled: gained(|account| account.throttled),
        ring_full: gained(|account| account.ring_full),
        by_errno,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_the_kernel_counts_is_told() {
        let mut tally = Tally {
            tried: [10; Kind::COUNT],
            ring_full: [1; Kind::COUNT],
            throttled: 5,
            unaccounted: 7,
            unheard: 3,
            untold: 2,
            threads_untold: 6,
            calls: 8,
        };
        let first = tally;
        tally.ring_full = [0; Kind::COUNT];
        let mut totals = Totals::default();
        totals.add(&sum([first, tally]));
        let rows = totals.rows();
        let of = |class| {
            let row = rows.iter().find(|row| row.class == class).unwrap();
            (row.attempted, row.throttled, row.ring_full)
        };
        assert_eq!(of(Class::CrashStack), (24, 4, 1));
        assert_eq!(of(Class::LastCall), (32, 12, 1));
        assert_eq!(of(Class::FailedCall), (30, 10, 1));
        assert_eq!(of(Class::CgroupLifecycle), (40, 0, 2));
        assert_eq!(
            totals.placeless,
            [(Class::CallCounts, 14), (Class::Words, 6)]
        );
    }
}
