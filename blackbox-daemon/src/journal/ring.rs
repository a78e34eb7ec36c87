//! The ring: appends blocks to a medium, round and round.
//!
//! Guarantees: no page that was made durable is written again before the ring has gone round; a block is in one piece; after an error
//! nothing more is written ([`Ring::append`] says what to do).

use std::io;

use super::layout::{self, ALIGN, Key, PAGE, Section, Stamp};
use super::medium::Medium;
use crate::clock::WallOffset;
use crate::record::BootTime;

/// Who writes, and what the next block follows.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub key: Key,
    /// Size of the medium, bytes; a multiple of [`PAGE`].
    pub size: u64,
    /// Where the first block goes; the next page boundary from there on counts.
    pub at: u64,
    /// What the sequence of the first block follows ([`layout::next_life`]) …
    pub sequence: u64,
    /// … and the CRC of the last block there; 0 if there is none.
    pub chain: u32,
    pub life: u64,
    pub boot: [u8; 16],
}

/// See the module.
#[derive(Debug)]
pub struct Ring<M> {
    medium: M,
    start: Start,
    /// Where the next block goes.
    at: u64,
    /// Something was written since the last sync.
    dirty: bool,
    buffer: Vec<u8>,
    /// Bytes written, padding included.
    written: u64,
}

/// What a block is stamped with.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub at: BootTime,
    pub wall: WallOffset,
    /// Records of this life that were not written, so far.
    pub skipped: u64,
    /// The daemon was asked to stop, and this is its last block.
    pub ended: bool,
}

/// Buffer that is kept between blocks, bytes. Only a large checkpoint needs more.
const KEPT: usize = 512 << 10;

impl<M: Medium> Ring<M> {
    /// A ring that goes on where `start` says.
    pub fn new(medium: M, start: Start) -> Self {
        Self {
            medium,
            at: page_after(start.at).max(PAGE),
            start,
            dirty: false,
            buffer: Vec::new(),
            written: 0,
        }
    }

    /// Appends one block.
    ///
    /// # Errors
    /// It is larger than the ring has room for (`InvalidInput`; nothing was written), or the medium failed: then nobody
    /// knows what is there, and this ring must not be used any more.
    pub fn append(&mut self, when: When, sections: &[Section<'_>]) -> io::Result<()> {
        let stamp = Stamp {
            life: self.start.life,
            sequence: self.start.sequence + 1,
            chain: self.start.chain,
            at: when.at,
            wall: when.wall,
            skipped: when.skipped,
            boot: self.start.boot,
            ended: when.ended,
        };
        let crc = layout::encode(&stamp, sections, self.start.key, &mut self.buffer)
            .map_err(io::Error::other)?;
        let len = self.buffer.len() as u64;
        if len > self.largest() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if self.at + len > self.start.size {
            self.at = PAGE;
        }
        self.dirty = true;
        self.medium.write_at(&self.buffer, self.at)?;
        self.written += len;
        self.at += len;
        debug_assert_eq!(self.at % ALIGN, 0, "blocks begin at multiples");
        (self.start.sequence, self.start.chain) = (stamp.sequence, crc);
        if self.buffer.capacity() > KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Makes everything durable; the next block begins a page.
    ///
    /// # Errors
    /// As with [`append`](Self::append): this ring must not be used any more.
    pub fn sync(&mut self) -> io::Result<()> {
        match self.begin_sync() {
            true => self.medium.sync(),
            false => Ok(()),
        }
    }

    /// Says that somebody is about to sync the medium: what was written before is not touched any more. False: there is
    /// nothing to sync.
    pub fn begin_sync(&mut self) -> bool {
        let dirty = std::mem::take(&mut self.dirty);
        if dirty {
            let at = page_after(self.at);
            self.written += at - self.at;
            self.at = at;
        }
        dirty
    }

    /// What it writes to.
    pub fn medium(&self) -> &M {
        &self.medium
    }

    /// Largest block, bytes: a quarter of the ring, so that no block costs it its memory.
    #[must_use]
    pub fn largest(&self) -> u64 {
        (self.start.size - PAGE) / 4
    }

    /// Bytes written, padding included.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The sequence of the last block.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.start.sequence
    }
}

fn page_after(at: u64) -> u64 {
    at.next_multiple_of(PAGE)
}
