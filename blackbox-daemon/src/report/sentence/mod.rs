//! Records as sentences, for evidence and for entries that are no measurement. Executables are named where a
//! program starts and where somebody sends a signal; elsewhere name and pid are enough.

mod kube;

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::identity::Names;
use crate::record::{Began, Event, Health, LastCall, LifeEnd, ProcessMemory, Record};
use crate::words;

/// One record in one sentence. Names that processes chose are as they chose them: print with care.
#[must_use]
pub fn sentence(record: &Record, names: &Names) -> String {
    let who = fmt::from_fn(
        |f| match (record.subject.process(), record.subject.cgroup()) {
            (Some(process), _) => write!(f, "{}", words::process(process)),
            (None, Some(id)) => f.write_str(&names.describe(id)),
            (None, None) => f.write_str("the node"),
        },
    );
    match &record.event {
        Event::Exec(exec) => {
            format!(
                "{} ran {}; parent {}",
                who,
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
            format!("{} {how}{oom}", who)
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
                who, signal.code
            )
        }
        Event::Oom(oom) => {
            let rss = oom.rss().map_or("unknown".to_owned(), words::bytes);
            let allocator = words::process(&oom.allocator);
            format!(
                "the OOM killer chose {}, RSS {rss}; allocating: {allocator}",
                who
            )
        }
        Event::ProcessMemory(processes) => memory(&who, processes),
        Event::CrashStack(stack) => {
            let name = words::signal(stack.signal);
            format!(
                "the stack of {} at {name}: {} frames",
                who,
                stack.frames.len()
            )
        }
        Event::Words(said) => format!(
            "{} wrote to {}: {}",
            who,
            said.stream.name(),
            said.text.trim_end()
        ),
        Event::CgroupCreated { path } => format!("cgroup {path} was created"),
        Event::CgroupRemoved { path } => format!("cgroup {path} was removed"),
        Event::FailedCall(call) => {
            let name = words::call(call.nr, call.compat);
            let what = words::called(&name, call.argument.as_deref(), call.args);
            written(format_args!(
                "{what} → {} in {who}",
                words::errno(call.errno)
            ))
        }
        Event::Call(call) => {
            let name = words::call(call.nr, call.compat);
            let what = words::called(&name, call.argument.as_deref(), call.args);
            let took = call.took.map(Duration::from_nanos);
            let took = took.map_or(String::new(), |took| {
                format!(" after {}", words::duration(took))
            });
            written(format_args!(
                "{what} → {}{took} in {who}",
                words::returned(call.ret)
            ))
        }
        Event::LastCall(last) => last_call(last, &who),
        Event::TailRead(read) => {
            let kept = read.calls.saturating_sub(read.overwritten + read.torn);
            format!("the last {kept} of {} calls of {}", read.calls, who)
        }
        Event::Arming(arming) => match arming.until {
            Some(_) => format!("every call of {} is kept: {}", who, arming.why),
            None => format!("the calls of {} are no longer kept: {}", who, arming.why),
        },
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
        Event::Began(began) => self::began(began),
        Event::Source(state) => {
            format!("source {}: {}", state.source.name(), health(&state.health))
        }
        _ => format!("sample of {}", who),
    }
}

/// Room for the sentence of a call, of which a report has tens of thousands.
const ROOM: usize = 128;

/// A sentence that does not move while it grows.
fn written(sentence: fmt::Arguments<'_>) -> String {
    let mut text = String::with_capacity(ROOM);
    // A string takes all there is.
    let _never_fails = text.write_fmt(sentence);
    text
}

fn began(began: &Began) -> String {
    let how = match began.former {
        LifeEnd::Stopped => "after it was stopped",
        LifeEnd::Died => "after it had died",
        LifeEnd::NodeDown => "after the node had gone down under it",
    };
    match u64::try_from(began.away) {
        Ok(nanos) => {
            let away = words::duration(Duration::from_nanos(nanos));
            format!("the recorder began again {how}, {away} after its last write")
        }
        Err(_) => format!("the recorder began again {how}"),
    }
}

fn last_call(last: &LastCall, who: &impl fmt::Display) -> String {
    let Some(nr) = last.nr else {
        return format!("at its end {who} was in no call");
    };
    let name = words::call(nr, last.compat);
    let what = words::called(&name, None, last.args);
    match last.waited() {
        true => format!("at its end {who} was waiting in {what}"),
        false => format!(
            "at its end {who} had called {what} → {}",
            words::returned(last.ret)
        ),
    }
}

/// The largest three processes of a cgroup, and how many more there are.
fn memory(place: &impl fmt::Display, processes: &ProcessMemory) -> String {
    let largest = processes.largest.iter().take(3);
    let largest: Vec<String> = largest
        .map(|one| {
            let rss = words::bytes(one.rss);
            format!("{} (pid {}) {rss}", one.comm, one.tgid)
        })
        .collect();
    let more = processes.largest.len() - largest.len();
    let more = more as u64 + u64::from(processes.others) + u64::from(processes.unread);
    let most = largest.join(", ");
    format!("resident memory in {place}: {most}; {more} more processes")
}

fn health(health: &Health) -> String {
    match health {
        Health::Ok => "ok".to_owned(),
        Health::Degraded(why) => format!("degraded ({why})"),
        Health::Disabled(why) => format!("disabled ({why})"),
        Health::Failed(why) => format!("failed ({why})"),
    }
}
