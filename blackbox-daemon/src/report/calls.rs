//! Failed calls as people know them: by name, with what they were about, and an error that came late with the call it
//! belongs to.
//!
//! Reads the bulk records of a death; makes rows that `diagnosis` decides from and a report shows folded. A `connect` that
//! does not wait fails with `EINPROGRESS` and tells its outcome through `getsockopt(SO_ERROR)`: the two are one failure here.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::FailedCalls;
use crate::clock::WallOffset;
use crate::record::{BootTime, Event, Process, ProcessKey, Record, RecordId};
use crate::words;

/// Under way (asm-generic/errno.h).
const EINPROGRESS: u16 = 115;
/// Most rows of failed calls in one report: nobody reads more, and the head of a report is held in memory. Each call is in
/// its telemetry all the same.
pub const MAX_KINDS: usize = 1_000;
const CONNECT: &str = "connect";
const GETSOCKOPT: &str = "getsockopt";

/// One call that failed.
#[derive(Clone, Debug)]
pub struct Failed<'a> {
    pub id: RecordId,
    pub at: BootTime,
    pub process: Process,
    /// `openat`.
    pub call: Cow<'static, str>,
    pub errno: u16,
    /// A path, the address of a socket.
    pub argument: Option<&'a str>,
    /// The first three arguments as the registers held them.
    pub args: [u64; 3],
}

impl Failed<'_> {
    /// In words: `openat /etc/app.yaml → ENOENT`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let argument = self.argument.map(words::printable);
        let argument = argument.map_or(String::new(), |argument| format!(" {argument}"));
        format!("{}{argument} → {}", self.call, words::errno(self.errno))
    }

    /// An `open` that only wants to read (open(2): the lowest two bits of the flags are 0).
    #[must_use]
    pub fn opens_to_read(&self) -> bool {
        let flags = match &*self.call {
            "open" => self.args[1],
            "openat" => self.args[2],
            _ => return false,
        };
        flags & 3 == 0
    }

    /// A `connect` of which only is known that it began.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.errno == EINPROGRESS && self.call == CONNECT
    }
}

/// The failed calls among the records, in order of time.
#[must_use]
pub fn failed(bulk: &[(RecordId, Record)]) -> Vec<Failed<'_>> {
    let mut calls: Vec<Failed<'_>> = bulk.iter().filter_map(failed_call).collect();
    calls.sort_by_key(|call| (call.at, call.id));
    // The peer of the last connect of each descriptor.
    let mut peers: HashMap<(ProcessKey, u64), &str> = HashMap::new();
    for call in &mut calls {
        let socket = (call.process.key, call.args[0]);
        if call.call == CONNECT {
            match call.argument {
                Some(peer) => peers.insert(socket, peer),
                None => peers.remove(&socket),
            };
        } else if call.call == GETSOCKOPT
            && let Some(peer) = peers.get(&socket)
        {
            call.call = Cow::Borrowed(CONNECT);
            call.argument = Some(peer);
        }
    }
    calls
}

fn failed_call((id, record): &(RecordId, Record)) -> Option<Failed<'_>> {
    let Event::FailedCall(call) = &record.event else {
        return None;
    };
    let failed = Failed {
        id: *id,
        at: record.at,
        process: *record.subject.process()?,
        call: words::call(call.nr, call.compat),
        errno: call.errno,
        argument: call.argument.as_deref(),
        args: call.args,
    };
    Some(failed)
}

/// What makes calls alike: name, error and argument.
type Alike<'a> = (&'a str, u16, Option<&'a str>);

/// Calls that are alike.
struct Kind {
    count: u64,
    first: BootTime,
    last: BootTime,
    /// One of them is cited.
    told: bool,
}

/// By failing these calls answer a question, in every program: is it a terminal, can it seek, is it a link, is there a list
/// of libraries to load first (ioctl_tty(2), lseek(2), readlink(2), ld.so(8)).
fn is_question((call, errno, argument): Alike<'_>) -> bool {
    const ENOENT: u16 = 2;
    const EINVAL: u16 = 22;
    const ENOTTY: u16 = 25;
    const ESPIPE: u16 = 29;
    matches!(
        (call, errno, argument),
        ("ioctl", ENOTTY, _)
            | ("lseek", ESPIPE, _)
            | ("readlink", EINVAL, _)
            | ("access", ENOENT, Some("/etc/ld.so.preload"))
    )
}

/// Folded by name, error and argument: those of which one is among `cited` first, those that only answer a question last,
/// else the most frequent first; at most [`MAX_KINDS`]. With how many more there are.
#[must_use]
pub fn folded(
    calls: &[Failed<'_>],
    cited: &BTreeSet<RecordId>,
    wall: WallOffset,
) -> (Vec<FailedCalls>, u64) {
    let mut folded: BTreeMap<Alike<'_>, Kind> = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.is_under_way()) {
        let key = (&*call.call, call.errno, call.argument);
        let kind = folded.entry(key).or_insert(Kind {
            count: 0,
            first: call.at,
            last: call.at,
            told: false,
        });
        kind.count += 1;
        kind.first = kind.first.min(call.at);
        kind.last = kind.last.max(call.at);
        kind.told |= cited.contains(&call.id);
    }
    let mut kinds: Vec<_> = folded.into_iter().collect();
    kinds.sort_by_key(|(alike, kind)| {
        std::cmp::Reverse((kind.told, !is_question(*alike), kind.count))
    });
    let left_out = kinds.len().saturating_sub(MAX_KINDS) as u64;
    let shown = kinds.into_iter().take(MAX_KINDS);
    let rows = shown.map(|((call, errno, argument), kind)| FailedCalls {
        call: call.to_owned(),
        errno: words::errno(errno).into_owned(),
        argument: argument.map(|argument| words::printable(argument).into_owned()),
        count: kind.count,
        first: Some(wall.wall(kind.first)),
        last: wall.wall(kind.last),
    });
    (rows.collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CgroupId, Comm, FailedCall, Subject};

    fn call(at: u64, name: &str, errno: u16, fd: u64, peer: Option<&str>) -> (RecordId, Record) {
        let start = BootTime(1);
        let process = Process {
            key: ProcessKey { tgid: 7, start },
            tid: 7,
            comm: Comm::from_text("app"),
            cgroup: CgroupId(1),
        };
        let event = Event::FailedCall(FailedCall {
            nr: name.parse::<syscalls::Sysno>().unwrap().id() as u32,
            errno,
            args: [fd, 0, 0],
            argument: peer.map(str::to_owned),
            compat: false,
        });
        let at = BootTime(at);
        let subject = Subject::Process(process);
        (RecordId(at.0), Record { at, subject, event })
    }

    #[test]
    fn a_late_error_is_that_of_its_connect() {
        let records = [
            call(1, "connect", EINPROGRESS, 5, Some("10.0.0.1:80")),
            call(2, "connect", EINPROGRESS, 6, Some("10.0.0.2:80")),
            call(3, "getsockopt", 111, 5, None),
            call(4, "getsockopt", 110, 9, None),
        ];
        let calls = failed(&records);
        assert_eq!(calls[2].in_words(), "connect 10.0.0.1:80 → ECONNREFUSED");
        assert_eq!(calls[3].in_words(), "getsockopt → ETIMEDOUT");
        let (rows, left_out) = folded(
            &calls,
            &BTreeSet::from([RecordId(4)]),
            WallOffset::from_nanos(0),
        );
        assert_eq!(left_out, 0);
        let errors: Vec<&str> = rows.iter().map(|row| row.errno.as_str()).collect();
        assert_eq!(errors, ["ETIMEDOUT", "ECONNREFUSED"]);
    }
    #[test]
    fn of_many_kinds_the_cited_and_the_frequent_are_shown() {
        let paths: Vec<String> = (0..1_500).map(|number| format!("/{number}")).collect();
        let mut records: Vec<_> = (1..)
            .zip(&paths)
            .map(|(at, path)| call(at, "openat", 2, 0, Some(path)))
            .collect();
        records.push(call(2_000, "openat", 2, 0, Some("/1400")));
        let cited = BTreeSet::from([RecordId(1_500)]);
        let (rows, left_out) = folded(&failed(&records), &cited, WallOffset::from_nanos(0));
        assert_eq!((rows.len(), left_out), (MAX_KINDS, 500));
        assert_eq!(rows[0].argument.as_deref(), Some("/1499"));
        assert_eq!(rows[1].argument.as_deref(), Some("/1400"));
    }
}
