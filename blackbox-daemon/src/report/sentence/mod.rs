//! Records as sentences, for evidence and for entries that are no measurement. Executables are named where a
//! program starts and where somebody sends a signal; elsewhere name and pid are enough.

mod kube;

use crate::identity::Names;
use crate::record::{Event, Health, Record};
use crate::words;

/// One record in one sentence. Names that processes chose are as they chose them: print with care.
#[must_use]
pub fn sentence(record: &Record, names: &Names) -> String {
    let who = || match (record.subject.process(), record.subject.cgroup()) {
        (Some(process), _) => words::process(process),
        (None, Some(id)) => names.describe(id),
        (None, None) => "the node".to_owned(),
    };
    match &record.event {
        Event::Exec(exec) => {
            format!(
                "{} ran {}; parent {}",
                who(),
                exec.exe,
                words::process(&exec.parent)
            )
        }
        Event::Exit(exit) => {
            let how = words::ending(exit.status);
            let oom = if exit.oom_victim {
                ", chosen by the OOM killer"
            } else {
                ""
            };
            format!("{} {how}{oom}", who())
        }
        Event::Signal(sent) => {
            let signal = &sent.signal;
            let by = if signal.from_user() {
                "from"
            } else {
                "from the kernel, in the context of"
            };
            let sender = words::process_and_exe(&signal.sender, names);
            let address = signal
                .fault_addr
                .map_or(String::new(), |a| format!(", address {a:#x}"));
            let end = match (sent.fatal, sent.ignored) {
                (true, _) => "",
                (false, true) => ", which it ignores",
                (false, false) => ", which it handles itself",
            };
            let name = words::signal(signal.number);
            format!(
                "{name} to {} {by} {sender} (si_code {}){address}{end}",
                who(),
                signal.code
            )
        }
        Event::Oom(oom) => {
            let rss = oom.rss().map_or("unknown".to_owned(), words::bytes);
            let allocator = words::process(&oom.allocator);
            format!(
                "the OOM killer chose {}, RSS {rss}; allocating: {allocator}",
                who()
            )
        }
        Event::CrashStack(stack) => {
            let name = words::signal(stack.signal);
            format!(
                "the stack of {} at {name}: {} frames",
                who(),
                stack.frames.len()
            )
        }
        Event::Words(said) => format!(
            "{} wrote to {}: {}",
            who(),
            said.stream.name(),
            said.text.trim_end()
        ),
        Event::CgroupCreated { path } => format!("cgroup {path} was created"),
        Event::CgroupRemoved { path } => format!("cgroup {path} was removed"),
        Event::FailedCall(call) => {
            let [a, b, c] = call.args;
            let (name, errno) = (words::call(call), words::errno(call.errno));
            match &call.argument {
                Some(argument) => format!("{name} {argument} → {errno} in {}", who()),
                None => format!("{name}({a:#x}, {b:#x}, {c:#x}) → {errno} in {}", who()),
            }
        }
        Event::Telemetry(telemetry) => {
            format!("a sidecar of {} submitted telemetry", telemetry.pod)
        }
        Event::Reported(reported) => {
            let pod = reported.pod.as_ref();
            let about = pod.map_or(String::new(), |pod| format!(" about {pod}"));
            let by = words::reporter(&reported.submission.by);
            let (severity, kind) = (reported.severity.name(), &reported.kind);
            format!(
                "{by} reported{about} ({kind}, {severity}): {}",
                reported.message
            )
        }
        Event::Pod(facts) => kube::pod(facts),
        Event::LoggedPod(logged) => format!(
            "pod {} has logs of {} containers on this node",
            logged.pod.pod,
            logged.containers.len()
        ),
        Event::ContainerEnded(ended) => kube::ended(ended),
        Event::PodCondition(condition) => kube::condition(condition),
        Event::KubeEvent(event) => kube::event(event),
        Event::Gap(gap) => {
            format!(
                "{} {} records lost: {}",
                gap.count,
                gap.class.name(),
                gap.cause.name()
            )
        }
        Event::Source(state) => {
            format!("source {}: {}", state.source.name(), health(&state.health))
        }
        _ => format!("sample of {}", who()),
    }
}

fn health(health: &Health) -> String {
    match health {
        Health::Ok => "ok".to_owned(),
        Health::Degraded(why) => format!("degraded ({why})"),
        Health::Disabled(why) => format!("disabled ({why})"),
        Health::Failed(why) => format!("failed ({why})"),
    }
}
