//! Where each thread of an ended process was: the call it waited in, or had just made, or its own program.
//!
//! Reads the decisive records of a death; makes rows, the waiting ones first. Threads that waited in the same way are one
//! row: of 200 threads of a pool it is enough to know that 199 wait for work.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::WallOffset;
use crate::record::{BootTime, Event, LastCall, Process, Record, RecordId};
use crate::words;

/// Threads of one process that were in the same call at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastCalls {
    /// The record of the first of them.
    pub id: RecordId,
    pub pid: u32,
    /// Name of the first of the threads …
    pub thread: String,
    /// … and its id.
    pub tid: u32,
    /// How many threads.
    pub threads: u64,
    /// The call's name: `futex`; missing: they were in no call, but ran the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The call with its arguments: `read(fd 5, 0x7ffd10, 0x1000)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// What it returned; missing: they were waiting in it when the end came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
    /// When the first of them began the call, where that was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl LastCalls {
    /// In words: `3 threads waited in futex(0x7f10, 0x80, 0x2)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let who = match self.threads {
            1 => format!("thread {} ({})", self.thread, self.tid),
            count => format!(
                "{count} threads, one of them {} ({})",
                self.thread, self.tid
            ),
        };
        let since = self.since.map_or(String::new(), |since| {
            format!(" since {}", since.strftime("%H:%M:%S.%3f"))
        });
        match (&self.what, &self.returned) {
            (None, _) => format!("{who}: in no call, running the program"),
            (Some(what), None) => format!("{who}: waiting in {what}{since}"),
            (Some(what), Some(returned)) => format!("{who}: had called {what} → {returned}"),
        }
    }
}

/// What makes last calls alike.
type Alike = (u32, bool, Option<u32>, i64);

/// The rows, those that waited first, then by how many threads they are.
#[must_use]
pub(super) fn rows<'a>(
    decisive: impl IntoIterator<Item = &'a (RecordId, Record)>,
    wall: WallOffset,
) -> Vec<LastCalls> {
    let mut rows: BTreeMap<Alike, (LastCalls, Option<BootTime>)> = BTreeMap::new();
    for (id, record) in decisive {
        let (Event::LastCall(last), Some(process)) = (&record.event, record.subject.process())
        else {
            continue;
        };
        let returned = if last.waited() { 0 } else { last.ret };
        let key = (process.key.tgid, !last.waited(), last.nr, returned);
        let (row, since) = rows
            .entry(key)
            .or_insert_with(|| (row(*id, last, process), last.since));
        row.threads += 1;
        *since = (*since).into_iter().chain(last.since).min();
    }
    let mut rows: Vec<LastCalls> = rows
        .into_values()
        .map(|(row, since)| LastCalls {
            since: since.map(|at| wall.wall(at)),
            ..row
        })
        .collect();
    rows.sort_by_key(|row| {
        let waited = row.call.is_some() && row.returned.is_none();
        (!waited, std::cmp::Reverse(row.threads), row.id)
    });
    rows
}

fn row(id: RecordId, last: &LastCall, process: &Process) -> LastCalls {
    let call = last.nr.map(|nr| words::call(nr, last.compat).into_owned());
    LastCalls {
        id,
        pid: process.key.tgid,
        thread: process.comm.to_string(),
        tid: process.tid,
        threads: 0,
        what: call
            .as_deref()
            .map(|call| words::called(call, None, last.args).to_string()),
        returned: (last.nr.is_some() && !last.waited()).then(|| words::returned(last.ret)),
        call,
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CgroupId, Comm, ProcessKey, Subject};

    fn thread(tid: u32, call: Option<&str>, ret: i64, since: Option<u64>) -> (RecordId, Record) {
        let start = BootTime(1);
        let process = Process {
            key: ProcessKey { tgid: 7, start },
            tid,
            comm: Comm::from_text(&format!("worker-{tid}")),
            cgroup: CgroupId(1),
        };
        let number = |call: &str| call.parse::<syscalls::Sysno>().unwrap().id() as u32;
        let event = Event::LastCall(LastCall {
            nr: call.map(number),
            args: [5, 0x80, 0],
            ret,
            since: since.map(BootTime),
            compat: false,
        });
        let record = Record {
            at: BootTime(100),
            subject: Subject::Process(process),
            event,
        };
        (RecordId(u64::from(tid)), record)
    }

    #[test]
    fn threads_that_waited_alike_are_one_row_and_come_first() {
        let records = [
            thread(7, Some("tgkill"), 0, None),
            thread(8, Some("futex"), -512, Some(9_000)),
            thread(9, Some("futex"), -512, Some(5_000)),
            thread(10, None, 3, None),
            thread(11, Some("read"), -512, None),
        ];
        let rows = rows(&records, WallOffset::from_nanos(0));
        let said: Vec<String> = rows.iter().map(LastCalls::in_words).collect();
        assert_eq!(
            said,
            [
                "2 threads, one of them worker-8 (8): waiting in futex(0x5, 0x80, 0x0) since 00:00:00.000",
                "thread worker-11 (11): waiting in read(fd 5, 0x80, 0x0)",
                "thread worker-7 (7): had called tgkill(0x5, 0x80, 0x0) → 0",
                "thread worker-10 (10): in no call, running the program",
            ]
        );
        assert_eq!(rows[0].id, RecordId(8));
    }
}
