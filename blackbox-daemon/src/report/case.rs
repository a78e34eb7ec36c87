//! A case: what the recorder hands to the reporter, and everything a report is made from.

use std::time::Duration;

use super::ledger::Ledger;
use super::{DegradedPart, LogTail, NodeInfo, Stack};
use crate::clock::WallOffset;
use crate::identity::Names;
use crate::incident::Incident;
use crate::incident::ends::PastEnd;
use crate::record::BootTime;
use crate::starts::Comparison;
use crate::window::Slice;

/// A closed incident with everything its report is made from. Cheap: a slice is clones of sealed segments.
#[derive(Debug)]
pub struct Case {
    pub incident: Incident,
    pub slice: Slice,
    pub names: Names,
    pub ledger: Ledger,
    pub node: NodeInfo,
    pub wall: WallOffset,
    /// When the incident was closed.
    pub closed: BootTime,
    /// The window the user asked for.
    pub window: Duration,
    /// How instances of the containers of its pod ended, oldest first.
    pub ends: Vec<PastEnd>,
    /// The start of the run that it happened in, and the healthy one to compare it with.
    pub start: Option<Comparison>,
    /// The log of the instance that ended, or why it cannot be had. `None`: nobody looked.
    pub log: Option<Result<LogTail, String>>,
    /// Parts of what is kept on disk that were degraded when the report was made.
    pub durability: Vec<DegradedPart>,
    /// A former life may have told it already, and died before it knew.
    pub again: bool,
    /// The stack of the thread that faulted, with names. `None`: there is none, or nobody looked.
    pub stack: Option<Stack>,
}
