//! The verdict: who or what ended a process, and how sure that is. Rules over records; pure.
//!
//! One file per question: `oom` (which memory ran out?), `killer` (who sent the signal?), `fault` (what did it
//! do?), `exit_code` (what did it say?), `cluster` (why was it stopped, or why does it not run?), `reported` (what does a
//! sidecar's report rest on?), `recorder` (how did the recorder's own former life end?). Each statement cites the records it follows from; what they do not say
//! stays unknown. Exit status 137 is never taken for an OOM kill: only the kernel's own mark is.

pub mod cluster;
mod exit_code;
pub(crate) mod fault;
mod killer;
mod oom;
pub mod recorder;
pub mod reported;
mod scene;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::record::{Exit, RecordId, Signal};
use crate::words;
pub(crate) use oom::Kill;
pub use scene::Scene;

const SIGABRT: u32 = 6;
const SIGKILL: u32 = 9;

/// How sure a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The records do not say.
    Unknown,
    /// The records fit it; something else could fit them too.
    Likely,
    /// It follows from the records cited.
    Proven,
}

impl Grade {
    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Likely => "likely",
            Self::Proven => "proven",
        }
    }
}

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A memory cgroup reached its limit; the OOM killer chose this process.
    MemoryLimit,
    /// The node itself ran out of memory.
    NodeOom,
    /// The OOM killer chose it; which memory had run out is not recorded.
    Oom,
    /// Another process sent it a fatal signal.
    KilledBySignal,
    /// It sent itself a fatal signal other than SIGABRT.
    SelfSignal,
    /// The kernel sent it a fatal signal that is neither a fault nor an OOM kill.
    KernelSignal,
    /// The processor refused what it did: bad address, bad instruction, …
    Fault,
    /// It aborted itself.
    Abort,
    /// It exited with a code that is not zero.
    ExitCode,
    /// The kubelet evicted its pod.
    Evicted,
    /// The kubelet stopped its container because a probe failed.
    ProbeFailed,
    /// Its pod was deleted, and it did not end in its grace period.
    GraceExpired,
    /// Its pod was deleted.
    Deleted,
    /// The kubelet stopped it, for no reason that it gave.
    StoppedByKubelet,
    /// Its pod ran for longer than it may.
    DeadlineExceeded,
    /// Its pod had to go: preempted, not tolerated by its node, or the node's shutdown.
    Disrupted,
    /// The kubelet holds it back because it ended too often.
    CrashLoop,
    /// It ends well, and is started again and again.
    Restarts,
    /// Its image cannot be had.
    ImagePull,
    /// Its configuration cannot be used.
    Config,
    /// It cannot be made or started.
    StartFailed,
    /// Its pod has been pending for too long.
    Pending,
    /// Its pod failed.
    PodFailed,
    /// The node is short of something.
    NodePressure,
    /// The recorder itself died.
    DaemonCrash,
    /// The node went down without a clean stop.
    NodeDown,
    /// Somebody said so.
    Reported,
    Unknown,
}

impl Cause {
    /// The name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MemoryLimit => "memory_limit",
            Self::NodeOom => "node_oom",
            Self::Oom => "oom",
            Self::KilledBySignal => "killed_by_signal",
            Self::SelfSignal => "self_signal",
            Self::KernelSignal => "kernel_signal",
            Self::Fault => "fault",
            Self::Abort => "abort",
            Self::ExitCode => "exit_code",
            Self::Evicted => "evicted",
            Self::ProbeFailed => "probe_failed",
            Self::GraceExpired => "grace_expired",
            Self::Deleted => "deleted",
            Self::StoppedByKubelet => "stopped_by_kubelet",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Disrupted => "disrupted",
            Self::CrashLoop => "crash_loop",
            Self::Restarts => "restarts",
            Self::ImagePull => "image_pull",
            Self::Config => "config",
            Self::StartFailed => "start_failed",
            Self::Pending => "pending",
            Self::PodFailed => "pod_failed",
            Self::NodePressure => "node_pressure",
            Self::DaemonCrash => "daemon_crash",
            Self::NodeDown => "node_down",
            Self::Reported => "reported",
            Self::Unknown => "unknown",
        }
    }
}

/// Who or what ended it, and how sure that is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub grade: Grade,
    pub cause: Cause,
    /// One sentence that answers "who killed it, and why?".
    pub headline: String,
    /// What the answer rests on, each with its own grade and its citations.
    pub statements: Vec<Statement>,
    /// The facts of the cause by name (pid, signal, limit, address, …), for machines.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub facts: BTreeMap<Cow<'static, str>, Value>,
}

/// One sentence of a verdict.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    pub grade: Grade,
    pub text: String,
    /// Ids of the telemetry entries that show it.
    pub cites: Vec<RecordId>,
}

/// Decides.
#[must_use]
pub fn decide(scene: &Scene<'_>) -> Verdict {
    let mut verdict = match (scene.exit(), scene.oom()) {
        // The mark may come after the death (see the kernel program): the exit then knows nothing of it. But it
        // says "killed" only if the first SIGKILL that was sent is the OOM killer's own.
        (Some((id, _, exit)), Some((oom_id, oom)))
            if oom.killed && exit.status.signal() == Some(SIGKILL) =>
        {
            oom::explain(scene, Some((id, exit)), (oom_id, oom))
        }
        (Some((id, _, exit)), None) if exit.oom_victim && exit.status.signal() == Some(SIGKILL) => {
            oom::without_record(scene, id)
        }
        (Some((id, _, exit)), _) => match exit.status.signal() {
            Some(number) => by_signal(scene, id, exit, number),
            None => exit_code::explain(scene, id, exit),
        },
        (None, Some(oom)) => oom::explain(scene, None, oom),
        (None, None) => nothing(scene),
    };
    about_the_victim(scene, &mut verdict);
    if let Some(word) = &scene.word {
        cluster::add(scene, word, &mut verdict);
    }
    verdict
}

/// It died of a signal: whose, and was it a fault?
fn by_signal(scene: &Scene<'_>, exit_id: RecordId, exit: &Exit, number: u32) -> Verdict {
    let sent = scene.sent(number, exit.killer.as_ref());
    let mut cites = vec![exit_id];
    cites.extend(sent.map(|(id, _)| id));
    let Some(signal) = exit.killer.or(sent.map(|(_, signal)| signal)) else {
        return killer::unseen(scene, exit_id, number);
    };
    let own = signal.sender.key == scene.victim.key;
    let death = Death {
        signal,
        core_dumped: exit.status.core_dumped(),
        cites,
    };
    match (signal.from_user(), own) {
        (true, true) if number == SIGABRT => fault::aborted(scene, &death),
        (true, true) if killer::is_kernels_answer(number) => killer::answered(scene, &death),
        (true, true) => killer::itself(scene, &death),
        (true, false) => killer::explain(scene, &death),
        (false, _) if fault::is_fault(number) => match scene.abort_before(&death.signal) {
            Some((id, _)) => fault::aborted_by_fault(scene, &death, id),
            None => fault::explain(scene, &death),
        },
        (false, _) if death.signal.code < 0 => killer::notified(scene, &death),
        (false, _) => killer::kernel(scene, &death),
    }
}

/// A death by a signal whose sending was seen.
struct Death {
    signal: Signal,
    core_dumped: bool,
    /// The exit, and the signal's own record where the slice has it.
    cites: Vec<RecordId>,
}

/// Neither an exit nor an OOM mark is in the slice.
fn nothing(scene: &Scene<'_>) -> Verdict {
    Verdict::new(
        Cause::Unknown,
        Grade::Unknown,
        format!(
            "how {} ended is not recorded",
            words::process(&scene.victim)
        ),
    )
}

/// Facts every verdict has, and a statement about the life that ended.
fn about_the_victim(scene: &Scene<'_>, verdict: &mut Verdict) {
    let victim = &scene.victim;
    verdict.fact("pid", victim.key.tgid);
    verdict.fact("comm", victim.comm.to_string());
    verdict.fact("cgroup", scene.path(victim.cgroup).unwrap_or("unknown"));
    if let Some(exe) = scene.names.exe(victim.key) {
        verdict.fact("exe", words::printable(exe));
    }
    let Some((id, record, exit)) = scene.exit() else {
        return;
    };
    let lived = record.at.since(victim.key.start);
    verdict.fact("run_time_seconds", lived.as_secs_f64());
    let mut text = format!(
        "{} had run for {}",
        scene.who_exactly(victim),
        words::duration(lived)
    );
    if let Some(peak) = exit.peak_rss {
        verdict.fact("peak_rss_bytes", peak);
        text.push_str(&format!(
            "; its resident memory peaked at {} (programs it ran before included)",
            words::bytes(peak)
        ));
    }
    text.push_str(&format!(
        "; its parent was {}",
        words::process_and_exe(&exit.parent, scene.names)
    ));
    verdict.fact("parent_pid", exit.parent.key.tgid);
    verdict.fact("parent_comm", exit.parent.comm.to_string());
    verdict.state(Grade::Proven, text, vec![id]);
}

impl Verdict {
    fn new(cause: Cause, grade: Grade, headline: String) -> Self {
        Self {
            grade,
            cause,
            headline,
            statements: Vec::new(),
            facts: BTreeMap::new(),
        }
    }

    fn state(&mut self, grade: Grade, text: String, mut cites: Vec<RecordId>) {
        cites.sort_unstable();
        self.statements.push(Statement { grade, text, cites });
    }

    fn fact(&mut self, name: &'static str, value: impl Into<Value>) {
        self.facts.insert(Cow::Borrowed(name), value.into());
    }

    /// Every record cited, once, in order.
    #[must_use]
    pub fn cited(&self) -> Vec<RecordId> {
        let mut ids: Vec<_> = self
            .statements
            .iter()
            .flat_map(|s| s.cites.iter().copied())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The signal, by number and name.
    fn signal_facts(&mut self, number: u32) {
        self.fact("signal", number);
        self.fact("signal_name", words::signal(number));
    }
}
