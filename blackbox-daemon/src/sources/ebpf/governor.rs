//! The governor: what keeping every call costs, and which container has to go when that is too much.
//!
//! Reads counts once a second, in values; decides, and says why. The cost of one run of the programs is measured when they are attached
//! (`switch`); of a call that is kept it is taken as three times that (`docs/performance.md` has both).

use std::time::Duration;

use crate::record::{BootTime, CgroupId};

/// Looks above the budget before a container has to go: a burst is what one wants to see.
const PATIENCE: u32 = 3;
/// A call that is kept costs as many runs that find nothing to keep.
const KEPT_COSTS: u64 = 3;
/// For how long nothing is armed on a node whose ordinary calls alone were too many.
const REST: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct Governor {
    /// Allowed share of one processor, percent.
    budget: u32,
    /// Looks in a row that were above it.
    over: u32,
    last: Option<(BootTime, u64)>,
    rest_until: BootTime,
}

/// What was counted since the previous look.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) at: BootTime,
    /// Runs of the programs so far: calls of the node while they are attached.
    pub(super) runs: u64,
    /// ns that one run costs, both programs together.
    pub(super) nanos: u64,
    /// Calls of each armed container since the previous look.
    pub(super) kept: &'a [(CgroupId, u64)],
}

impl Governor {
    pub(super) fn new(budget: u32) -> Self {
        Self {
            budget,
            over: 0,
            last: None,
            rest_until: BootTime(0),
        }
    }

    /// Why nothing is armed now, if so.
    pub(super) fn refuses(&self, now: BootTime) -> Option<String> {
        (now < self.rest_until)
            .then(|| "the node makes too many calls for that to cost little".to_owned())
    }

    /// The container that has to go, and why.
    pub(super) fn look(&mut self, look: &Look<'_>) -> Option<(CgroupId, String)> {
        let before = self.last.replace((look.at, look.runs));
        let (then, runs) = before?;
        let passed = u64::try_from(look.at.since(then).as_nanos()).ok()?;
        let runs = look.runs.saturating_sub(runs);
        let kept: u64 = look.kept.iter().map(|(_, calls)| calls).sum();
        let share = |calls: u64| {
            let cost = u128::from(calls) * u128::from(look.nanos);
            (cost * 1000).checked_div(u128::from(passed)).unwrap_or(0)
        };
        let allowed = u128::from(self.budget) * 10;
        let cost = share(runs + kept * (KEPT_COSTS - 1));
        if cost <= allowed {
            self.over = 0;
            return None;
        }
        self.over += 1;
        if self.over < PATIENCE {
            return None;
        }
        self.over = 0;
        if share(runs - kept.min(runs)) > allowed {
            self.rest_until = look.at.plus(REST);
        }
        let (dearest, calls) = look.kept.iter().max_by_key(|(_, calls)| *calls)?;
        let why = format!(
            "keeping its {calls} calls a second, beside {runs} of the node, costs {}.{} % of a processor, and {} % are allowed",
            cost / 10,
            cost % 10,
            self.budget
        );
        Some((*dearest, why))
    }

    /// The programs were detached: the next look has nothing to compare with.
    pub(super) fn forget(&mut self) {
        (self.last, self.over) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn look(governor: &mut Governor, second: u64, runs: u64, kept: &[(u64, u64)]) -> Option<u64> {
        let kept: Vec<_> = kept
            .iter()
            .map(|(id, calls)| (CgroupId(*id), *calls))
            .collect();
        let look = Look {
            at: BootTime(second * SECOND),
            runs,
            nanos: 200,
            kept: &kept,
        };
        governor.look(&look).map(|(id, _)| id.0)
    }

    #[test]
    fn the_dearest_goes_when_it_stays_too_dear() {
        let mut governor = Governor::new(2);
        // 2 % of a processor are 100,000 runs of 200 ns a second.
        let kept = [(1, 5_000), (2, 30_000)];
        assert_eq!(look(&mut governor, 1, 0, &kept), None);
        assert_eq!(look(&mut governor, 2, 60_000, &kept), None);
        assert_eq!(look(&mut governor, 3, 120_000, &kept), None);
        assert_eq!(look(&mut governor, 4, 180_000, &kept), Some(2));
        assert_eq!(governor.refuses(BootTime(4 * SECOND)), None);
        assert_eq!(look(&mut governor, 5, 210_000, &kept[..1]), None);
    }

    #[test]
    fn a_burst_may_pass() {
        let mut governor = Governor::new(2);
        let kept = [(1, 1_000)];
        for (second, runs) in [
            (1, 0),
            (2, 500_000),
            (3, 1_000_000),
            (4, 1_010_000),
            (5, 1_500_000),
        ] {
            assert_eq!(look(&mut governor, second, runs, &kept), None);
        }
    }

    #[test]
    fn on_a_node_that_calls_too_much_nothing_is_armed_for_a_while() {
        let mut governor = Governor::new(2);
        for second in 1..4 {
            assert_eq!(
                look(&mut governor, second, second * 200_000, &[(1, 10)]),
                None
            );
        }
        assert_eq!(look(&mut governor, 4, 800_000, &[(1, 10)]), Some(1));
        assert!(governor.refuses(BootTime(60 * SECOND)).is_some());
        assert_eq!(governor.refuses(BootTime(64 * SECOND)), None);
    }
}
