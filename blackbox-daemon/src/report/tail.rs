//! The last calls of an armed container, folded: what a thread repeats is one row.
//!
//! Reads the records of calls and of the readings that brought them, in any order; makes rows by the time of their last call, oldest
//! first. Calls of one thread are folded while they have the same name, the same argument (or descriptor) and the same
//! outcome: the same error, or success.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::WallOffset;
use crate::record::{BootTime, Call, Event, Process, Record, RecordId, TailRead};
use crate::words;

/// Most rows of a report, the newest; the calls behind the others are in its telemetry.
const ROWS: usize = 256;

/// The last calls of an armed container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tail {
    /// Calls that are in this report …
    pub kept: u64,
    /// … of so many that were made while it was armed, as far as they were counted within the window.
    pub calls: u64,
    /// Rows before these, for which there was no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_left_out: u64,
    pub rows: Vec<TailRow>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Calls of one thread that are alike and follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TailRow {
    /// The record of the last of them.
    pub id: RecordId,
    /// When the last of them returned.
    pub timestamp: Timestamp,
    pub pid: u32,
    pub tid: u32,
    /// The thread's name.
    pub thread: String,
    /// `connect 10.0.3.7:5432`, `read(fd 5, 0x7ffd10, 0x1000)`.
    pub what: String,
    /// The error's name, or the value of the last of them.
    pub returned: String,
    pub times: u64,
    /// How long the longest of them took; missing: none of them began while it was armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "3.214 s")]
    pub longest: Option<String>,
}

impl TailRow {
    /// In words: `connect 10.0.3.7:5432 → ECONNREFUSED × 41, longest 3.2 ms`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let times = match self.times {
            1 => String::new(),
            times => format!(" × {times}"),
        };
        let longest = self
            .longest
            .as_deref()
            .map_or(String::new(), |longest| match self.times {
                1 => format!(", took {longest}"),
                _ => format!(", longest {longest}"),
            });
        format!("{} → {}{times}{longest}", self.what, self.returned)
    }
}

/// What makes calls alike: name, the argument or else the first register, and the error.
type Alike = (u32, bool, Option<String>, u64, Option<i64>);

/// Rows while they are made.
#[derive(Debug, Default)]
pub(super) struct Fold {
    rows: Vec<(BootTime, TailRow, Option<u64>)>,
    /// What each thread does now, and where its row is.
    current: HashMap<u32, (Alike, usize)>,
    kept: u64,
    calls: u64,
}

impl Fold {
    /// Folds what concerns the death; calls in order of time.
    pub(super) fn of<'a>(
        records: impl IntoIterator<Item = &'a (RecordId, Record)>,
        wall: WallOffset,
    ) -> Option<Tail> {
        let mut fold = Self::default();
        let mut calls = Vec::new();
        for (id, record) in records {
            match (&record.event, record.subject.process()) {
                (Event::Call(call), Some(process)) => calls.push((record.at, *id, call, process)),
                (Event::TailRead(read), _) => fold.read(read),
                _ => {}
            }
        }
        calls.sort_by_key(|(at, id, ..)| (*at, *id));
        for (at, id, call, process) in calls {
            fold.call((at, id), call, process, wall);
        }
        fold.finish()
    }

    fn read(&mut self, read: &TailRead) {
        self.calls += read.calls;
    }

    fn call(
        &mut self,
        (at, id): (BootTime, RecordId),
        call: &Call,
        of: &Process,
        wall: WallOffset,
    ) {
        self.kept += 1;
        let error = (-4095..0).contains(&call.ret).then_some(call.ret);
        let register = match call.argument {
            Some(_) => 0,
            None => call.args[0],
        };
        let alike = (call.nr, call.compat, call.argument.clone(), register, error);
        let place = match self.current.get(&of.tid) {
            Some((current, place)) if *current == alike => *place,
            _ => {
                self.rows.push((at, row(id, call, of), None));
                self.current.insert(of.tid, (alike, self.rows.len() - 1));
                self.rows.len() - 1
            }
        };
        let Some((last, row, longest)) = self.rows.get_mut(place) else {
            return;
        };
        *last = at;
        *longest = (*longest).max(call.took);
        row.id = id;
        row.timestamp = wall.wall(at);
        row.times += 1;
        row.returned = words::returned(call.ret);
    }

    fn finish(mut self) -> Option<Tail> {
        if self.kept == 0 && self.calls == 0 {
            return None;
        }
        self.rows.sort_by_key(|(at, row, _)| (*at, row.id));
        let left_out = self.rows.len().saturating_sub(ROWS);
        let rows = self.rows.into_iter().skip(left_out);
        let rows = rows.map(|(_, row, longest)| TailRow {
            longest: longest.map(|nanos| words::duration(Duration::from_nanos(nanos))),
            ..row
        });
        Some(Tail {
            kept: self.kept,
            calls: self.calls.max(self.kept),
            rows_left_out: left_out as u64,
            rows: rows.collect(),
        })
    }
}

fn row(id: RecordId, call: &Call, of: &Process) -> TailRow {
    let name = words::call(call.nr, call.compat);
    TailRow {
        id,
        timestamp: Timestamp::UNIX_EPOCH,
        pid: of.key.tgid,
        tid: of.tid,
        thread: of.comm.to_string(),
        what: words::called(&name, call.argument.as_deref(), call.args).to_string(),
        returned: String::new(),
        times: 0,
        longest: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CgroupId, Comm, ProcessKey, Subject};

    fn call(at: u64, tid: u32, name: &str, argument: Option<&str>, ret: i64) -> (RecordId, Record) {
        let start = BootTime(1);
        let process = Process {
            key: ProcessKey { tgid: 7, start },
            tid,
            comm: Comm::from_text("app"),
            cgroup: CgroupId(1),
        };
        let event = Event::Call(Call {
            nr: name.parse::<syscalls::Sysno>().unwrap().id() as u32,
            ret,
            took: Some(at * 1_000_000),
            args: [5, 2, 3],
            argument: argument.map(str::to_owned),
            compat: false,
        });
        let record = Record {
            at: BootTime(at),
            subject: Subject::Process(process),
            event,
        };
        (RecordId(at), record)
    }

    #[test]
    fn what_a_thread_repeats_is_one_row_also_when_another_comes_between() {
        let records = [
            call(1, 7, "connect", Some("10.0.3.7:5432"), -111),
            call(2, 8, "read", None, 4096),
            call(3, 7, "connect", Some("10.0.3.7:5432"), -111),
            call(5, 8, "read", None, 100),
            call(4, 7, "connect", Some("10.0.3.8:5432"), -111),
            (
                RecordId(9),
                Record {
                    at: BootTime(9),
                    subject: Subject::Cgroup(CgroupId(1)),
                    event: Event::TailRead(TailRead {
                        calls: 50,
                        overwritten: 45,
                        torn: 0,
                    }),
                },
            ),
        ];
        let tail = Fold::of(&records, WallOffset::from_nanos(0)).unwrap();
        let said: Vec<String> = tail.rows.iter().map(TailRow::in_words).collect();
        assert_eq!(
            said,
            [
                "connect 10.0.3.7:5432 → ECONNREFUSED × 2, longest 3.0 ms",
                "connect 10.0.3.8:5432 → ECONNREFUSED, took 4.0 ms",
                "read(fd 5, 0x2, 0x3) → 100 × 2, longest 5.0 ms",
            ]
        );
        assert_eq!((tail.kept, tail.calls, tail.rows_left_out), (5, 50, 0));
    }

    #[test]
    fn nothing_armed_is_no_tail() {
        assert_eq!(Fold::of(&[], WallOffset::from_nanos(0)), None);
    }
}
