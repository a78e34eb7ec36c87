//! The scene of a death: who died, and the decisive records around it.

use std::time::Duration;

use super::SIGABRT;
use super::cluster::Word;
use crate::identity::Names;
use crate::record::{CgroupId, Event, Exit, Oom, Process, Record, RecordId, Signal, SignalSent};
use crate::words;

/// From the SIGABRT of `abort()` to the instruction by which it ends a process that ignored it.
const ABORT_TAKES: Duration = Duration::from_millis(100);

/// What a verdict is made from: one death and the decisive records around it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Who died.
    pub victim: Process,
    /// The decisive records of the slice, in order of arrival.
    pub records: &'a [(RecordId, Record)],
    pub names: &'a Names,
    /// No decisive record of this slice is missing, so "there was no …" may be said.
    pub complete: bool,
    /// What the cluster says of the victim's container.
    pub word: Option<Word<'a>>,
}

impl Scene<'_> {
    pub(super) fn about_victim(&self) -> impl Iterator<Item = (RecordId, &Record)> {
        let is_victim = |record: &Record| {
            record
                .subject
                .process()
                .is_some_and(|process| process.key == self.victim.key)
        };
        self.records
            .iter()
            .filter(move |(_, record)| is_victim(record))
            .map(|(id, r)| (*id, r))
    }

    /// The death itself.
    #[must_use]
    pub fn exit(&self) -> Option<(RecordId, &Record, &Exit)> {
        self.about_victim()
            .find_map(|(id, record)| match &record.event {
                Event::Exit(exit) => Some((id, record, exit)),
                _ => None,
            })
    }

    pub(super) fn oom(&self) -> Option<(RecordId, &Oom)> {
        self.about_victim()
            .find_map(|(id, record)| match &record.event {
                Event::Oom(oom) => Some((id, oom)),
                _ => None,
            })
    }

    /// The first signal by which another process asked the victim to stop, and of which it did not die: it handles it,
    /// waits for it, or ignores it.
    pub(crate) fn asked_to_stop(&self) -> Option<(RecordId, SignalSent)> {
        let died_of = self.exit().and_then(|(_, _, exit)| exit.status.signal());
        self.about_victim()
            .find_map(|(id, record)| match &record.event {
                Event::Signal(sent) => {
                    let signal = &sent.signal;
                    let asked = signal.asks_to_stop() && signal.from_user();
                    let other = signal.sender.key != self.victim.key;
                    let lived = died_of != Some(signal.number);
                    (asked && other && lived).then_some((id, *sent))
                }
                _ => None,
            })
    }

    /// The SIGABRT that the faulting thread sent its own process right before, and that the process ignored: the first one of
    /// a container does, without a handler.
    pub(super) fn abort_before(&self, fault: &Signal) -> Option<(RecordId, Signal)> {
        self.about_victim()
            .filter_map(|(id, record)| match &record.event {
                Event::Signal(sent) if sent.ignored => Some((id, sent.signal)),
                _ => None,
            })
            .filter(|(_, signal)| {
                let own = signal.number == SIGABRT && signal.sender.key == self.victim.key;
                let soon = signal.at <= fault.at && fault.at.since(signal.at) <= ABORT_TAKES;
                own && soon && signal.sender.tid == fault.sender.tid
            })
            .last()
    }

    /// The record of this very signal to the victim.
    pub(super) fn sent(&self, number: u32, like: Option<&Signal>) -> Option<(RecordId, Signal)> {
        self.about_victim()
            .find_map(|(id, record)| match &record.event {
                Event::Signal(sent) if sent.signal.number == number && sent.fatal => like
                    .is_none_or(|like| like.at == sent.signal.at)
                    .then_some((id, sent.signal)),
                _ => None,
            })
    }

    /// The process in words, with where it lives: for headlines.
    pub(super) fn who(&self, process: &Process) -> String {
        format!(
            "{} in {}",
            words::process(process),
            self.names.describe(process.cgroup)
        )
    }

    /// The same with its executable.
    pub(super) fn who_exactly(&self, process: &Process) -> String {
        let place = self.names.describe(process.cgroup);
        format!("{} in {place}", words::process_and_exe(process, self.names))
    }

    pub(super) fn path(&self, cgroup: CgroupId) -> Option<&str> {
        self.names.cgroup(cgroup).map(|known| known.path.as_str())
    }
}
