//! Blocks: how pieces of the window lie in `window.ring`. Bytes in, bytes out; pure.
//!
//! ```text
//!  page 0: head ─ magic, format, size, key, CRC ─ written once
//!  page 1 …: blocks, round and round
//!    ┌─ 4 ──┬ 4 ─┬ 4 ──┬ 4 ──┬ 8 ──┬── 8 ───┬ 4 ──┬ 4 ───┬─ 8 ─┬ 8 ──┬── 8 ───┬─ 16 ──┐┌ payload ┐
//!    │magic │crc │ len │flags│ life │sequence│chain│ zero │ at  │ wall│skipped │boot id││sections │ zeros up to 8
//!    └──────┴────┴─────┴─────┴──────┴────────┴─────┴──────┴─────┴─────┴────────┴───────┘└─────────┘
//! ```
//!
//! All numbers are little endian. The CRC is over the file's key and everything behind it up to `len`. The key is random
//! and in no record, so what a process writes can never pass as a block, wherever it comes to lie. `chain` is the CRC of the
//! block before. A block begins at a multiple of 8, and at the beginning of a page after each sync: a page that is durable
//! is not written again before the ring has gone round.

use serde::{Deserialize, Serialize};

use crate::clock::WallOffset;
use crate::record::{BootTime, LaneName};

/// What a sync makes durable is never rewritten within it, bytes: the page of the kernel's cache, and as much as disks of
/// today write at once.
pub const PAGE: u64 = 4096;
/// Where blocks begin.
pub(super) const ALIGN: u64 = 8;
/// What the file's head and each block begin with.
const HEAD_MAGIC: &[u8; 8] = b"BBXRING\n";
const MAGIC: u32 = u32::from_le_bytes(*b"BBxB");
/// Version of this layout, and of what sections hold: raised when records or the recorder's state are kept another way.
pub const FORMAT: u32 = 1;
/// Bytes before a block's payload.
pub(super) const HEADER: usize = 80;
/// Flag: the daemon stopped because it was asked to; this is its last block.
const ENDED: u32 = 1;

/// Before the first block of the life after the one that wrote `sequence`, which begins at `seconds` by the wall clock: a life
/// of which nothing came to the disk must not give its numbers to the next one. (If the clock was set back, it may.)
#[must_use]
pub fn next_life(sequence: u64, seconds: u32) -> u64 {
    let number = (sequence >> 32) + 1;
    number.max(u64::from(seconds)) << 32
}

/// Whether a block is the first of its life.
#[must_use]
pub fn begins_life(sequence: u64) -> bool {
    sequence & u64::from(u32::MAX) == 1
}

/// What makes a file's blocks its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u64);

/// The first page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub format: u32,
    /// Of the file, bytes.
    pub size: u64,
    pub key: Key,
}

/// What a block says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which run of the daemon wrote it.
    pub life: u64,
    /// No two blocks of a file have the same: lives in the upper half, in order, and the blocks of each from 1 in the lower.
    pub sequence: u64,
    /// CRC of the block before; of a life's first block, of the last one that it found.
    pub chain: u32,
    /// When it was made …
    pub at: BootTime,
    /// … and what the wall clock was ahead by.
    pub wall: WallOffset,
    /// Records this life did not write, so far.
    pub skipped: u64,
    /// The boot of the kernel, as `/proc/sys/kernel/random/boot_id` has it.
    pub boot: [u8; 16],
    /// The last one of a life that was asked to stop.
    pub ended: bool,
}

/// What a block holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section<'a> {
    /// Frames of the window.
    Frames {
        lane: LaneName,
        first_id: u64,
        count: u32,
        #[serde(borrow)]
        bytes: &'a [u8],
    },
    /// What the recorder knows beside its window, as of the records before it.
    Checkpoint(#[serde(borrow)] &'a [u8]),
    /// Incidents, by id, of which a report was handed to every destination and none is in their queues any more.
    Told(Vec<String>),
}

/// The first page.
#[must_use]
pub fn head(head: &Head) -> Vec<u8> {
    let mut page = vec![0; PAGE as usize];
    page[..8].copy_from_slice(HEAD_MAGIC);
    page[8..12].copy_from_slice(&head.format.to_le_bytes());
    page[12..20].copy_from_slice(&head.size.to_le_bytes());
    page[20..28].copy_from_slice(&head.key.0.to_le_bytes());
    let crc = crc32fast::hash(&page[..28]);
    page[28..32].copy_from_slice(&crc.to_le_bytes());
    page
}

/// The head of a file, if it is one.
#[must_use]
pub fn read_head(bytes: &[u8]) -> Option<Head> {
    let whole = bytes.get(..28)?;
    let crc = u32_at(bytes, 28)?;
    (whole.starts_with(HEAD_MAGIC) && crc32fast::hash(whole) == crc).then_some(())?;
    Some(Head {
        format: u32_at(bytes, 8)?,
        size: u64_at(bytes, 12)?,
        key: Key(u64_at(bytes, 20)?),
    })
}

/// Puts a block into `out`, in place of what was there; returns its CRC, for the chain. Its length is a multiple of 8.
///
/// # Errors
/// A section cannot be encoded, or the block is larger than 4 GiB.
pub fn encode(
    stamp: &Stamp,
    sections: &[Section<'_>],
    key: Key,
    out: &mut Vec<u8>,
) -> postcard::Result<u32> {
    out.clear();
    out.resize(HEADER, 0);
    for section in sections {
        *out = postcard::to_extend(section, std::mem::take(out))?;
    }
    let len =
        u32::try_from(out.len()).map_err(|_too_large| postcard::Error::SerializeBufferFull)?;
    let flags = if stamp.ended { ENDED } else { 0 };
    put(out, 0, &MAGIC.to_le_bytes());
    put(out, 8, &len.to_le_bytes());
    put(out, 12, &flags.to_le_bytes());
    put(out, 16, &stamp.life.to_le_bytes());
    put(out, 24, &stamp.sequence.to_le_bytes());
    put(out, 32, &stamp.chain.to_le_bytes());
    put(out, 40, &stamp.at.0.to_le_bytes());
    put(out, 48, &stamp.wall.nanos().to_le_bytes());
    put(out, 56, &stamp.skipped.to_le_bytes());
    put(out, 64, &stamp.boot);
    let crc = crc(key, &out[8..]);
    put(out, 4, &crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(ALIGN as usize), 0);
    Ok(crc)
}

/// A block that was read.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    pub stamp: Stamp,
    pub crc: u32,
    /// Bytes to the next one, of which the last may be padding.
    pub len: usize,
    payload: &'a [u8],
}

/// The block at the beginning of `bytes`, if there is a whole one.
#[must_use]
pub fn decode(bytes: &[u8], key: Key) -> Option<Block<'_>> {
    (u32_at(bytes, 0)? == MAGIC).then_some(())?;
    let len = u32_at(bytes, 8)? as usize;
    let block = bytes.get(..len)?;
    let payload = block.get(HEADER..)?;
    let crc_found = u32_at(block, 4)?;
    (crc(key, &block[8..]) == crc_found).then_some(())?;
    Some(Block {
        stamp: Stamp {
            life: u64_at(block, 16)?,
            sequence: u64_at(block, 24)?,
            chain: u32_at(block, 32)?,
            at: BootTime(u64_at(block, 40)?),
            wall: WallOffset::from_nanos(u64_at(block, 48)?.cast_signed()),
            skipped: u64_at(block, 56)?,
            boot: block[64..80].try_into().ok()?,
            ended: u32_at(block, 12)? & ENDED != 0,
        },
        crc: crc_found,
        len: len.next_multiple_of(ALIGN as usize),
        payload,
    })
}

impl<'a> Block<'a> {
    /// What it holds. Ends early where a section does not decode: it is of another format.
    pub fn sections(&self) -> impl Iterator<Item = Section<'a>> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let (section, left) = postcard::take_from_bytes(rest).ok()?;
            rest = left;
            Some(section)
        })
    }
}

fn crc(key: Key, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.0.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            life: 1,
            sequence: 2,
            chain: 3,
            at: BootTime(4),
            wall: WallOffset::from_nanos(-5),
            skipped: 6,
            boot: [7; 16],
            ended: true,
        }
    }

    fn sections() -> Vec<Section<'static>> {
        vec![
            Section::Frames {
                lane: LaneName::Bulk,
                first_id: 9,
                count: 2,
                bytes: &[1, 2, 255],
            },
            Section::Checkpoint(&[4, 5]),
            Section::Told(vec!["oom-1".to_owned()]),
        ]
    }

    #[test]
    fn a_block_comes_back_as_it_was() {
        let mut bytes = Vec::new();
        let crc = encode(&stamp(), &sections(), Key(1), &mut bytes).unwrap();
        assert_eq!(bytes.len() % 8, 0);
        let block = decode(&bytes, Key(1)).unwrap();
        assert_eq!(
            (block.stamp, block.crc, block.len),
            (stamp(), crc, bytes.len())
        );
        assert_eq!(block.sections().collect::<Vec<_>>(), sections());
    }

    #[test]
    fn no_damaged_or_foreign_block_is_taken() {
        let mut whole = Vec::new();
        encode(&stamp(), &sections(), Key(1), &mut whole).unwrap();
        assert!(decode(&whole, Key(2)).is_none(), "of another file");
        let len = u32_at(&whole, 8).unwrap() as usize;
        for cut in 0..len {
            assert!(decode(&whole[..cut], Key(1)).is_none(), "cut at {cut}");
        }
        for at in 0..len {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(decode(&bytes, Key(1)).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_head_comes_back_and_a_damaged_one_does_not() {
        let made = Head {
            format: FORMAT,
            size: 1 << 20,
            key: Key(77),
        };
        let page = head(&made);
        assert_eq!(read_head(&page), Some(made));
        for at in 0..32 {
            let mut page = page.clone();
            page[at] ^= 1;
            assert_eq!(read_head(&page), None, "byte {at}");
        }
        assert_eq!(read_head(&[]), None);
    }
}
