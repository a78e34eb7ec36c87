//! The kernel's side of tails: which cgroups are armed, and the places where their calls are kept by overwriting.
//!
//! Reads and writes maps; makes records. Guarantee: a call is a record only if it was whole when it was read.

use aya::maps::{Array, MapData, MapError};
use blackbox_common::ABSENT_U64;
use blackbox_common::tail::{ARMED_SETS, ArmedSet, TAIL_COMPAT, TAIL_LEN, TailEntry};

use crate::record::{
    BootTime, Call, CgroupId, Comm, Event, Process, ProcessKey, Record, Subject, TailRead,
};
use crate::sources::ebpf::argument;
use crate::sources::ebpf::wire::Plain;

/// The kernel's maps of tails.
pub(in crate::sources::ebpf) struct Maps {
    pub(in crate::sources::ebpf) armed: Array<MapData, Plain<ArmedSet>>,
    pub(in crate::sources::ebpf) entries: Array<MapData, Plain<TailEntry>>,
    pub(in crate::sources::ebpf) heads: Array<MapData, u64>,
}

impl Maps {
    /// Tells the programs that a cgroup's calls go to this slot.
    pub(super) fn arm(&mut self, cgroup: CgroupId, slot: u32) -> Result<(), String> {
        let (index, mut set) = self.set_of(cgroup).map_err(|error| error.to_string())?;
        let free = set.cgroups.iter().position(|armed| *armed == 0);
        let way = free.ok_or("the others that are armed fill its place in the kernel's table")?;
        set.slots[way] = slot;
        let mut write = |set| self.armed.set(index, Plain(set), 0);
        // A program that reads meanwhile finds the slot where it finds the cgroup.
        write(set).map_err(|error| error.to_string())?;
        set.cgroups[way] = cgroup.0;
        write(set).map_err(|error| error.to_string())
    }

    pub(super) fn disarm(&mut self, cgroup: CgroupId) -> Result<(), MapError> {
        let (index, mut set) = self.set_of(cgroup)?;
        for armed in set.cgroups.iter_mut().filter(|armed| **armed == cgroup.0) {
            *armed = 0;
        }
        self.armed.set(index, Plain(set), 0)
    }

    /// How many calls a slot was given so far.
    pub(super) fn head(&self, slot: u32) -> Result<u64, MapError> {
        self.heads.get(&slot, 0)
    }

    /// The calls of a slot, which is of `cgroup`, since the one of number `read_to`.
    pub(super) fn read(
        &self,
        number: u32,
        read_to: u64,
        cgroup: CgroupId,
    ) -> (TailRead, Vec<Record>) {
        let head = self.head(number).unwrap_or(read_to);
        let calls = head.saturating_sub(read_to);
        let overwritten = calls.saturating_sub(u64::from(TAIL_LEN));
        let mut read = TailRead {
            calls,
            overwritten,
            torn: 0,
        };
        let mut records = Vec::with_capacity(usize::try_from(calls - overwritten).unwrap_or(0));
        for call in read_to + overwritten + 1..=head {
            // The kernel's own arithmetic: a slot's places follow each other.
            let index = number * TAIL_LEN + (call as u32 & (TAIL_LEN - 1));
            match self.entries.get(&index, 0) {
                Ok(Plain(entry)) if entry.number == call => {
                    records.push((call, self::record(&entry, cgroup)));
                }
                _ => read.torn += 1,
            }
        }
        // A call's number is given before its place is written: what these calls did not reach was not touched.
        let since = self.head(number).unwrap_or(u64::MAX);
        let whole = |(call, _): &(u64, Record)| call + u64::from(TAIL_LEN) > since;
        let all = records.len();
        records.retain(whole);
        read.torn += (all - records.len()) as u64;
        (
            read,
            records.into_iter().map(|(_, record)| record).collect(),
        )
    }

    /// Where a cgroup has its place, by the kernel's own arithmetic.
    fn set_of(&self, cgroup: CgroupId) -> Result<(u32, ArmedSet), MapError> {
        let index = cgroup.0 as u32 & (ARMED_SETS - 1);
        Ok((index, self.armed.get(&index, 0)?.0))
    }
}

fn record(entry: &TailEntry, cgroup: CgroupId) -> Record {
    let told = entry.arg.get(..entry.len as usize);
    Record {
        at: BootTime(entry.at),
        subject: Subject::Process(Process {
            key: ProcessKey {
                tgid: entry.tgid,
                start: BootTime(entry.start),
            },
            tid: entry.tid,
            comm: Comm::new(entry.comm),
            cgroup,
        }),
        event: Event::Call(Call {
            nr: entry.nr,
            ret: entry.ret,
            took: (entry.took != ABSENT_U64).then_some(entry.took),
            args: entry.args,
            argument: told.and_then(|told| argument::text(entry.kind, told)),
            compat: entry.flags & TAIL_COMPAT != 0,
        }),
    }
}
