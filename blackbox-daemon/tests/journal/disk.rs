//! A disk that keeps what was synced and does with the rest what disks do: each sector of 512 bytes that was written since is
//! as it was, as it became at any time, or torn in between. It refuses writes half-way (EIO, ENOSPC), and a sync that it
//! refuses has lost data for good, whatever a later one says.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use blackbox_daemon::journal::medium::Medium;

use crate::dice::Dice;

const SECTOR: usize = 512;

pub(crate) struct State {
    /// What a power cut leaves.
    durable: Vec<u8>,
    /// What readers see.
    cached: Vec<u8>,
    /// Each sector that was written since the last sync, with everything it has been.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
    pub(crate) dice: Dice,
    /// Whether it refuses anything at all.
    pub(crate) fails: bool,
    pub(crate) refused: u64,
    /// Where each write went, the last one last.
    pub(crate) writes: Vec<(u64, usize)>,
}

/// Shared by the ring that writes and the test that cuts the power.
#[derive(Clone)]
pub(crate) struct Disk(pub(crate) Rc<RefCell<State>>);

impl Disk {
    /// A new file whose first page is there for good, and zeros behind it.
    pub(crate) fn new(head: &[u8], size: usize, dice: Dice) -> Self {
        let mut durable = vec![0; size];
        durable[..head.len()].copy_from_slice(head);
        Self(Rc::new(RefCell::new(State {
            cached: durable.clone(),
            durable,
            dirty: BTreeMap::new(),
            dice,
            fails: false,
            refused: 0,
            writes: Vec::new(),
        })))
    }

    /// The daemon is killed: what it wrote is there, but for a last write that was cut short.
    pub(crate) fn kill(&self) -> Vec<u8> {
        let mut state = self.0.borrow_mut();
        let mut image = state.cached.clone();
        if let Some((at, len)) = state.writes.last().copied()
            && !state.dirty.is_empty()
            && state.dice.once_in(4)
        {
            let cut = at as usize + state.dice.below(len as u64) as usize;
            let end = at as usize + len;
            image[cut..end].copy_from_slice(&state.durable[cut..end]);
        }
        image
    }

    /// The power is cut.
    pub(crate) fn cut(&self) -> Vec<u8> {
        let mut state = self.0.borrow_mut();
        let mut image = state.durable.clone();
        let State { dirty, dice, .. } = &mut *state;
        for (sector, versions) in dirty {
            let place = &mut image[sector * SECTOR..][..SECTOR];
            let old = place.to_vec();
            let version = dice.below(versions.len() as u64 + 1) as usize;
            let new = versions.get(version).unwrap_or(&old).clone();
            place.copy_from_slice(&new);
            if dice.once_in(8) {
                let torn = dice.below(SECTOR as u64) as usize;
                place[torn..].copy_from_slice(&old[torn..]);
            }
        }
        image
    }

    /// The disk after the power is back.
    pub(crate) fn again(&self, image: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        state.durable.clone_from(&image);
        state.cached = image;
        state.dirty.clear();
        state.writes.clear();
    }
}

impl State {
    fn put(&mut self, bytes: &[u8], at: usize) {
        self.cached[at..at + bytes.len()].copy_from_slice(bytes);
        if bytes.is_empty() {
            return;
        }
        for sector in at / SECTOR..=(at + bytes.len() - 1) / SECTOR {
            let now = self.cached[sector * SECTOR..][..SECTOR].to_vec();
            self.dirty.entry(sector).or_default().push(now);
        }
    }
}

impl Medium for Disk {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.writes.push((at, bytes.len()));
        if state.fails && state.dice.once_in(60) {
            state.refused += 1;
            let part = state.dice.below(bytes.len() as u64) as usize;
            state.put(&bytes[..part], at as usize);
            let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::Other];
            return Err(kinds[state.dice.below(2) as usize].into());
        }
        state.put(bytes, at as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let dirty = std::mem::take(&mut state.dirty);
        let fails = state.fails && state.dice.once_in(30);
        for (sector, versions) in dirty {
            // A sync that fails has written some of it, and forgets the rest.
            if fails && state.dice.once_in(2) {
                continue;
            }
            if let Some(last) = versions.last() {
                state.durable[sector * SECTOR..][..SECTOR].copy_from_slice(last);
            }
        }
        match fails {
            true => {
                state.refused += 1;
                Err(io::ErrorKind::Other.into())
            }
            false => Ok(()),
        }
    }
}
