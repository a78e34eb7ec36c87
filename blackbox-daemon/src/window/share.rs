//! Shares: how much of the bulk lane each cgroup's records take.
//!
//! Fed by the lane with the rows of segments that come and go, so it counts sealed segments only: a cgroup
//! may be ahead of its count by the one open segment. Answers whether a cgroup has used up its share.

use std::collections::HashMap;

use crate::record::{BootTime, CgroupId};

/// Sealed bytes by cgroup, and the most one cgroup may hold while the lane is full.
pub(super) struct Shares {
    limit: usize,
    held: HashMap<CgroupId, usize>,
    /// Newest record that each cgroup lost because it was above its share, as long as the window could hold it.
    lost: HashMap<CgroupId, BootTime>,
    /// The last answer. Records come in runs of one cgroup, and a flood asks for every record.
    last: Option<(CgroupId, bool)>,
}

impl Shares {
    /// A share of `limit` bytes for each cgroup.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: HashMap::new(),
            lost: HashMap::new(),
            last: None,
        }
    }

    /// Counts a segment that was sealed.
    pub(super) fn add(&mut self, rows: &[(CgroupId, u32)]) {
        self.last = None;
        for (cgroup, bytes) in rows {
            *self.held.entry(*cgroup).or_default() += *bytes as usize;
        }
    }

    /// Takes a segment that was evicted out again. A cgroup without bytes is forgotten.
    pub(super) fn remove(&mut self, rows: &[(CgroupId, u32)]) {
        self.last = None;
        for (cgroup, bytes) in rows {
            if let Some(held) = self.held.get_mut(cgroup) {
                *held = held.saturating_sub(*bytes as usize);
                if *held == 0 {
                    self.held.remove(cgroup);
                }
            }
        }
    }

    /// Notes that a cgroup lost its records up to `newest`.
    pub(super) fn lost(&mut self, cgroup: CgroupId, newest: BootTime) {
        let lost = self.lost.entry(cgroup).or_insert(newest);
        *lost = (*lost).max(newest);
    }

    /// Losses that are older than anything the window holds no longer matter.
    pub(super) fn forget_losses(&mut self, cutoff: BootTime) {
        self.lost.retain(|_, newest| *newest >= cutoff);
    }

    /// Up to when each cgroup lost records of its own.
    pub(super) fn losses(&self) -> HashMap<CgroupId, BootTime> {
        self.lost.clone()
    }

    /// Whether `cgroup` has used up its share.
    pub(super) fn used_up(&mut self, cgroup: CgroupId) -> bool {
        if let Some((last, answer)) = self.last
            && last == cgroup
        {
            return answer;
        }
        let answer = self
            .held
            .get(&cgroup)
            .is_some_and(|held| *held > self.limit);
        self.last = Some((cgroup, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_up_and_down_and_away() {
        let (a, b) = (CgroupId(1), CgroupId(2));
        let mut shares = Shares::new(10);
        shares.add(&[(a, 10), (b, 3)]);
        assert!(!shares.used_up(a), "a share may be used in full");
        shares.add(&[(a, 1)]);
        assert!(shares.used_up(a));
        assert!(!shares.used_up(b));
        shares.remove(&[(a, 10), (b, 3)]);
        assert!(!shares.used_up(a));
        assert_eq!(shares.held.len(), 1);
    }
}
