//! Which error the program ended by, by its own words.
//!
//! Reads the last lines; makes at most one cause. An error that nobody caught is looked into for a cause that it names;
//! where none is, the newest line that names one counts, if it does not say itself that it does not matter.

use super::Code;
use super::phrases::{self, Weight};
use super::speech::{Line, Speaker, Speech};
use super::uncaught::{self, Runtime};
use crate::record::{BootTime, RecordId};
use crate::words;

/// How many of the last lines may be about the end.
const LAST_LINES: usize = 8;
/// A cause that is named so often is what a program tried again and again.
const REPEATED: usize = 3;
/// Characters of a line that are quoted.
const QUOTED: usize = 200;

/// A cause, in the program's words.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub code: Code,
    /// Other causes that the same line names.
    pub also: Vec<Code>,
    /// The line that says so.
    pub quote: String,
    pub cites: Vec<RecordId>,
    pub at: BootTime,
    pub speaker: Speaker,
    /// The runtime that printed it as an error that nobody caught, and that it then ended as such programs do.
    pub uncaught: Option<Runtime>,
    /// Other causes were named beside it.
    pub mixed: bool,
    /// It only hints at the cause: a call to a peer that it names must bear it out.
    pub hinted: bool,
    /// Everything said about it, for the names in it.
    pub context: String,
}

/// The cause that the program named last. `code`: what it exited with.
pub(super) fn last_error(speech: &Speech, code: Option<u32>) -> Option<Said> {
    of_uncaught(speech, code).or_else(|| of_lines(speech))
}

fn of_uncaught(speech: &Speech, code: Option<u32>) -> Option<Said> {
    let lines = &speech.lines;
    let found = uncaught::find(lines)?;
    let ended = found.runtime.ends_with(code);
    let messages = found.messages.iter().map(|at| &lines[*at]);
    let named: Vec<(Code, &Line)> = messages
        .clone()
        .filter_map(|line| Some((phrases::cause(&line.text)?, line)))
        .collect();
    let block = &lines[found.start..];
    let (cause, line) = match named.last() {
        Some((cause, line)) => (*cause, *line),
        None if ended && reads_environment(block) => (Code::Config, messages.clone().next_back()?),
        None if ended && is_bare(messages.clone()) => match repeated(&lines[..found.start]) {
            Some(named) => named,
            None => (
                Code::Uncaught,
                message(found.runtime, &found.messages, lines)?,
            ),
        },
        None if ended => (
            Code::Uncaught,
            message(found.runtime, &found.messages, lines)?,
        ),
        None => return None,
    };
    let mut said = Said::new(cause, line, speech.speaker);
    said.uncaught = ended.then_some(found.runtime);
    said.mixed = named.iter().any(|(other, _)| *other != cause);
    said.context = join(block);
    Some(said)
}

/// The line of an error's message to quote.
fn message<'a>(runtime: Runtime, messages: &[usize], lines: &'a [Line]) -> Option<&'a Line> {
    let at = match runtime {
        Runtime::Python => messages.last()?,
        // The first says where, the second what.
        Runtime::Rust | Runtime::Cpp => messages.get(1).or(messages.first())?,
        _ => messages.first()?,
    };
    Some(&lines[*at])
}

/// Whether an error says no more than its name: `NoBrokersAvailable`, `ConnectError: ConnectError`.
fn is_bare<'a>(mut messages: impl Iterator<Item = &'a Line>) -> bool {
    let names = |line: &Line| {
        let (name, rest) = line.text.trim().split_once(':').unwrap_or((&line.text, ""));
        let last = name.rsplit('.').next().unwrap_or(name).trim();
        let rest = rest.trim();
        !last.contains(' ') && (rest.is_empty() || rest == last)
    };
    messages.all(names)
}

/// The only cause that was named again and again before: what a program tried until it gave up. `None`: there are several.
fn repeated(before: &[Line]) -> Option<(Code, &Line)> {
    let told = before
        .iter()
        .filter(|line| phrases::weight(&line.text) > Weight::Harmless);
    let named: Vec<(Code, &Line)> = told
        .filter_map(|line| Some((phrases::cause(&line.text)?, line)))
        .collect();
    let (code, last) = *named.last()?;
    let same = named.iter().filter(|(other, _)| *other == code).count();
    let others = named.iter().any(|(other, _)| *other != code);
    (same >= REPEATED && !others).then_some((code, last))
}

/// A Python program asked for a variable of its environment that is not set: KeyError out of `os.environ`.
fn reads_environment(block: &[Line]) -> bool {
    let asked = |line: &Line| {
        let place = line.text.contains("<frozen os>") || line.text.contains("/os.py\"");
        place && line.text.contains("in __getitem__")
    };
    block.iter().any(asked)
}

/// The lines that begin at the margin first: what is indented belongs to one before it, as the options to a usage.
fn of_lines(speech: &Speech) -> Option<Said> {
    let indented = |line: &&Line| line.text.starts_with([' ', '\t']);
    let outer = speech.newest(usize::MAX).filter(|line| !indented(line));
    let outer: Vec<&Line> = outer.take(LAST_LINES).collect();
    let all: Vec<&Line> = speech.newest(LAST_LINES).collect();
    of_last(&outer, speech)
        .or_else(|| of_last(&all, speech))
        .or_else(|| hinted(&outer, speech))
}

/// An error that hints at a cause, where none is named.
fn hinted(last: &[&Line], speech: &Speech) -> Option<Said> {
    let mut errors = last
        .iter()
        .filter(|line| phrases::weight(&line.text) == Weight::Error);
    let (line, code) = errors.find_map(|line| Some((line, phrases::hint(&line.text)?)))?;
    let mut said = Said::new(code, line, speech.speaker);
    said.hinted = true;
    said.context.clone_from(&line.text);
    Some(said)
}

fn of_last(last: &[&Line], speech: &Speech) -> Option<Said> {
    for weight in [Weight::Error, Weight::Warning] {
        let mut fits = last
            .iter()
            .filter(|line| phrases::weight(&line.text) == weight);
        let named = |line: &&&Line| phrases::cause(&line.text).is_some();
        if let Some(line) = fits.find(named) {
            let code = phrases::cause(&line.text)?;
            let others = fits.filter_map(|line| phrases::cause(&line.text));
            let mut said = Said::new(code, line, speech.speaker);
            said.mixed = others.into_iter().any(|other| other != code);
            let context: Vec<&str> = last.iter().rev().map(|line| line.text.as_str()).collect();
            said.context = context.join("\n");
            return Some(said);
        }
    }
    None
}

fn join(lines: &[Line]) -> String {
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    texts.join("\n")
}

impl Said {
    fn new(code: Code, line: &Line, speaker: Speaker) -> Self {
        Self {
            code,
            also: phrases::causes(&line.text)
                .filter(|other| *other != code)
                .collect(),
            quote: quote(&line.text),
            cites: line.cites.clone(),
            at: line.at,
            speaker,
            uncaught: None,
            mixed: false,
            hinted: false,
            context: String::new(),
        }
    }

    /// As a sentence: `its last words: "…"`.
    pub(super) fn sentence(&self) -> String {
        let who = match self.speaker {
            Speaker::Victim => "its last words",
            Speaker::Child => "last words of its child",
            Speaker::Log => "its log",
        };
        format!("{who}: \"{}\"", self.quote)
    }
}

/// A line as it is quoted: cut, without what terminals would act on.
pub(super) fn quote(text: &str) -> String {
    let text = words::printable(text.trim());
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
