//! Last words: what the kernel programs keep of what a container's processes wrote, made into records when one of its
//! processes ends badly.
//!
//! Reads the map of last words; makes records of whole lines as far as that is possible; the feed hides secrets in them.
//! Guarantee: each piece is told once, and only while its bytes are there.

use std::collections::HashMap;

use aya::maps::{HashMap as BpfHashMap, MapData};
use blackbox_common::words::{LastWords, PIECES, Piece, TOGETHER_NS, WORDS_LEN};

use super::wire::Plain;
use crate::record::{
    BootTime, CgroupId, Comm, Event, Exit, Process, ProcessKey, Record, Stream, Subject, Words,
};

/// Most bytes of one record.
const MOST: usize = 2048;

/// What was told already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// Pieces so far …
    count: u64,
    /// … and bytes of the last of them, which may grow.
    kept: u32,
    /// Bytes so far.
    position: u64,
}

/// The words, and what of them was told already, by cgroup.
#[derive(Debug)]
pub(super) struct Heard {
    map: BpfHashMap<MapData, u64, Plain<LastWords>>,
    told: HashMap<u64, Told>,
}

impl Heard {
    pub(super) fn new(map: BpfHashMap<MapData, u64, Plain<LastWords>>) -> Self {
        Self {
            map,
            told: HashMap::new(),
        }
    }

    /// The last words of the container of a process that just died, unless it died well; none when it is in no container.
    pub(super) fn at_death(&mut self, record: &Record) -> Vec<Record> {
        let (
            Event::Exit(Exit {
                status, ns_level, ..
            }),
            Some(cgroup),
        ) = (&record.event, record.subject.cgroup())
        else {
            return Vec::new();
        };
        if status.0 == 0 || *ns_level == 0 {
            return Vec::new();
        }
        let Ok(Plain(words)) = self.map.get(&cgroup.0, 0) else {
            return Vec::new();
        };
        let told = self.told.entry(cgroup.0).or_default();
        records(&words, told, cgroup)
    }

    /// Gives the memory of a removed cgroup back.
    pub(super) fn forget(&mut self, cgroup: u64) {
        self.told.remove(&cgroup);
        if let Err(error) = self.map.remove(&cgroup) {
            tracing::trace!(cgroup, %error, "a removed cgroup had said nothing");
        }
    }
}

/// What was not told yet, put together.
fn records(words: &LastWords, told: &mut Told, cgroup: CgroupId) -> Vec<Record> {
    let mut groups: Vec<(Piece, Vec<u8>)> = Vec::new();
    let mut oldest = None;
    for piece in pieces(words, *told) {
        let Some(bytes) = bytes(words, &piece) else {
            continue;
        };
        oldest.get_or_insert(piece.position);
        match groups.last_mut() {
            Some((last, text)) if goes_on(last, &piece) && text.len() + bytes.len() <= MOST => {
                text.extend_from_slice(bytes);
                last.at = piece.at;
                last.written += piece.written;
                last.kept += piece.kept;
            }
            _ => groups.push((piece, bytes.to_vec())),
        }
    }
    let head = head(words, *told, oldest.unwrap_or(words.position));
    groups.splice(..0, head);
    *told = Told {
        count: words.count,
        kept: last(words).map_or(0, |last| last.kept),
        position: words.position,
    };
    let record = |(piece, text): (Piece, Vec<u8>)| Record {
        at: BootTime(piece.at),
        subject: Subject::Process(Process {
            key: ProcessKey {
                tgid: piece.tgid,
                start: BootTime(piece.start),
            },
            tid: piece.tid,
            comm: Comm::new(piece.comm),
            cgroup,
        }),
        event: Event::Words(Box::new(Words {
            stream: match piece.fd {
                1 => Stream::Stdout,
                _ => Stream::Stderr,
            },
            text: String::from_utf8_lossy(&text).into_owned(),
            bytes: piece.written,
            cut: piece.written.saturating_sub(u64::from(piece.kept)),
            hidden: 0,
        })),
    };
    groups.into_iter().map(record).collect()
}

/// The pieces that were not told yet, the grown part of the last one that was among them.
fn pieces(words: &LastWords, told: Told) -> impl Iterator<Item = Piece> {
    let at = |number: u64| words.pieces[(number % PIECES as u64) as usize];
    let grown = told
        .count
        .checked_sub(1)
        .filter(|number| number + PIECES as u64 >= words.count);
    let grown = grown
        .map(at)
        .filter(|piece| piece.kept > told.kept)
        .map(|piece| Piece {
            position: piece.position + u64::from(told.kept),
            written: piece.written.saturating_sub(u64::from(told.kept)),
            kept: piece.kept - told.kept,
            ..piece
        });
    let first = told.count.max(words.count.saturating_sub(PIECES as u64));
    grown.into_iter().chain((first..words.count).map(at))
}

fn last(words: &LastWords) -> Option<Piece> {
    let number = words.count.checked_sub(1)?;
    Some(words.pieces[(number % PIECES as u64) as usize])
}

/// The beginning of what was said last on standard error, if the oldest bytes that are there are later ones. What lies
/// between is missing, and counts as cut.
fn head(words: &LastWords, told: Told, oldest: u64) -> Option<(Piece, Vec<u8>)> {
    let head = words.head;
    let told = head.position < told.position;
    let missing = oldest
        .checked_sub(head.position)
        .filter(|missing| *missing > 0)?;
    if head.kept == 0 || told {
        return None;
    }
    // What of it is there is told with the rest.
    let kept = u64::from(head.kept).min(missing) as u32;
    let text = words.head_bytes.get(..kept as usize)?;
    let piece = Piece {
        kept,
        written: missing,
        ..head
    };
    Some((piece, text.to_vec()))
}

/// A piece's bytes. `None`: overwritten, or not a piece.
fn bytes<'a>(words: &'a LastWords, piece: &Piece) -> Option<&'a [u8]> {
    let since = words.position.checked_sub(piece.position)?;
    if since > WORDS_LEN as u64 {
        return None;
    }
    let from = (piece.position % WORDS_LEN as u64) as usize;
    words.bytes.get(from..from + piece.kept as usize)
}

/// Whether `next` is of the same process and stream as `last`, whole so far, and follows soon.
fn goes_on(last: &Piece, next: &Piece) -> bool {
    last.tgid == next.tgid
        && last.start == next.start
        && last.fd == next.fd
        && last.written == u64::from(last.kept)
        && next.at.saturating_sub(last.at) <= TOGETHER_NS
}

#[cfg(test)]
mod tests;
