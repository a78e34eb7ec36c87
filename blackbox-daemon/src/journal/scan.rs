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
    let mut end = blocks.len();
    while let Some(first) = end.checked_sub(1) {
        end = first;
        let Stamp {
            sequence, chain, ..
        } = blocks[first].stamp;
        let before = &blocks[..first];
        if layout::begins_life(sequence)
            && let Some(last) = before.iter().rposition(|found| found.crc == chain)
        {
            blocks.drain(last + 1..first);
            end = last + 1;
        }
    }
}

impl Scan {
    /// The blocks of the boot of the newest one, oldest first, as far back as no other boot lies between.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallOffset;
    use crate::record::BootTime;

    fn found(life: u64, number: u64, crc: u32, chain: u32) -> Found {
        Found {
            stamp: Stamp {
                life,
                sequence: (life << 32) + number,
                chain,
                at: BootTime(0),
                wall: WallOffset::from_nanos(0),
                skipped: 0,
                boot: [0; 16],
                ended: false,
            },
            crc,
            place: 0..0,
        }
    }

    #[test]
    fn what_a_later_life_did_not_find_is_nobodys_however_much_it_is() {
        // Of the first life's six blocks the second one found three; of its own three the third one found one.
        let mut blocks: Vec<Found> = (1..=6)
            .map(|n| found(1, n, n as u32, n as u32 - 1))
            .collect();
        blocks.extend(
            (1..=3).map(|n| found(2, n, 10 + n as u32, if n == 1 { 3 } else { 9 + n as u32 })),
        );
        blocks.push(found(3, 1, 21, 11));
        disown(&mut blocks);
        let left: Vec<_> = blocks.iter().map(|it| (it.stamp.life, it.crc)).collect();
        assert_eq!(left, [(1, 1), (1, 2), (1, 3), (2, 11), (3, 21)]);
        // A life whose beginning has been overwritten disowns nobody.
        let mut blocks = vec![found(1, 7, 1, 0), found(2, 2, 2, 99)];
        disown(&mut blocks);
        assert_eq!(blocks.len(), 2);
        disown(&mut Vec::new());
    }
}
