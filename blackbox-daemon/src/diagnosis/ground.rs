//! What rules read: the verdict, and the records and files around one death.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::record::{BootTime, CgroupId, Event, Exit, MemoryUse, Record, RecordId};
use crate::report::calls::Failed;
use crate::report::{LogTail, Stack};
use crate::verdict::{Grade, Scene, Statement, Verdict};

/// What is said and what fails within this time before an end may be about it.
pub(super) const LATELY: Duration = Duration::from_secs(5);

/// Everything a diagnosis is made from.
#[derive(Debug)]
pub struct Ground<'a> {
    pub verdict: &'a Verdict,
    /// The death, where the kernel saw it.
    pub scene: Option<&'a Scene<'a>>,
    /// The cgroups it happened in.
    pub subjects: &'a BTreeSet<CgroupId>,
    /// The decisive records of the slice …
    pub decisive: &'a [(RecordId, Record)],
    /// … and the samples of cgroups that concern it, both in order of arrival.
    pub samples: &'a [(RecordId, Record)],
    /// The failed calls that concern it, in order of time.
    pub calls: &'a [Failed<'a>],
    /// No failed call of the subjects is missing for the last 10 s before the incident.
    pub calls_whole: bool,
    pub stack: Option<&'a Stack>,
    pub log: Option<&'a LogTail>,
    /// When the incident happened.
    pub at: BootTime,
}

impl<'a> Ground<'a> {
    /// The death, as the kernel recorded it.
    pub(super) fn exit(&self) -> Option<(RecordId, BootTime, &'a Exit)> {
        let (id, record, exit) = self.scene?.exit()?;
        Some((id, record.at, exit))
    }

    /// The code it exited with: by the kernel's record, else by the kubelet's word.
    pub(super) fn exit_code(&self) -> Option<u32> {
        match self.exit() {
            Some((_, _, exit)) => exit.status.code(),
            None => {
                let told = self.verdict.facts.get("exit_code")?.as_u64()?;
                u32::try_from(told).ok()
            }
        }
    }

    /// When it ended, as exactly as that is known.
    pub(super) fn end(&self) -> BootTime {
        self.exit().map_or(self.at, |(_, at, _)| at)
    }

    /// The failed calls of the last time before the end.
    pub(super) fn late_calls(&self) -> impl DoubleEndedIterator<Item = &Failed<'a>> {
        let (end, from) = (self.end(), self.end().minus(2 * LATELY));
        let calls = self.calls.iter();
        calls.filter(move |call| call.at <= end && call.at >= from)
    }

    /// Samples of the memory of the subjects, oldest first.
    pub(super) fn memory(&self) -> impl Iterator<Item = (RecordId, BootTime, &'a MemoryUse)> {
        self.samples().filter_map(|(id, at, sample)| {
            let memory = sample.memory.as_ref()?;
            Some((id, at, memory))
        })
    }

    /// Samples of the subjects' cgroups, oldest first.
    pub(super) fn samples(
        &self,
    ) -> impl Iterator<Item = (RecordId, BootTime, &'a crate::record::CgroupSample)> {
        let subjects = self.subjects;
        self.samples
            .iter()
            .filter_map(move |(id, record)| match &record.event {
                Event::Cgroup(sample)
                    if record
                        .subject
                        .cgroup()
                        .is_some_and(|cgroup| subjects.contains(&cgroup)) =>
                {
                    Some((*id, record.at, &**sample))
                }
                _ => None,
            })
    }

    /// What the verdict rests on first.
    pub(super) fn first_statement(&self) -> Option<Statement> {
        let statements = &self.verdict.statements;
        let proven = statements.iter().find(|said| said.grade == Grade::Proven);
        proven.or(statements.first()).cloned()
    }
}

/// A statement.
pub(super) fn statement(grade: Grade, text: String, cites: Vec<RecordId>) -> Statement {
    Statement { grade, text, cites }
}
