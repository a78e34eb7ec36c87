//! Last words: what the kernel programs keep of what a container's processes wrote, made into records when one of its
//! processes ends badly.
//!
//! Reads the map of last words; makes records of whole lines as far as that is possible; the feed hides secrets in them.
//! Guarantee: each piece is told once, and only while its bytes are there.

use std::collections::HashMap;

use aya::maps::{HashMap as BpfHashMap, MapData};
use blackbox_common::words::{LastWords, PIECES, Piece, WORDS_LEN};

use super::wire::Plain;
use crate::record::{
    BootTime, CgroupId, Comm, Event, Exit, Process, ProcessKey, Record, Stream, Subject, Words,
};

/// Pieces of one process and stream that follow each other within this time are one record: runtimes write a line in
/// many calls.
const TOGETHER_NS: u64 = 50_000_000;
/// Most bytes of one record.
const MOST: usize = 2048;

/// What was told already, by cgroup: pieces so far.
#[derive(Debug)]
pub(super) struct Heard {
    map: BpfHashMap<MapData, u64, Plain<LastWords>>,
    told: HashMap<u64, u64>,
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
        let told = self.told.insert(cgroup.0, words.count).unwrap_or(0);
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

/// The pieces after the first `told`, put together.
fn records(words: &LastWords, told: u64, cgroup: CgroupId) -> Vec<Record> {
    let first = told.max(words.count.saturating_sub(PIECES as u64));
    let mut groups: Vec<(Piece, Vec<u8>)> = Vec::new();
    for number in first..words.count {
        let piece = words.pieces[(number % PIECES as u64) as usize];
        let Some(bytes) = bytes(words, &piece) else {
            continue;
        };
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
mod tests {
    use super::*;

    fn empty() -> LastWords {
        let piece = Piece {
            at: 0,
            start: 0,
            position: 0,
            written: 0,
            tgid: 0,
            tid: 0,
            kept: 0,
            fd: 0,
            comm: [0; 16],
        };
        LastWords {
            count: 0,
            position: 0,
            pieces: [piece; PIECES],
            bytes: [0; WORDS_LEN + blackbox_common::words::PIECE_LEN],
        }
    }

    fn say(words: &mut LastWords, at: u64, text: &[u8]) {
        let from = (words.position % WORDS_LEN as u64) as usize;
        words.bytes[from..from + text.len()].copy_from_slice(text);
        words.pieces[(words.count % PIECES as u64) as usize] = Piece {
            at,
            start: 1,
            position: words.position,
            written: text.len() as u64,
            tgid: 7,
            tid: 7,
            kept: text.len() as u32,
            fd: 2,
            comm: [0; 16],
        };
        words.position += text.len() as u64;
        words.count += 1;
    }

    fn texts<'a>(records: &'a [Record]) -> Vec<&'a str> {
        let text = |record: &'a Record| match &record.event {
            Event::Words(words) => Some(words.text.as_str()),
            _ => None,
        };
        records.iter().filter_map(text).collect()
    }

    #[test]
    fn pieces_of_one_line_are_one_record_and_told_once() {
        let mut words = empty();
        say(&mut words, 1_000, b"panic: ");
        say(&mut words, 2_000, b"no config\n");
        say(&mut words, 900_000_000, b"later\n");
        let made = records(&words, 0, CgroupId(3));
        assert_eq!(texts(&made), ["panic: no config\n", "later\n"]);
        assert!(records(&words, 3, CgroupId(3)).is_empty());
    }

    #[test]
    fn what_was_overwritten_is_left_out() {
        let mut words = empty();
        for n in 0..1000_u64 {
            say(
                &mut words,
                n * 1_000_000_000,
                format!("line {n:>90}\n").as_bytes(),
            );
        }
        let made = records(&words, 0, CgroupId(3));
        assert!(made.len() > 60 && made.len() < 86, "{}", made.len());
        assert!(texts(&made).last().unwrap().ends_with("999\n"));
        assert!(
            texts(&made)
                .iter()
                .all(|text| text.starts_with("line ") && text.ends_with('\n'))
        );
    }
}
