//! Everything that keeps a text from outside: put a text in, see what is kept of it.

use std::fs;
use std::time::Duration;

use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::evidence::{self, Instance, logs};
use blackbox_daemon::record::{
    BootTime, Condition, ContainerEnded, ContainerKind, End, Event, Exec, FailedCall, Health,
    KubeEvent, LaneName, PodCondition, PodIdentity, PodName, Record, Reported, Severity,
    SourceName, SourceState, Stream, Subject, Submission, Telemetry, Words,
};
use blackbox_daemon::redact::Redactor;
use blackbox_daemon::sources::feed::{self, BATCH};
use blackbox_daemon::sources::sidecar::{self, Sidecars, budget};
use serde_json::{Value, json};

use crate::support::{at, shell, victim};

/// The name of a sink, and a record of it with this text.
type Fed = (&'static str, fn(&str) -> Event);

/// A sink and the text fields of records that it fills with one text.
pub(crate) const FED: &[Fed] = &[
    ("last words", |text| words(text)),
    ("exec", |text| exec(text)),
    ("failed call", |text| failed_call(text)),
    ("termination message", |text| ended(text)),
    ("event", |text| kube_event(text)),
    ("condition", |text| condition(text)),
    ("source", |text| source(text)),
];

pub(crate) fn words(text: &str) -> Event {
    Event::Words(Box::new(Words {
        stream: Stream::Stderr,
        text: text.to_owned(),
        bytes: text.len() as u64,
        cut: 0,
        hidden: 0,
    }))
}

pub(crate) fn exec(text: &str) -> Event {
    Event::Exec(Exec {
        parent: shell(),
        exe: text.to_owned(),
    })
}

pub(crate) fn failed_call(text: &str) -> Event {
    Event::FailedCall(FailedCall {
        nr: 257,
        errno: 2,
        args: [0; 3],
        argument: Some(text.to_owned()),
        compat: false,
    })
}

fn ended(text: &str) -> Event {
    Event::ContainerEnded(Box::new(ContainerEnded {
        pod: pod(),
        container: "app".to_owned(),
        kind: ContainerKind::Main,
        end: End {
            container_id: None,
            exit_code: 1,
            signal: None,
            reason: None,
            started: None,
            finished: None,
        },
        message: Some(text.to_owned()),
        restarts: 0,
        unseen: 0,
    }))
}

fn kube_event(text: &str) -> Event {
    Event::KubeEvent(Box::new(KubeEvent {
        pod: Some(pod()),
        container: None,
        warning: true,
        reason: "Failed".to_owned(),
        message: text.to_owned(),
        component: "kubelet".to_owned(),
        count: 1,
        first: None,
        last: None,
    }))
}

fn condition(text: &str) -> Event {
    Event::PodCondition(Box::new(PodCondition {
        pod: pod(),
        what: Condition::Evicted,
        message: Some(text.to_owned()),
        again: false,
    }))
}

fn source(text: &str) -> Event {
    Event::Source(SourceState {
        source: SourceName::Kube,
        health: Health::Failed(text.to_owned()),
    })
}

fn pod() -> PodIdentity {
    PodIdentity {
        uid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".to_owned(),
        pod: pod_name(),
    }
}

fn pod_name() -> PodName {
    PodName {
        namespace: "shop".to_owned(),
        name: "orders-0".to_owned(),
    }
}

/// What the recorder gets, by its `Debug` form: every field of it.
pub(crate) fn fed(texts: &[&str], event: fn(&str) -> Event) -> Vec<Event> {
    let (feed, mut intake) = feed::feed();
    let record = |text: &&str| Record {
        at: at(0),
        subject: Subject::Process(victim()),
        event: event(text),
    };
    let mut kept = Vec::new();
    for texts in texts.chunks(BATCH) {
        let batch: Vec<Record> = texts.iter().map(record).collect();
        // Both ways into the queue.
        match feed.place(LaneName::Decisive) {
            Some(place) if kept.is_empty() => place.send(batch),
            _ => feed.offer(LaneName::Decisive, batch),
        }
        let batch = intake.decisive.try_recv().expect("a batch");
        kept.extend(batch.into_iter().map(|record| record.event));
    }
    kept
}

/// The text as a sidecar's object: as it is, if it is one.
pub(crate) fn object(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => text.to_owned(),
        _ => json!({"log": text, "n": 1}).to_string(),
    }
}

pub(crate) fn telemetry(text: &str) -> Telemetry {
    Telemetry {
        entry: 0,
        pod: pod_name(),
        container_id: Some(text.to_owned()),
        runtime: text.to_owned(),
        submission: submission(),
        tags: vec![
            ("note".to_owned(), text.to_owned()),
            (text.to_owned(), "x".to_owned()),
        ],
        data: object(text),
    }
}

pub(crate) fn reported(text: &str) -> Reported {
    Reported {
        id: text.to_owned(),
        pod: Some(pod_name()),
        container_id: Some(text.to_owned()),
        severity: Severity::High,
        kind: text.to_owned(),
        message: text.to_owned(),
        submission: submission(),
        tags: vec![("note".to_owned(), text.to_owned())],
        context: object(text),
    }
}

fn submission() -> Submission {
    Submission {
        by: "default".to_owned(),
        proven_uid: None,
        received: BootTime(0),
        claimed: None,
    }
}

/// What the recorder gets of what a sidecar measures and reports; and the ids it is answered with.
pub(crate) async fn submitted(texts: &[&str]) -> (Vec<Telemetry>, Vec<(String, Reported)>) {
    let (feed, mut intake) = feed::feed();
    let budget = budget::Config {
        window: Duration::from_secs(60),
        total_bytes: u64::MAX,
        pod_bytes: u64::MAX,
    };
    let config = sidecar::Config {
        window: Duration::from_secs(60),
        telemetry: budget,
        reports: budget,
    };
    let sidecars = Sidecars::new(config, feed);
    let (mut measured, mut told) = (Vec::new(), Vec::new());
    let wall = WallOffset::from_nanos(0);
    for text in texts {
        let place = sidecars.place(LaneName::Bulk).await.expect("a place");
        let sent = sidecars.submit(place, vec![telemetry(text)], at(0), wall);
        sent.expect("no bound");
        let place = sidecars.place(LaneName::Decisive).await.expect("a place");
        let sent = sidecars.report(place, reported(text), at(0), wall);
        let id = sent.expect("no bound");
        for record in intake.bulk.try_recv().expect("a batch") {
            let Event::Telemetry(telemetry) = record.event else {
                panic!("no telemetry")
            };
            measured.push(*telemetry);
        }
        for record in intake.decisive.try_recv().expect("a batch") {
            let Event::Reported(reported) = record.event else {
                panic!("no report")
            };
            told.push((id.clone(), *reported));
        }
    }
    (measured, told)
}

/// What a report has of each text as the log of a container: its lines.
pub(crate) fn logged(texts: &[&str], redactor: &Redactor) -> Vec<String> {
    let root = tempfile::tempdir().expect("a directory");
    let config = evidence::Config {
        pod_logs: root.path().to_owned(),
        log_bytes: 1 << 20,
        root: root.path().to_owned(),
        containers: Vec::new(),
    };
    let folder = root.path().join("shop_orders-0_u-1/app");
    fs::create_dir_all(&folder).expect("a directory");
    let instance = Instance {
        pod: pod_name(),
        uid: "u-1".to_owned(),
        container: "app".to_owned(),
        ended: i64::MAX,
    };
    let kept = |text: &&str| {
        let line = |line: &str| format!("2026-03-04T05:01:02.5Z stderr F {line}\n");
        let lines: String = text.lines().map(line).collect();
        fs::write(folder.join("0.log"), lines).expect("a file");
        let mut log = logs::tail(&config, &instance).expect("a log");
        logs::redact(&mut log, redactor);
        let lines: Vec<String> = log.lines.into_iter().map(|line| line.text).collect();
        lines.join("\n")
    };
    texts.iter().map(kept).collect()
}
