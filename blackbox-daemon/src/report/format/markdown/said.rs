//! What it said: its last words and the end of its container's log, as written, in fences.

use std::io::{self, Write};

use super::{TIME, left};
use crate::report::format::quote::{Inline, fence};
use crate::report::{LastWords, LogTail};

/// Writes that a page has room for.
const WORDS: usize = 20;
/// Lines of a log that a page has room for.
const LOG_LINES: usize = 40;

/// What its processes wrote last.
pub(super) fn last_words(out: &mut impl Write, all: &[LastWords]) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let left_out = all.len().saturating_sub(WORDS);
    writeln!(out, "## Last words\n")?;
    left(out, left_out, "earlier writes")?;
    for words in &all[left_out..] {
        let time = words.timestamp.strftime(TIME);
        let cut = match words.cut_bytes {
            0 => String::new(),
            bytes => format!(", {bytes} more bytes not kept"),
        };
        writeln!(
            out,
            "`{}` at {time}: {} of {} ({}){cut}\n",
            words.id,
            Inline(&words.stream),
            Inline(&words.comm),
            words.pid
        )?;
        fence(out, words.text.lines().map(|line| (None, line)))?;
        writeln!(out)?;
    }
    Ok(())
}

/// The end of its container's log.
pub(super) fn log(out: &mut impl Write, log: &LogTail) -> io::Result<()> {
    let left_out = log.lines.len().saturating_sub(LOG_LINES);
    writeln!(out, "## Log\n")?;
    writeln!(out, "The end of {}.\n", Inline(&log.path))?;
    left(out, left_out, "earlier lines")?;
    let lines = log.lines[left_out..].iter().map(|line| {
        let time = line.timestamp.map(|at| format!("{} ", at.strftime(TIME)));
        let stream = match line.stream.as_str() {
            "" => String::new(),
            stream => format!("{stream:.6} "),
        };
        (Some(time.unwrap_or_default() + &stream), line.text.as_str())
    });
    fence(out, lines)?;
    writeln!(out)
}
