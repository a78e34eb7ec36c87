//! Open files: how many this process may have, and some that are held back for when no others are left.
//!
//! A container often starts with a soft limit of 1024, which is less than the connections of the two ports alone
//! ([`Limits::connections`](crate::api::server::Limits::connections) each). The hard limit is the administrator's
//! word and is never exceeded.

use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as are ever of use: both ports full, and the kernel's rings, several times over.
pub const ENOUGH: u64 = 65_536;

/// Raises the soft limit to the hard one, [`ENOUGH`] at most. Returns the soft limit, `None` for infinity.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn raise() -> std::io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    let raised = raised(limit);
    if raised != limit {
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(raised.current)
}

/// As many as this process may have now.
#[must_use]
pub fn allowed() -> usize {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    usize::try_from(soft.min(ENOUGH)).unwrap_or(usize::MAX)
}

fn raised(limit: Rlimit) -> Rlimit {
    let allowed = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    Rlimit {
        current: limit.current.map(|soft| soft.max(allowed)),
        ..limit
    }
}

/// Descriptors that stand for nothing: held while others can be had, let go when a report needs theirs.
#[derive(Debug)]
pub struct Spare {
    count: usize,
    held: Vec<OwnedFd>,
}

impl Spare {
    /// Holds back `count` descriptors, or as many as there are.
    #[must_use]
    pub fn hold(count: usize) -> Self {
        let mut spare = Self {
            count,
            held: Vec::with_capacity(count),
        };
        spare.refill();
        spare
    }

    /// Lets all go. Whoever opens a file next has their numbers.
    pub fn release(&mut self) {
        self.held.clear();
    }

    /// Whether it holds as many as it should.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.held.len() == self.count
    }

    /// Takes back as many as can be had.
    pub fn refill(&mut self) {
        while self.held.len() < self.count {
            let another = match self.held.first() {
                Some(first) => fcntl_dupfd_cloexec(first, 0),
                None => eventfd(0, EventfdFlags::CLOEXEC),
            };
            match another {
                Ok(descriptor) => self.held.push(descriptor),
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_and_never_lowered() {
        for (soft, hard, expected) in [
            (Some(1024), Some(4096), Some(4096)),
            (Some(1024), Some(1 << 20), Some(ENOUGH)),
            (Some(1024), None, Some(ENOUGH)),
            (Some(1 << 20), Some(1 << 20), Some(1 << 20)),
            (Some(64), Some(64), Some(64)),
            (None, None, None),
        ] {
            let (current, maximum) = (soft, hard);
            let raised = raised(Rlimit { current, maximum });
            assert_eq!((raised.current, raised.maximum), (expected, hard));
        }
    }
}
