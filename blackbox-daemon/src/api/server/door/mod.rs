//! Who may come in, and who must go for it. Pure but for the slots' phases: time is an argument.
//!
//! Honest and hostile clients may share an address (a NAT, the node's own pods, loopback), so an address over its
//! bound does not lose its newcomers but its laggards: connections that after [`YOUNG`] have not sent a request
//! head, oldest first. Younger ones are on credit, within the total: they will either send a head or be old. Of those
//! that have sent one, idle connections make room, then those whose body is on the way; one whose request is worked
//! on never does. At the total bound the address with the most connections makes room, so that a crowd at one
//! address harms no other; the heads on credit go before its idle connections. Invariant: never more than `Limits::connections` slots.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Limits;
use super::count::{Connections, Refusal};
use super::slot::{Phase, Slot};
use crate::record::BootTime;

#[cfg(test)]
mod tests;

/// A connection younger than this is not yet blamed for having sent nothing: a handshake and several round trips on
/// a busy node. Shorter, and a crowd that comes back whenever it is sent away costs more processor time.
const YOUNG: Duration = Duration::from_secs(1);

/// The connections of one address; a larger number is a younger connection.
type Peer = BTreeMap<u64, Arc<Slot>>;

/// All connections of a listener.
#[derive(Debug)]
pub(super) struct Door {
    limits: Limits,
    counts: Arc<Connections>,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    peers: HashMap<IpAddr, Peer>,
    total: usize,
    next: u64,
}

/// A place inside, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    door: Arc<Door>,
    peer: IpAddr,
    number: u64,
    pub(super) slot: Arc<Slot>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.door.lock().remove(self.peer, self.number);
        self.door.counts.closed();
    }
}

impl Door {
    pub(super) fn new(limits: Limits, counts: Arc<Connections>) -> Arc<Self> {
        Arc::new(Self {
            limits,
            counts,
            inside: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection of `peer` in, or says (and counts) why not.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, now: BootTime) -> Result<Seat, Refusal> {
        self.counts.accepted();
        let mut inside = self.lock();
        if let Err(refusal) = self.make_room(&mut inside, peer, now) {
            self.counts.refused(refusal);
            return Err(refusal);
        }
        let slot = Arc::new(Slot::new(now));
        let number = inside.next;
        inside.next += 1;
        inside.total += 1;
        let peers = inside.peers.entry(peer).or_default();
        peers.insert(number, Arc::clone(&slot));
        self.counts.opened();
        Ok(Seat {
            door: Arc::clone(self),
            peer,
            number,
            slot,
        })
    }

    fn make_room(&self, inside: &mut Inside, peer: IpAddr, now: BootTime) -> Result<(), Refusal> {
        let old = |slot: &Slot| now.since(slot.since) >= YOUNG;
        let any = |_: &Slot| true;
        while inside.count(peer) >= self.limits.per_peer
            && self.evict(inside, peer, Phase::Head, old)
        {}
        while inside.settled(peer) >= self.limits.per_peer {
            let made = self.evict(inside, peer, Phase::Idle, any)
                || self.evict(inside, peer, Phase::Body, old);
            if !made {
                return Err(Refusal::Peer);
            }
        }
        if inside.total < self.limits.connections {
            return Ok(());
        }
        let most = inside.peers.iter().max_by_key(|(_, slots)| slots.len());
        let Some(&most) = most.map(|(address, _)| address) else {
            return Err(Refusal::Total);
        };
        // Beyond its bound an address has nothing but heads on credit: the oldest of these, before who has proven more.
        let on_credit = inside.count(most) > self.limits.per_peer;
        let made = self.evict(inside, most, Phase::Head, old)
            || on_credit && self.evict(inside, most, Phase::Head, any)
            || self.evict(inside, most, Phase::Idle, any)
            || self.evict(inside, most, Phase::Head, any)
            || self.evict(inside, most, Phase::Body, any);
        if made { Ok(()) } else { Err(Refusal::Total) }
    }

    /// Evicts the oldest connection of `peer` that is in `phase` and that `blamed` allows. Younger ones are not
    /// looked at once one of that phase is not blamed.
    fn evict(
        &self,
        inside: &mut Inside,
        peer: IpAddr,
        phase: Phase,
        blamed: impl Fn(&Slot) -> bool,
    ) -> bool {
        let oldest = inside
            .peers
            .get(&peer)
            .into_iter()
            .flatten()
            .filter(|(_, slot)| slot.phase() == phase)
            .take_while(|(_, slot)| blamed(slot))
            .find(|(_, slot)| slot.evict(phase))
            .map(|(&number, _)| number);
        let Some(number) = oldest else {
            return false;
        };
        inside.remove(peer, number);
        self.counts.refused(Refusal::MadeRoom);
        true
    }
}

impl Inside {
    fn count(&self, peer: IpAddr) -> usize {
        self.peers.get(&peer).map_or(0, BTreeMap::len)
    }

    /// Connections that have sent a request head.
    fn settled(&self, peer: IpAddr) -> usize {
        let slots = self.peers.get(&peer).into_iter().flat_map(BTreeMap::values);
        slots.filter(|slot| slot.phase() != Phase::Head).count()
    }

    /// Forgets a connection. One that was evicted is forgotten already.
    fn remove(&mut self, peer: IpAddr, number: u64) {
        let Some(slots) = self.peers.get_mut(&peer) else {
            return;
        };
        if slots.remove(&number).is_some() {
            self.total -= 1;
        }
        if slots.is_empty() {
            self.peers.remove(&peer);
        }
    }
}
