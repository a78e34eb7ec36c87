//! It crashed: what the fault, the stack and its own words say of the reason.
//!
//! The kernel proves the fault and its address. That an address next to the stack pointer is an overflow is likely, and
//! proven by a function that calls itself all over the stack. An abort is what the program says it is; glibc's allocator,
//! the runtimes' heap limits and uncaught errors say so in words of their own.

use super::actor::Actor;
use super::ground::{Ground, statement};
use super::said::{self, Said};
use super::speech::Speech;
use super::{Code, Diagnosis, exit};
use crate::verdict::fault::{AddressClass, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
use crate::verdict::{Grade, Statement};

/// `si_code` of SIGSYS from a seccomp filter (asm-generic/siginfo.h).
const SYS_SECCOMP: i32 = 1;
/// A function this often in the frames that are known is recursion.
const RECURSION: usize = 10;
/// Frames that are named in a sentence.
const NAMED: usize = 4;

/// A fault of the processor.
pub(super) fn fault(ground: &Ground<'_>) -> Option<Diagnosis> {
    let (_, _, exit) = ground.exit()?;
    let signal = exit.killer?;
    let class = AddressClass::of(&signal);
    let (code, grade) = match (signal.number, class) {
        (SIGSEGV, AddressClass::Null) => (Code::SegvNull, Grade::Proven),
        (SIGSEGV, AddressClass::Stack) => (Code::StackOverflow, recursion(ground)),
        (SIGSEGV, _) if recurses(ground) => (Code::StackOverflow, Grade::Likely),
        (SIGSEGV, _) => (Code::SegvWild, Grade::Likely),
        (SIGBUS, _) => (Code::BusError, Grade::Proven),
        (SIGFPE, _) => (Code::Arithmetic, Grade::Proven),
        (SIGSYS, _) if signal.code == SYS_SECCOMP => (Code::Seccomp, Grade::Proven),
        // How a runtime stops itself; its words say why.
        (SIGILL | SIGTRAP, _) => match own_end(ground) {
            Some(said) => return Some(told(ground, &said)),
            None if signal.number == SIGTRAP => return None,
            None => (Code::IllegalInstruction, Grade::Proven),
        },
        _ => return None,
    };
    let top = top(ground);
    let summary = match &top {
        Some(top) => format!("{} in {top}", code.title()),
        None => String::new(),
    };
    let mut diagnosis = Diagnosis::new(code, grade, summary);
    diagnosis.facts.extend(ground.first_statement());
    diagnosis.facts.extend(stack(ground));
    Some(diagnosis)
}

/// It aborted itself.
pub(super) fn abort(ground: &Ground<'_>) -> Diagnosis {
    let actor = Actor::victim(ground);
    let speech = Speech::of(ground, &actor);
    if let Some(said) = said::last_error(&speech, None) {
        let found = match RUNTIMES.iter().find(|(code, _)| *code == said.code) {
            Some((_, functions)) => Some(of_runtime(ground, &said, functions)),
            None => exit::by_words(ground, &actor, said),
        };
        if let Some(diagnosis) = found {
            return diagnosis;
        }
    }
    if let Some(mut diagnosis) = exit::by_calls(ground, &actor, &speech) {
        diagnosis.facts.extend(stack(ground));
        return diagnosis;
    }
    let mut diagnosis = Diagnosis::new(Code::Abort, ground.verdict.grade, String::new());
    if let Some(line) = speech.newest(1).next() {
        let text = format!("its last words: \"{}\"", said::quote(&line.text));
        diagnosis.summary = format!("{}; {text}", Code::Abort.title());
        diagnosis
            .facts
            .push(statement(Grade::Proven, text, line.cites.clone()));
    }
    diagnosis.facts.extend(ground.first_statement());
    diagnosis.facts.extend(stack(ground));
    diagnosis
}

/// What runtimes abort for, and the functions of theirs that such an abort comes from (glibc's malloc/malloc.c, V8's
/// src/api/api.cc and node's src/node_errors.cc, Rust's std/src/sys/pal/unix/stack_overflow.rs).
const RUNTIMES: &[(Code, &[&str])] = &[
    (
        Code::HeapCorruption,
        &[
            "malloc_printerr",
            "__libc_free",
            "__libc_malloc",
            "__libc_realloc",
            "free",
            "malloc",
            "realloc",
            "calloc",
        ],
    ),
    (
        Code::HeapLimit,
        &[
            "FatalProcessOutOfMemory",
            "ReportOOMFailure",
            "OOMErrorHandler",
        ],
    ),
    (Code::StackOverflow, &["stack_overflow"]),
    (Code::Deadlock, &[]),
];

/// The words of a runtime about itself; proven, where the stack shows that it is the runtime that aborted.
fn of_runtime(ground: &Ground<'_>, said: &Said, functions: &[&str]) -> Diagnosis {
    let mut diagnosis = told(ground, said);
    let frames = ground.stack.into_iter().flat_map(|stack| &stack.frames);
    let mut names = frames.filter_map(|frame| frame.function.as_deref());
    let from = |name: &str| {
        let own = name.split('(').next().unwrap_or(name);
        functions
            .iter()
            .any(|function| own.rsplit("::").any(|part| part == *function))
    };
    if names.any(from) {
        diagnosis.grade = Grade::Proven;
    }
    diagnosis.facts.extend(stack(ground));
    diagnosis
}

/// What a runtime says of its own end.
fn own_end(ground: &Ground<'_>) -> Option<Said> {
    let said = said::last_error(&Speech::of(ground, &Actor::victim(ground)), None)?;
    matches!(
        said.code,
        Code::HeapLimit | Code::HeapCorruption | Code::StackOverflow
    )
    .then_some(said)
}

fn told(ground: &Ground<'_>, said: &Said) -> Diagnosis {
    let summary = format!("{}: {}", said.code.title(), said.sentence());
    let mut diagnosis = Diagnosis::new(said.code, Grade::Likely, summary);
    diagnosis.facts.push(exit::words_fact(said));
    diagnosis.facts.extend(ground.first_statement());
    diagnosis
}

fn recursion(ground: &Ground<'_>) -> Grade {
    match recurses(ground) {
        true => Grade::Proven,
        false => Grade::Likely,
    }
}

/// Whether one function makes up the stack.
fn recurses(ground: &Ground<'_>) -> bool {
    let frames = ground.stack.into_iter().flat_map(|stack| &stack.frames);
    let names: Vec<&str> = frames
        .filter_map(|frame| frame.function.as_deref())
        .collect();
    names
        .iter()
        .any(|name| names.iter().filter(|other| other == &name).count() >= RECURSION)
}

/// The function in which it was, in words.
fn top(ground: &Ground<'_>) -> Option<String> {
    let first = ground.stack?.frames.first()?;
    let function = first.function.as_deref()?;
    let source = first.source.as_deref().map(|source| format!(" ({source})"));
    Some(format!("{function}{}", source.unwrap_or_default()))
}

/// The first named frames, innermost first.
pub(super) fn stack(ground: &Ground<'_>) -> Option<Statement> {
    let stack = ground.stack?;
    let names = stack
        .frames
        .iter()
        .filter_map(|frame| frame.function.as_deref());
    let names: Vec<&str> = names.take(NAMED).collect();
    if names.is_empty() {
        return None;
    }
    let text = format!("its thread was in {}", names.join(", called by "));
    Some(statement(Grade::Proven, text, vec![stack.id]))
}
