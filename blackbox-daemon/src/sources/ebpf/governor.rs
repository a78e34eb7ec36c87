//! The governor: what the recorder costs, and which tier has to go when that is more than it may.
//!
//! Reads counts once a second, in values; decides, and says why. Kept calls of containers are the dearest tier, calls that fail
//! the one below; deaths always stay. The cost of one run of the programs is measured when they are attached (`switch`); of a
//! call that is kept it is taken as three times that (`docs/performance.md` has both).

use std::time::Duration;

use crate::record::{BootTime, CgroupId};

/// Looks above the budget before a container has to go: a burst is what one wants to see.
const PATIENCE: u32 = 3;
/// Looks above the budget before calls that fail have to: a flood that ends in a death is told whole.
const LONG_PATIENCE: u32 = 60;
/// A call that is kept costs as many runs that find nothing to keep.
const KEPT_COSTS: u64 = 3;
/// For how long nothing is armed on a node whose ordinary calls alone were too many.
const REST: Duration = Duration::from_secs(60);
/// For how long calls that fail are not told.
const LONG_REST: Duration = Duration::from_secs(300);
/// A tier goes only if that saves at least this part of the budget.
const WORTH: u32 = 4;
/// Processors of the node for each percent of one that the recorder may take, unless configured.
const PROCESSORS: usize = 8;

/// What the recorder may take unless configured, percent of one processor: 1, and on a node of more than 15 processors 1 for
/// each eight.
#[must_use]
pub fn default_budget() -> u32 {
    // Of the node, whatever this process may use of them.
    let processors = aya::util::online_cpus().map_or(1, |online| online.len());
    u32::try_from(processors / PROCESSORS)
        .unwrap_or(100)
        .clamp(1, 100)
}

/// See the module.
#[derive(Debug)]
pub(super) struct Governor {
    /// Allowed share of one processor, percent.
    budget: u32,
    /// Looks in a row that were above it.
    over: u32,
    last: Option<Totals>,
    rest_until: BootTime,
    /// Until when calls that fail are not told.
    off_until: Option<BootTime>,
    /// They are told whatever that costs, for they cannot be switched off.
    calls_stay: bool,
}

/// What grows from look to look.
#[derive(Clone, Copy, Debug)]
struct Totals {
    at: BootTime,
    calls: u64,
    own: Duration,
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) at: BootTime,
    /// Calls of the node so far while `sys_exit` was attached.
    pub(super) calls: u64,
    /// Processor time of this process so far.
    pub(super) own: Duration,
    pub(super) nanos: Nanos,
    /// Calls of each armed container since the previous look.
    pub(super) kept: &'a [(CgroupId, u64)],
}

/// What one call of the node costs, ns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nanos {
    /// `sys_exit` with nothing to tell.
    pub(super) call: u64,
    /// Both programs of the tail; `None`: they are not attached.
    pub(super) tail: Option<u64>,
}

/// Processor time between two looks, by tier.
#[derive(Clone, Copy, Debug)]
struct Cost {
    passed: Duration,
    tails: Duration,
    calls: Duration,
    own: Duration,
}

impl Cost {
    fn all(self) -> Duration {
        self.tails + self.calls + self.own
    }

    /// In percent of one processor.
    fn percent(self, part: Duration) -> f64 {
        100.0 * part.div_duration_f64(self.passed)
    }
}

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Calls of this container are no longer kept.
    Disarm(CgroupId),
    /// Calls that fail are no longer told …
    CallsOff,
    /// … and are again.
    CallsOn,
}

/// What a look found.
#[derive(Debug)]
pub(super) struct Found {
    /// What the recorder took, percent of one processor.
    pub(super) percent: f64,
    /// What has to be done, and why.
    pub(super) step: Option<(Step, String)>,
}

impl Governor {
    pub(super) fn new(budget: u32) -> Self {
        Self {
            budget,
            over: 0,
            last: None,
            rest_until: BootTime(0),
            off_until: None,
            calls_stay: false,
        }
    }

    /// Calls that fail cannot be switched off.
    pub(super) fn calls_stay(&mut self) {
        (self.off_until, self.calls_stay) = (None, true);
    }

    /// They could not be switched on again.
    pub(super) fn calls_stay_off(&mut self, now: BootTime) {
        self.off_until = Some(now.plus(LONG_REST));
    }

    /// Why nothing is armed now, if so.
    pub(super) fn refuses(&self, now: BootTime) -> Option<String> {
        let why = "the node makes too many calls for that to cost little";
        (now < self.rest_until || self.off_until.is_some()).then(|| why.to_owned())
    }

    /// Looks; `None`: there is no earlier look to compare with.
    pub(super) fn look(&mut self, look: &Look<'_>) -> Option<Found> {
        let now = Totals {
            at: look.at,
            calls: look.calls,
            own: look.own,
        };
        let before = self.last.replace(now)?;
        let passed = look.at.since(before.at);
        if passed.is_zero() {
            return None;
        }
        let calls = look.calls.saturating_sub(before.calls);
        let kept: u64 = look.kept.iter().map(|(_, calls)| calls).sum();
        let spent = |runs: u64, nanos: u64| Duration::from_nanos(runs.saturating_mul(nanos));
        let tail = look.nanos.tail.unwrap_or(0);
        let cost = Cost {
            passed,
            tails: spent(calls + kept * (KEPT_COSTS - 1), tail),
            calls: spent(calls, look.nanos.call),
            own: look.own.saturating_sub(before.own),
        };
        let step = self.step(look, cost);
        let step = step.map(|step| (step, self.why(step, look, (cost, calls))));
        Some(Found {
            percent: cost.percent(cost.all()),
            step,
        })
    }

    fn step(&mut self, look: &Look<'_>, cost: Cost) -> Option<Step> {
        if self.off_until.is_some_and(|until| look.at >= until) {
            (self.off_until, self.over) = (None, 0);
            return Some(Step::CallsOn);
        }
        let allowed = cost.passed * self.budget / 100;
        if cost.all() <= allowed {
            self.over = 0;
            return None;
        }
        self.over += 1;
        let is_worth = |part: Duration| part * WORTH >= allowed;
        if self.over >= PATIENCE && is_worth(cost.tails) {
            let (dearest, _) = look.kept.iter().max_by_key(|(_, calls)| *calls)?;
            self.over = 0;
            // Without any container armed the next one would cost as much.
            let kept: u64 = look.kept.iter().map(|(_, calls)| calls).sum();
            let of_kept = Duration::from_nanos(
                kept.saturating_mul(KEPT_COSTS * look.nanos.tail.unwrap_or(0)),
            );
            if cost.all().saturating_sub(of_kept) > allowed {
                self.rest_until = look.at.plus(REST);
            }
            return Some(Step::Disarm(*dearest));
        }
        let may_go = self.off_until.is_none() && !self.calls_stay;
        if self.over >= LONG_PATIENCE && may_go && is_worth(cost.calls) {
            self.over = 0;
            self.off_until = Some(look.at.plus(LONG_REST));
            return Some(Step::CallsOff);
        }
        None
    }

    fn why(&self, step: Step, look: &Look<'_>, (cost, calls): (Cost, u64)) -> String {
        let all = cost.percent(cost.all());
        let budget = self.budget;
        match step {
            Step::Disarm(cgroup) => {
                let own = look.kept.iter().find(|(id, _)| *id == cgroup);
                let own = own.map_or(0, |(_, calls)| *calls);
                let tails = cost.percent(cost.tails);
                format!(
                    "keeping its {own} calls a second, beside {calls} of the node, costs {tails:.1} % of a processor; \
                     the recorder takes {all:.1} %, and {budget} % are allowed"
                )
            }
            Step::CallsOff => {
                let of_calls = cost.percent(cost.calls);
                format!(
                    "failing calls and last words are not recorded for {} minutes: looking at the node's {calls} calls a second costs \
                     {of_calls:.1} % of a processor; the recorder took {all:.1} % for a minute, and {budget} % are allowed",
                    LONG_REST.as_secs() / 60
                )
            }
            Step::CallsOn => "failing calls and last words are recorded again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Looks of a governor that may take 2 % of a processor: 100,000 runs of 200 ns a second.
    struct Looks {
        governor: Governor,
        second: u64,
        calls: u64,
        own: Duration,
    }

    impl Looks {
        fn new() -> Self {
            let mut looks = Self {
                governor: Governor::new(2),
                second: 0,
                calls: 0,
                own: Duration::ZERO,
            };
            assert_eq!(looks.next(0, &[]), None);
            looks
        }

        /// A second later, so many calls of the node and of armed containers later.
        fn next(&mut self, calls: u64, kept: &[(u64, u64)]) -> Option<Step> {
            self.second += 1;
            self.calls += calls;
            let kept: Vec<_> = kept
                .iter()
                .map(|(id, calls)| (CgroupId(*id), *calls))
                .collect();
            let look = Look {
                at: BootTime(self.second * SECOND),
                calls: self.calls,
                own: self.own,
                nanos: Nanos {
                    call: 20,
                    tail: (!kept.is_empty()).then_some(180),
                },
                kept: &kept,
            };
            let found = self.governor.look(&look)?;
            found.step.map(|(step, _)| step)
        }
    }

    #[test]
    fn the_dearest_goes_when_it_stays_too_dear() {
        let mut looks = Looks::new();
        let kept = [(1, 5_000), (2, 30_000)];
        assert_eq!(looks.next(60_000, &kept), None);
        assert_eq!(looks.next(60_000, &kept), None);
        let step = looks.next(60_000, &kept);
        assert_eq!(step, Some(Step::Disarm(CgroupId(2))));
        let now = BootTime(looks.second * SECOND);
        assert_eq!(looks.governor.refuses(now), None);
        assert_eq!(looks.next(30_000, &kept[..1]), None);
    }

    #[test]
    fn a_burst_may_pass() {
        let mut looks = Looks::new();
        let kept = [(1, 1_000)];
        for calls in [500_000, 500_000, 10_000, 490_000] {
            assert_eq!(looks.next(calls, &kept), None);
        }
    }

    #[test]
    fn on_a_node_that_calls_too_much_nothing_is_armed_for_a_while() {
        let mut looks = Looks::new();
        let kept = [(1, 10)];
        assert_eq!(looks.next(200_000, &kept), None);
        assert_eq!(looks.next(200_000, &kept), None);
        let step = looks.next(200_000, &kept);
        assert_eq!(step, Some(Step::Disarm(CgroupId(1))));
        let later = |seconds| BootTime((looks.second + seconds) * SECOND);
        assert!(looks.governor.refuses(later(59)).is_some());
        assert_eq!(looks.governor.refuses(later(60)), None);
    }

    #[test]
    fn calls_that_fail_go_after_a_minute_and_come_back() {
        let mut looks = Looks::new();
        // 3 % of a processor.
        for _ in 1..LONG_PATIENCE {
            assert_eq!(looks.next(1_500_000, &[]), None);
        }
        assert_eq!(looks.next(1_500_000, &[]), Some(Step::CallsOff));
        let now = BootTime(looks.second * SECOND);
        assert!(looks.governor.refuses(now).is_some());
        for _ in 1..LONG_REST.as_secs() {
            assert_eq!(looks.next(0, &[]), None);
        }
        assert_eq!(looks.next(0, &[]), Some(Step::CallsOn));
        assert_eq!(looks.next(1_500_000, &[]), None);
    }

    #[test]
    fn nothing_goes_for_what_it_does_not_cost() {
        let mut looks = Looks::new();
        for _ in 0..2 * LONG_PATIENCE {
            // The daemon itself is busy: 5 %.
            looks.own += Duration::from_millis(50);
            assert_eq!(looks.next(10_000, &[(1, 100)]), None);
        }
    }

    #[test]
    fn what_it_takes_is_told_in_percent_of_a_processor() {
        let mut looks = Looks::new();
        let look = Look {
            at: BootTime((looks.second + 2) * SECOND),
            calls: 100_000,
            own: Duration::from_millis(6),
            nanos: Nanos {
                call: 20,
                tail: None,
            },
            kept: &[],
        };
        let found = looks.governor.look(&look).unwrap();
        // 2 ms and 6 ms of 2 s.
        assert!((found.percent - 0.4).abs() < 1e-9, "{}", found.percent);
    }
}
