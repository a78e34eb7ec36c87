//! What the program said last, as lines.
//!
//! Reads the records of last words, and where there are none of the victim the container's log; makes lines in the order in
//! which they were written, each with the records it is in. One line may be written in many pieces, and many in one.

use std::collections::BTreeMap;

use super::ground::{Ground, LATELY};
use crate::record::{BootTime, Event, ProcessKey, RecordId, Stream};

/// Most lines looked at: a stack trace of a deep call chain, and some before it.
const MAX_LINES: usize = 400;
/// Bytes of a line that are looked at.
const MAX_LINE: usize = 2_000;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    /// The records it is in; none, if it is from a log.
    pub cites: Vec<RecordId>,
    /// When its end was written.
    pub at: BootTime,
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The process that died.
    Victim,
    /// Others of its container.
    Container,
    /// Somebody in the container, by its log.
    Log,
}

/// The last lines.
#[derive(Clone, Debug)]
pub(super) struct Speech {
    pub speaker: Speaker,
    pub lines: Vec<Line>,
}

impl Speech {
    /// What was said lately: by the victim, else by its container, else what the log has.
    pub(super) fn of(ground: &Ground<'_>) -> Self {
        for speaker in [Speaker::Victim, Speaker::Container] {
            let lines = lines(ground, |process| match speaker {
                Speaker::Victim => ground
                    .scene
                    .is_some_and(|scene| scene.victim.key == process),
                _ => true,
            });
            if !lines.is_empty() {
                return Self { speaker, lines };
            }
        }
        Self {
            speaker: Speaker::Log,
            lines: of_log(ground),
        }
    }

    /// The last ones that are neither blank nor frames of a stack, newest first.
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Line> {
        let said =
            |line: &&Line| !line.text.trim().is_empty() && !super::phrases::is_frame(&line.text);
        self.lines.iter().rev().filter(said).take(count)
    }
}

/// The lines of processes that `wanted` takes. Each stream of each process has its own; they are ordered by their ends.
fn lines(ground: &Ground<'_>, wanted: impl Fn(ProcessKey) -> bool) -> Vec<Line> {
    let (from, end) = (ground.end().minus(LATELY), ground.end());
    let mut open: BTreeMap<(ProcessKey, bool), Line> = BTreeMap::new();
    let mut done: Vec<Line> = Vec::new();
    let mut said: Vec<_> = ground.decisive.iter().collect();
    said.sort_by_key(|(id, record)| (record.at, *id));
    for (id, record) in said {
        let (Event::Words(words), Some(process)) = (&record.event, record.subject.process()) else {
            continue;
        };
        let lately = record.at >= from && record.at <= end;
        if !lately || !ground.subjects.contains(&process.cgroup) || !wanted(process.key) {
            continue;
        }
        let stream = (process.key, words.stream == Stream::Stderr);
        for (index, piece) in words.text.split('\n').enumerate() {
            if index > 0 {
                done.extend(open.remove(&stream));
            }
            if piece.is_empty() {
                continue;
            }
            let line = open.entry(stream).or_insert_with(|| Line {
                text: String::new(),
                cites: Vec::new(),
                at: record.at,
            });
            let room = MAX_LINE.saturating_sub(line.text.len());
            let kept = piece.floor_char_boundary(room);
            line.text.push_str(&piece[..kept]);
            line.at = record.at;
            if line.cites.last() != Some(id) {
                line.cites.push(*id);
            }
        }
    }
    done.extend(open.into_values());
    done.sort_by_key(|line| line.at);
    done.drain(..done.len().saturating_sub(MAX_LINES));
    done
}

fn of_log(ground: &Ground<'_>) -> Vec<Line> {
    let log = ground.log.into_iter().flat_map(|log| &log.lines);
    let mut lines: Vec<Line> = log
        .map(|line| Line {
            text: line.text[..line.text.floor_char_boundary(MAX_LINE)].to_owned(),
            cites: Vec::new(),
            at: ground.end(),
        })
        .collect();
    lines.drain(..lines.len().saturating_sub(MAX_LINES));
    lines
}
