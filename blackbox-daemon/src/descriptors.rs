//! Open files: how many this process may have.
//!
//! A container often starts with a soft limit of 1024, which is less than the connections of the two ports alone
//! ([`Limits::connections`](crate::api::server::Limits::connections) each). The hard limit is the administrator's
//! word and is never exceeded.

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

fn raised(limit: Rlimit) -> Rlimit {
    let allowed = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    Rlimit {
        current: limit.current.map(|soft| soft.max(allowed)),
        ..limit
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
