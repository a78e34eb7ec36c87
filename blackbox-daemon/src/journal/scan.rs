//! Reading a journal after its writer's death: every whole block there is. Bytes in, blocks out; pure.
//!
//! Blocks are looked for at the beginning of each page, and behind each block that was found. What is found is proven by its
//! CRC alone; its place says nothing, its sequence everything. Damaged blocks are not there, and what is missing shows in
//! the sequence.

use std::ops::Range;

use super::layout::{self, Block, FORMAT, Head, PAGE, Section, Stamp};

/// Why nothing can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it is no window.ring, or its first page is damaged")]
    NoHead,
    #[error("it is of format {0}; this version reads {FORMAT}")]
    Format(u32),
}

/// A block, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub stamp: Stamp,
    pub crc: u32,
    pub place: Range<usize>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Scan {
    pub head: Head,
    /// By sequence.
    pub blocks: Vec<Found>,
}

/// Reads a whole file.
///
/// # Errors
/// It has no head, or one of another format.
pub fn scan(bytes: &[u8]) -> Result<Scan, Unreadable> {
    let head = layout::read_head(bytes).ok_or(Unreadable::NoHead)?;
    if head.format != FORMAT {
        return Err(Unreadable::Format(head.format));
    }
    let mut blocks = Vec::new();
    let mut at = PAGE as usize;
    while at < bytes.len() {
        match layout::decode(&bytes[at..], head.key) {
            Some(block) => {
                let end = at + block.len;
                blocks.push(Found {
                    stamp: block.stamp,
                    crc: block.crc,
                    place: at..end,
                });
                at = end;
            }
            None => at = (at + 1).next_multiple_of(PAGE as usize),
        }
    }
    blocks.sort_by_key(|found| found.stamp.sequence);
    disown(&mut blocks);
    Ok(Scan { head, blocks })
}

/// Takes out what a later life did not find: behind a block that was torn, and within reach again since that one was
/// overwritten. Its records were lost, and others have their ids.
fn disown(blocks: &mut Vec<Found>) {
    for first in (1..blocks.len()).rev() {
        let Stamp {
            sequence, chain, ..
        } = blocks[first].stamp;
        let before = &blocks[..first];
        if layout::begins_life(sequence)
            && let Some(last) = before.iter().rposition(|found| found.crc == chain)
        {
            blocks.drain(last + 1..first);
        }
    }
}

impl Scan {
    /// The blocks of the boot of the newest one, oldest first, from the last hole on that cannot be told from the ring's end.
    #[must_use]
    pub fn of_last_boot(&self) -> &[Found] {
        let Some(last) = self.blocks.last() else {
            return &[];
        };
        let others = self
            .blocks
            .iter()
            .rposition(|found| found.stamp.boot != last.stamp.boot);
        &self.blocks[others.map_or(0, |at| at + 1)..]
    }

    /// Blocks missing between the first and the last of `blocks`.
    #[must_use]
    pub fn holes(blocks: &[Found]) -> u64 {
        let pairs = blocks.windows(2);
        let steps = pairs.map(|pair| pair[1].stamp.sequence - pair[0].stamp.sequence);
        // From one life to the next it is no hole.
        steps
            .filter(|step| *step < 1 << 31)
            .map(|step| step.saturating_sub(1))
            .sum()
    }

    /// Where a writer goes on: behind the newest block.
    #[must_use]
    pub fn end(&self) -> usize {
        self.blocks.last().map_or(0, |found| found.place.end)
    }
}

impl Found {
    /// What it holds; `bytes` and `head` are those that were scanned.
    pub fn sections<'a>(
        &self,
        bytes: &'a [u8],
        head: &Head,
    ) -> impl Iterator<Item = Section<'a>> + use<'a> {
        let block = bytes
            .get(self.place.start..)
            .and_then(|bytes| layout::decode(bytes, head.key));
        block
            .into_iter()
            .flat_map(|block: Block<'a>| block.sections())
    }
}
