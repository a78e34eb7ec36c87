//! What is switched off while the recorder costs more than it may: armed containers first, then calls that fail.
//!
//! Reads the kernel's heads, the count of the node's calls and this process's clock once a second; asks the governor, does what it
//! says, and tells it.

use super::Tails;
use crate::arming::Order;
use crate::clock;
use crate::record::{BootTime, CgroupId, Record};
use crate::sources::ebpf::governor::{Look, Nanos, Step};
use crate::sources::ebpf::spending::Done;

/// What came of a look.
#[derive(Debug, Default)]
pub(in crate::sources::ebpf) struct Governed {
    /// What is to be recorded of containers.
    pub(in crate::sources::ebpf) records: Vec<Record>,
    /// Whether calls that fail are told now, if that has changed; why not.
    pub(in crate::sources::ebpf) calls: Option<Result<(), String>>,
}

impl Tails {
    /// Looks what the recorder costs, at so many calls of the node so far, and does something about it if that is too much.
    pub(in crate::sources::ebpf) fn govern(&mut self, at: BootTime, calls: u64) -> Governed {
        let kept = self.rates();
        let look = Look {
            at,
            calls,
            own: clock::own_time(),
            nanos: Nanos {
                call: self.switch.call_cost(),
                tail: self.switch.tail_cost(),
            },
            kept: &kept,
        };
        let mut governed = Governed::default();
        let Some(found) = self.governor.look(&look) else {
            return governed;
        };
        self.spending.note(found.percent);
        let Some((step, why)) = found.step else {
            return governed;
        };
        match step {
            Step::Disarm(cgroup) => {
                self.spending.count(Done::Disarmed);
                governed.records.extend(self.let_go(cgroup, &why, at));
            }
            Step::CallsOff => {
                for (cgroup, _) in kept {
                    governed.records.extend(self.let_go(cgroup, &why, at));
                }
                match self.switch.calls(false) {
                    Ok(()) => {
                        self.spending.count(Done::CallsOff);
                        governed.calls = Some(Err(why));
                    }
                    Err(error) => {
                        tracing::warn!(error, why, "the recorder costs more than it may");
                        self.governor.calls_stay();
                    }
                }
            }
            Step::CallsOn => {
                let on = self.switch.calls(true);
                match &on {
                    Ok(()) => self.spending.count(Done::CallsOn),
                    Err(_) => self.governor.calls_stay_off(at),
                }
                let failed =
                    |error| format!("failing calls and last words are not recorded: {error}");
                governed.calls = Some(on.map_err(failed));
            }
        }
        governed
    }

    fn let_go(&mut self, cgroup: CgroupId, why: &str, at: BootTime) -> Option<Record> {
        let order = Order {
            cgroup,
            until: None,
            why: why.to_owned(),
        };
        self.follow(order, at)
    }

    /// Calls of each armed container since the previous look.
    fn rates(&mut self) -> Vec<(CgroupId, u64)> {
        let maps = &self.maps;
        let slots = (0_u32..).zip(&mut self.slots);
        slots
            .filter_map(|(number, slot)| {
                let slot = slot.as_mut()?;
                let head = maps.head(number).ok()?;
                let calls = head.saturating_sub(slot.seen);
                slot.seen = head;
                Some((slot.cgroup, calls))
            })
            .collect()
    }
}
