//! How did the container end, by the kubelet's word alone? The kernel's records of it are missing, or there are none.
//!
//! An exit code and `OOMKilled` are what the runtime told the kubelet: likely, not proven. 137 says SIGKILL and never by
//! whom.

use super::Word;
use super::stop::{self, Stopped};
use crate::record::{BootTime, ContainerEnded, RecordId};
use crate::verdict::{Cause, Grade, Statement, Verdict};
use crate::words;

/// Codes from here on are what shells and runtimes make of a death by a signal.
const SIGNALLED: std::ops::RangeInclusive<i32> = 129..=192;

/// An end that only the kubelet has told of.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub ended: &'a ContainerEnded,
    /// The record that holds it.
    pub id: RecordId,
    /// When it was told.
    pub at: BootTime,
    pub word: Word<'a>,
}

#[must_use]
pub fn explain(told: &Ended<'_>) -> Verdict {
    let (ended, word) = (told.ended, &told.word);
    let end = &ended.end;
    let name = word.name();
    let code = end.exit_code;
    let signal = SIGNALLED.contains(&code).then(|| code.unsigned_abs() - 128);
    let mut verdict = match (end.reason.as_deref(), signal) {
        (Some("OOMKilled"), _) => oom(&name),
        (_, Some(signal)) => signalled(told, &name, signal),
        (_, None) if code == 0 => repeated(&name, ended.restarts),
        (_, None) => coded(&name, code.unsigned_abs()),
    };
    let reason = end
        .reason
        .as_ref()
        .map_or(String::new(), |reason| format!(", reason {reason}"));
    let text = format!("the kubelet says that {name} ended with exit code {code}{reason}");
    verdict.statements.insert(
        0,
        Statement {
            grade: Grade::Proven,
            text,
            cites: vec![told.id],
        },
    );
    if let Some(message) = &ended.message {
        let message = words::printable(message.trim());
        verdict.state(
            Grade::Proven,
            format!("its termination message: {message}"),
            vec![told.id],
        );
    }
    let missing = "the kernel's record of this end is not here, so who or what ended it is the kubelet's word";
    verdict.state(Grade::Unknown, missing.to_owned(), vec![told.id]);
    facts(&mut verdict, ended);
    verdict
}

fn oom(name: &str) -> Verdict {
    let headline =
        format!("{name} ended because memory had run out, by the kubelet's word (OOMKilled)");
    Verdict::new(Cause::Oom, Grade::Likely, headline)
}

fn signalled(told: &Ended<'_>, name: &str, signal: u32) -> Verdict {
    let signal_name = words::signal(signal);
    let end = Stopped {
        started: None,
        ended: told.at,
        killed: signal == 9,
    };
    if let Some(stop) = stop::why(&told.word, &end) {
        let headline = format!("{name} ended by {signal_name}: {}", stop.because);
        let mut verdict = Verdict::new(stop.cause, Grade::Likely, headline);
        verdict.state(
            Grade::Likely,
            format!("{} (the cluster's word)", stop.because),
            stop.cites,
        );
        verdict.statements.extend(stop.details);
        return verdict;
    }
    let headline = format!("{name} ended by {signal_name}; who sent it is not recorded");
    let mut verdict = Verdict::new(Cause::Unknown, Grade::Unknown, headline);
    if signal == 9 {
        let text = "exit code 137 means SIGKILL: by the OOM killer, the kubelet, or anybody else";
        verdict.state(Grade::Unknown, text.to_owned(), vec![told.id]);
    }
    verdict.signal_facts(signal);
    verdict
}

fn coded(name: &str, code: u32) -> Verdict {
    let meaning = words::exit_code(code).map_or(String::new(), |meaning| format!(" ({meaning})"));
    let headline =
        format!("{name} ended itself with exit code {code}{meaning}, by the kubelet's word");
    Verdict::new(Cause::ExitCode, Grade::Likely, headline)
}

fn repeated(name: &str, restarts: u32) -> Verdict {
    let headline =
        format!("{name} ends without an error and is started again: {restarts} restarts so far");
    Verdict::new(Cause::Restarts, Grade::Likely, headline)
}

/// v1's context of a container's end.
pub(super) fn facts(verdict: &mut Verdict, ended: &ContainerEnded) {
    let end = &ended.end;
    verdict.fact("container_name", ended.container.clone());
    verdict.fact("restart_count", ended.restarts);
    verdict.fact("exit_code", end.exit_code);
    verdict.fact("reason", end.reason.clone().unwrap_or_default());
    verdict.fact("message", ended.message.clone().unwrap_or_default());
    for (name, at) in [("started_at", end.started), ("finished_at", end.finished)] {
        let at = at.and_then(|nanos| jiff::Timestamp::from_nanosecond(nanos.into()).ok());
        if let Some(at) = at {
            verdict.fact(name, at.to_string());
        }
    }
}
