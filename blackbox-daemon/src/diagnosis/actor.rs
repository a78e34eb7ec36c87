//! Whose failure it was: the process that died, or a child of it whose failure it passed on.
//!
//! A shell ends with the code of its last command, an init with that of its service, a master with that of its worker. Such
//! a child ended with the same code, right before. Others of the container say and fail at a lot that concerns nobody.

use std::time::Duration;

use super::ground::{Ground, statement};
use crate::record::{BootTime, Event, Process, ProcessKey, RecordId};
use crate::verdict::{Grade, Statement};
use crate::words;

/// Between the end of a child and that of who passes its failure on.
const PASSED_ON: Duration = Duration::from_millis(200);

/// Who failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    /// None, where the kernel saw no death: then only a log speaks.
    pub key: Option<ProcessKey>,
    /// The child's end.
    child: Option<(RecordId, Process, BootTime)>,
}

impl Actor {
    /// The process that died.
    pub(super) fn victim(ground: &Ground<'_>) -> Self {
        Self {
            key: ground.scene.map(|scene| scene.victim.key),
            child: None,
        }
    }

    /// The child whose failure it passed on, if there was one.
    pub(super) fn child(ground: &Ground<'_>) -> Option<Self> {
        let victim = ground.scene?.victim.key;
        let (_, end, exit) = ground.exit()?;
        let code = exit.status.code().filter(|code| *code != 0)?;
        let mut records = ground.decisive.iter().rev();
        let child = records.find_map(|(id, record)| {
            let Event::Exit(of_child) = &record.event else {
                return None;
            };
            let own = of_child.parent.key == victim && of_child.status.code() == Some(code);
            let right_before = record.at <= end && end.since(record.at) <= PASSED_ON;
            let process = *record.subject.process()?;
            (own && right_before).then_some((*id, process, record.at))
        })?;
        Some(Self {
            key: Some(child.1.key),
            child: Some(child),
        })
    }

    /// Whether it is not the process that died.
    pub(super) fn is_child(&self) -> bool {
        self.child.is_some()
    }

    /// Whether this process is it.
    pub(super) fn is(&self, process: &Process) -> bool {
        self.key == Some(process.key)
    }

    /// When it ended.
    pub(super) fn end(&self, ground: &Ground<'_>) -> BootTime {
        self.child.map_or(ground.end(), |(_, _, at)| at)
    }

    /// That its failure was passed on.
    pub(super) fn fact(&self, ground: &Ground<'_>) -> Option<Statement> {
        let (id, process, at) = self.child?;
        let left = words::duration(ground.end().since(at));
        let text = format!(
            "its child {} ended with the same code {left} before it",
            words::process(&process)
        );
        let exit = ground.exit().map(|(id, _, _)| id);
        let cites = [id].into_iter().chain(exit).collect();
        Some(statement(Grade::Proven, text, cites))
    }
}
