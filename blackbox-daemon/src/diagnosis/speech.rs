//! What the program said last, as lines.
//!
//! Reads the records of last words, and where there are none of the container its log; makes lines in the order in
//! which they were written, each with the records it is in. One line may be written in many pieces, and many in one.

use std::collections::BTreeMap;

use super::actor::Actor;
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
    /// A child whose failure it passed on.
    Child,
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
    /// What the actor said lately; where nothing of what its container said was recorded, what the log has.
    pub(super) fn of(ground: &Ground<'_>, actor: &Actor) -> Self {
        let heard = lines(ground, actor.end(ground), |_| true);
        if heard.is_empty() && !actor.is_child() {
            return Self {
                speaker: Speaker::Log,
                lines: of_log(ground),
            };
        }
        let speaker = match actor.is_child() {
            true => Speaker::Child,
            false => Speaker::Victim,
        };
        Self {
            speaker,
            lines: lines(ground, actor.end(ground), |key| actor.key == Some(key)),
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
fn lines(ground: &Ground<'_>, end: BootTime, wanted: impl Fn(ProcessKey) -> bool) -> Vec<Line> {
    let from = end.minus(LATELY);
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
