//! Who sent the signal? Another process, the process itself, the kernel, or nobody who was seen.

use super::{Cause, Death, Grade, Scene, Verdict};
use crate::record::{Process, RecordId};
use crate::words;

/// Another process sent a fatal signal.
pub(super) fn explain(scene: &Scene<'_>, death: &Death) -> Verdict {
    let name = words::signal(death.signal.number);
    let sender = &death.signal.sender;
    let victim = words::process(&scene.victim);
    let headline = format!("{victim} was killed by {name} from {}", scene.who(sender));
    let mut verdict = Verdict::new(Cause::KilledBySignal, Grade::Proven, headline);
    let text = format!(
        "{} sent {name} to {victim}, which died of it",
        scene.who_exactly(sender)
    );
    verdict.state(Grade::Proven, text, death.cites.clone());
    verdict.signal_facts(death.signal.number);
    name_sender(scene, &mut verdict, sender);
    verdict
}

/// It sent the signal to itself.
pub(super) fn itself(scene: &Scene<'_>, death: &Death) -> Verdict {
    let name = words::signal(death.signal.number);
    let victim = words::process(&scene.victim);
    let headline = format!("{victim} sent {name} to itself and died of it");
    let mut verdict = Verdict::new(Cause::SelfSignal, Grade::Proven, headline);
    let text = format!("sender and target of {name} are the same process");
    verdict.state(Grade::Proven, text, death.cites.clone());
    verdict.signal_facts(death.signal.number);
    name_sender(scene, &mut verdict, &death.signal.sender);
    verdict
}

/// The kernel sent it, for no fault of the process and without an OOM mark.
pub(super) fn kernel(scene: &Scene<'_>, death: &Death) -> Verdict {
    let name = words::signal(death.signal.number);
    let victim = words::process(&scene.victim);
    let context = &death.signal.sender;
    let headline = format!("{victim} was killed by {name} from the kernel itself");
    let mut verdict = Verdict::new(Cause::KernelSignal, Grade::Proven, headline);
    let text = format!(
        "the kernel sent {name} (si_code {}), no process did",
        death.signal.code
    );
    verdict.state(Grade::Proven, text, death.cites.clone());
    let text = format!(
        "why is not recorded; {} was running at that instant",
        scene.who(context)
    );
    verdict.state(Grade::Unknown, text, death.cites.clone());
    verdict.signal_facts(death.signal.number);
    verdict
}

const SIGPIPE: u32 = 13;
const SIGXFSZ: u32 = 25;

/// Signals that the kernel sends a process in its own context for a write it tried.
pub(super) fn is_kernels_answer(number: u32) -> bool {
    matches!(number, SIGPIPE | SIGXFSZ)
}

/// The kernel's answer to a write; the record cannot tell it from a process that signals itself.
pub(super) fn answered(scene: &Scene<'_>, death: &Death) -> Verdict {
    let name = words::signal(death.signal.number);
    let victim = words::process(&scene.victim);
    let what = match death.signal.number {
        SIGPIPE => "it wrote to a pipe or socket that nobody reads",
        _ => "it wrote beyond its file size limit",
    };
    let headline = format!("{victim} died of {name}: {what}");
    let mut verdict = Verdict::new(Cause::KernelSignal, Grade::Likely, headline);
    let text = format!("{name} was sent in the context of the process itself, which died of it");
    verdict.state(Grade::Proven, text, death.cites.clone());
    let text = format!("{what}; a process could also send itself {name}");
    verdict.state(Grade::Likely, text, death.cites.clone());
    verdict.signal_facts(death.signal.number);
    verdict
}

/// A timer, a message queue or asynchronous IO: nobody who was running is the sender.
pub(super) fn notified(scene: &Scene<'_>, death: &Death) -> Verdict {
    let name = words::signal(death.signal.number);
    let victim = words::process(&scene.victim);
    let code = death.signal.code;
    let headline =
        format!("{victim} died of {name}, a notification such as a timer's (si_code {code})");
    let mut verdict = Verdict::new(Cause::KernelSignal, Grade::Likely, headline);
    let text = format!("{name} was sent with si_code {code}, and the process died of it");
    verdict.state(Grade::Proven, text, death.cites.clone());
    let text = "such codes are the kernel's for timers, message queues and asynchronous IO; a process can \
                queue a signal under one, so who caused it is not proven"
        .to_owned();
    verdict.state(Grade::Likely, text, death.cites.clone());
    verdict.signal_facts(death.signal.number);
    verdict
}

/// It died of a signal whose sending was not seen: how is proven, who is not.
pub(super) fn unseen(scene: &Scene<'_>, exit_id: RecordId, number: u32) -> Verdict {
    let name = words::signal(number);
    let victim = words::process(&scene.victim);
    let headline = format!("{victim} died of {name}; who sent it is not recorded");
    let mut verdict = Verdict::new(Cause::Unknown, Grade::Unknown, headline);
    let text = format!("its wait status says that it died of {name}");
    verdict.state(Grade::Proven, text, vec![exit_id]);
    let text =
        "who sent the signal: it was sent before recording began, or its record is lost, or this \
                kernel tells no senders"
            .to_owned();
    verdict.state(Grade::Unknown, text, vec![exit_id]);
    verdict.signal_facts(number);
    verdict
}

fn name_sender(scene: &Scene<'_>, verdict: &mut Verdict, sender: &Process) {
    verdict.fact("sender_pid", sender.key.tgid);
    verdict.fact("sender_comm", sender.comm.to_string());
    verdict.fact("sender_container", scene.names.describe(sender.cgroup));
    verdict.fact(
        "sender_cgroup",
        scene.path(sender.cgroup).unwrap_or("unknown"),
    );
    if let Some(exe) = scene.names.exe(sender.key) {
        verdict.fact("sender_exe", words::printable(exe));
    }
}
