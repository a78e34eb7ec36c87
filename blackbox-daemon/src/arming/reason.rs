//! Why a container is armed, how good that reason is, and how it is said.

use crate::record::CallCounts;
use crate::words;

/// Errors that say that a process has no descriptor left: of its own, or of the node (errno(3)).
const EMFILE: u16 = 24;
const ENFILE: u16 = 23;

/// Why.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Its pod's annotation says so.
    Annotation,
    /// An earlier life of it ended badly.
    Crashed,
    /// So much of its memory limit is used, percent.
    MemoryNearLimit(u8),
    /// As it grows it is at its limit within this many seconds.
    MemoryGrows(u64),
    /// So many of its tasks of so many that are allowed.
    TasksNearLimit(u64, u64),
    /// Its tasks became so many more within some seconds.
    TasksGrow(u64),
    /// A process of it got no more descriptors.
    Descriptors,
    /// It was throttled in so many of the last periods, percent.
    Throttled(u8),
    /// Tasks of it stalled so much of the last 10 s, percent: for what.
    Stalled(&'static str, u8),
}

impl Reason {
    /// A better reason has a higher one.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Annotation => 4,
            Self::Crashed => 3,
            Self::MemoryNearLimit(_) | Self::TasksNearLimit(..) | Self::Descriptors => 2,
            Self::MemoryGrows(_) | Self::TasksGrow(_) => 1,
            Self::Throttled(_) | Self::Stalled(..) => 0,
        }
    }

    /// Whether it holds as long as the container lives.
    #[must_use]
    pub fn lasts(&self) -> bool {
        *self == Self::Annotation
    }

    /// As a sentence's second half.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Annotation => "its pod's annotation says so".to_owned(),
            Self::Crashed => "an earlier life of it ended badly".to_owned(),
            Self::MemoryNearLimit(percent) => format!("its memory is at {percent} % of its limit"),
            Self::MemoryGrows(seconds) => {
                format!("as its memory grows it is at its limit in {seconds} s")
            }
            Self::TasksNearLimit(tasks, limit) => format!("it has {tasks} of {limit} tasks"),
            Self::TasksGrow(tasks) => format!("it has {tasks} tasks more than seconds before"),
            Self::Descriptors => format!("its calls fail with {}", words::errno(EMFILE)),
            Self::Throttled(percent) => {
                format!("it was throttled in {percent} % of its periods")
            }
            Self::Stalled(what, percent) => {
                format!("it waited for {what} in {percent} % of the last 10 s")
            }
        }
    }
}

/// A reason among the errors of its calls.
pub(super) fn of_calls(counts: &CallCounts) -> Option<Reason> {
    let short = |(errno, count): &(u16, u64)| matches!(*errno, EMFILE | ENFILE) && *count > 0;
    counts
        .by_errno
        .iter()
        .any(short)
        .then_some(Reason::Descriptors)
}
