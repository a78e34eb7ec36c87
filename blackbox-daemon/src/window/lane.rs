//! A lane: one open segment and the sealed ones behind it, under one byte cap.
//!
//! Takes encoded records from the window and hands out sealed segments. The memory it holds (every sealed
//! segment with its index, and the open buffer) never exceeds its cap; what must go, goes oldest first.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::frame::Entry;
use super::segment::{ByClass, Held, Open, Sealed, SegmentIndex};
use super::share::Shares;
use crate::record::{BootTime, CgroupId};

/// What bounds a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most memory, bytes; at least four times `segment_bytes`.
    pub(super) bytes: usize,
    pub(super) segment_bytes: usize,
    pub(super) segment_age: Duration,
}

/// What a lane holds and what it has let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStats {
    /// Memory held, bytes. Never above the lane's cap.
    pub bytes: usize,
    /// Records held.
    pub records: u64,
    /// Segments held, the open one included unless it is empty.
    pub segments: usize,
    /// Earliest time of any record held.
    pub oldest: Option<BootTime>,
    /// Latest time of any record held.
    pub newest: Option<BootTime>,
    /// Records evicted before their time because the lane was full, since the start.
    pub evicted: ByClass,
    /// Segments sealed since the start.
    pub sealed: u64,
}

impl LaneStats {
    /// What two lanes hold together.
    pub(super) fn and(self, other: Self) -> Self {
        let mut evicted = self.evicted;
        evicted.add_all(&other.evicted);
        Self {
            bytes: self.bytes + other.bytes,
            records: self.records + other.records,
            segments: self.segments + other.segments,
            oldest: [self.oldest, other.oldest].into_iter().flatten().min(),
            newest: self.newest.max(other.newest),
            evicted,
            sealed: self.sealed + other.sealed,
        }
    }
}

/// See the module.
pub(super) struct Lane {
    limits: Limits,
    pub(super) open: Open,
    pub(super) sealed: VecDeque<Held>,
    /// Records that went before they were taken for the journal, since the last time it was asked.
    pub(super) untaken: u64,
    /// Memory of `sealed`, bytes.
    held: usize,
    /// `None`: no cgroup is limited.
    shares: Option<Shares>,
    /// What goes for want of room is a loss of those it belonged to, and of nobody else.
    own_losses: bool,
    evicted: ByClass,
    /// Newest record time that ever went, by age or by cap.
    gone_to: Option<BootTime>,
    sealed_total: u64,
}

impl Lane {
    /// An empty lane. `share`: most bytes of one cgroup while the lane is full.
    pub(super) fn new(limits: Limits, share: Option<usize>) -> Self {
        Self {
            limits,
            open: Open::new(limits.segment_bytes),
            sealed: VecDeque::new(),
            untaken: 0,
            held: 0,
            shares: share.map(Shares::new),
            own_losses: false,
            evicted: ByClass::default(),
            gone_to: None,
            sealed_total: 0,
        }
    }

    /// One for cgroups that have used up their share elsewhere: what it evicts, only they have lost.
    pub(super) fn of_a_crowd(limits: Limits) -> Self {
        Self {
            own_losses: true,
            ..Self::new(limits, Some(usize::MAX))
        }
    }

    /// Whether a cgroup holds more than its share, whether the lane is full or not.
    pub(super) fn used_up(&mut self, cgroup: CgroupId) -> bool {
        let shares = self.shares.as_mut();
        shares.is_some_and(|shares| shares.used_up(cgroup))
    }

    /// The window's newest time is now `mark`: seals the open segment when it has reached its age, and lets
    /// segments go whose newest record is from before `cutoff`.
    pub(super) fn advance(&mut self, mark: BootTime, cutoff: BootTime) {
        if let Some(opened) = self.open.opened()
            && mark.since(opened) >= self.limits.segment_age
        {
            self.seal();
        }
        while self
            .sealed
            .front()
            .is_some_and(|oldest| oldest.newest < cutoff)
        {
            self.drop_oldest();
        }
        if let Some(shares) = &mut self.shares {
            shares.forget_losses(cutoff);
        }
    }

    /// Whether a record of `cgroup` must not come in: the lane is full, the cgroup has used up its share, and no
    /// segment is its alone that could go instead.
    pub(super) fn sheds(&mut self, cgroup: Option<CgroupId>) -> bool {
        let full = self.held + self.open.sealed_size_max() > self.budget();
        match (&mut self.shares, cgroup) {
            (Some(shares), Some(cgroup)) if full => {
                shares.used_up(cgroup)
                    && !self
                        .sealed
                        .iter()
                        .any(|held| held.sole_owner() == Some(cgroup))
            }
            _ => false,
        }
    }

    /// Appends a record; `mark` is the window's newest time. `false`: it alone is too large for the lane.
    pub(super) fn append(&mut self, mut entry: Entry<'_>, mark: BootTime) -> bool {
        if self.shares.is_none() {
            entry.cgroup = None;
        }
        if !self.open.has_room(&entry) {
            self.seal();
        }
        if self.open.has_room(&entry) {
            self.open.push(&entry, mark);
            return true;
        }
        // Larger than a segment: it becomes a segment of its own.
        let mut own = Open::new(entry.frame_max());
        let size = own.sealed_size_max();
        if size > self.budget() {
            return false;
        }
        self.make_room(size);
        own.push(&entry, mark);
        if let Some(segment) = own.seal() {
            self.hold(segment);
        }
        true
    }

    /// Every segment that may hold a record from `start` to `end`, in order of arrival. Seals the open one.
    pub(super) fn slice(&mut self, start: BootTime, end: BootTime) -> Vec<Sealed> {
        // Cloned before sealing, as sealing may evict.
        let segments = self.sealed.iter().map(|held| &held.sealed);
        let mut found: Vec<Sealed> = segments
            .filter(|segment| segment.index().overlaps(start, end))
            .cloned()
            .collect();
        if let Some(last) = self.open.seal() {
            if last.sealed.index().overlaps(start, end) {
                found.push(last.sealed.clone());
            }
            self.hold(last);
        }
        found
    }

    /// The earliest time from which on nothing this lane took has gone. `None` when it is empty.
    ///
    /// That is its oldest record, except that a stray old record that came late must not make the lane look
    /// whole over a time whose other records have gone.
    pub(super) fn start(&self) -> Option<BootTime> {
        let oldest = self.indexes().map(|index| index.min_at).min()?;
        Some(self.gone_to.map_or(oldest, |gone| oldest.max(gone)))
    }

    /// Records evicted by the cap, since the start.
    pub(super) fn evicted(&self) -> &ByClass {
        &self.evicted
    }

    /// Newest time of a record that has gone, by age or by cap.
    pub(super) fn gone_to(&self) -> Option<BootTime> {
        self.gone_to
    }

    /// The same for cgroups whose own records went because they were above their share.
    pub(super) fn own_gone_to(&self) -> HashMap<CgroupId, BootTime> {
        self.shares.as_ref().map(Shares::losses).unwrap_or_default()
    }

    /// What it holds. Walks its segments.
    pub(super) fn stats(&self) -> LaneStats {
        LaneStats {
            bytes: self.held + self.open.size(),
            records: self.indexes().map(|index| u64::from(index.count)).sum(),
            segments: self.indexes().count(),
            oldest: self.indexes().map(|index| index.min_at).min(),
            newest: self.indexes().map(|index| index.max_at).max(),
            evicted: self.evicted,
            sealed: self.sealed_total,
        }
    }

    fn indexes(&self) -> impl Iterator<Item = &SegmentIndex> {
        let sealed = self.sealed.iter().map(|held| held.sealed.index());
        sealed.chain(self.open.index())
    }

    /// Most memory of sealed segments: the cap without the open buffer.
    fn budget(&self) -> usize {
        self.limits.bytes - self.limits.segment_bytes
    }

    fn seal(&mut self) {
        if let Some(segment) = self.open.seal() {
            self.hold(segment);
        }
    }

    fn hold(&mut self, segment: Held) {
        self.make_room(segment.size);
        if let Some(shares) = &mut self.shares {
            shares.add(&segment.shares);
        }
        self.held += segment.size;
        self.sealed_total += 1;
        self.sealed.push_back(segment);
    }

    /// Evicts until `size` more bytes fit: first what belongs to a cgroup above its share and to nobody else, then
    /// whatever is oldest.
    fn make_room(&mut self, size: usize) {
        while self.held + size > self.budget() {
            let by_class = match self.drop_excess() {
                Some(by_class) => by_class,
                None => match self.evict_oldest() {
                    Some(by_class) => by_class,
                    None => return,
                },
            };
            self.evicted.add_all(&by_class);
        }
    }

    /// Lets the oldest segment go that a cgroup above its share has for itself. Only that cgroup lost anything.
    fn drop_excess(&mut self) -> Option<ByClass> {
        let shares = self.shares.as_mut()?;
        let index = self
            .sealed
            .iter()
            .position(|held| held.sole_owner().is_some_and(|owner| shares.used_up(owner)))?;
        let gone = self.sealed.remove(index)?;
        self.held -= gone.size;
        self.untaken += gone.untaken();
        if let Some(owner) = gone.sole_owner() {
            shares.lost(owner, gone.newest);
        }
        shares.remove(&gone.shares);
        Some(gone.sealed.index().by_class)
    }

    /// Lets the oldest sealed segment go for want of room.
    fn evict_oldest(&mut self) -> Option<ByClass> {
        if let (true, Some(shares), Some(oldest)) =
            (self.own_losses, &mut self.shares, self.sealed.front())
        {
            for (owner, _) in &oldest.shares {
                shares.lost(*owner, oldest.newest);
            }
        }
        self.drop_oldest()
    }

    /// Lets the oldest sealed segment go and says what was in it.
    fn drop_oldest(&mut self) -> Option<ByClass> {
        let gone = self.sealed.pop_front()?;
        self.held -= gone.size;
        self.untaken += gone.untaken();
        self.gone_to = self.gone_to.max(Some(gone.newest));
        if let Some(shares) = &mut self.shares {
            shares.remove(&gone.shares);
        }
        Some(gone.sealed.index().by_class)
    }
}
