//! What is new about a pod, row by row, and in what a real kubelet said.

use serde_json::{Value, json};

use super::*;
use crate::record::{ContainerKind, Record};
use crate::sources::kube::object::Pod;

/// What a real kubelet 1.36 and API server said of two pods on one node; one line per change.
const RECORDED: &str = include_str!("../../../../tests/fixtures/kube/watch-kubelet-1.36.tsv");

fn pod(status: Value) -> Value {
    json!({
        "metadata": {"name": "web-5d9-x", "namespace": "shop", "uid": "u1"},
        "spec": {
            "nodeName": "n",
            "initContainers": [
                {"name": "prepare", "image": "i"},
                {"name": "proxy", "image": "i", "restartPolicy": "Always"},
            ],
            "containers": [{"name": "app", "image": "i"}],
        },
        "status": status,
    })
}

fn look(pod: &Value) -> Look {
    Look::of(&serde_json::from_value::<Pod>(pod.clone()).unwrap())
}

fn ended(id: &str, second: u8, code: i32) -> Value {
    let finished = format!("2026-11-20T20:10:{second:02}Z");
    json!({"terminated": {
        "exitCode": code, "reason": "Error", "containerID": format!("containerd://{id}"),
        "finishedAt": finished,
    }})
}

fn app(restarts: u32, id: &str, state: Value, last: Value) -> Value {
    json!({"phase": "Running", "containerStatuses": [{
        "name": "app", "containerID": format!("containerd://{id}"), "restartCount": restarts,
        "state": state, "lastState": last,
    }]})
}

fn running() -> Value {
    json!({"running": {"startedAt": "2026-11-20T20:10:00Z"}})
}

fn waiting(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": format!("because of {reason}")}})
}

/// What is said of each event: its kind and what matters of it.
fn said(events: &[Event]) -> Vec<String> {
    let say = |event: &Event| match event {
        Event::Pod(_) => "pod".to_owned(),
        Event::ContainerEnded(ended) => format!(
            "{} {} ended {} unseen {}",
            ended.container,
            ended.end.container_id.as_deref().unwrap_or("?"),
            ended.end.exit_code,
            ended.unseen
        ),
        Event::PodCondition(condition) => format!("{:?}", condition.what),
        other => format!("{other:?}"),
    };
    events.iter().map(say).collect()
}

/// What each of these states says that follows the one before it.
fn told(statuses: &[Value]) -> Vec<Vec<String>> {
    let (mut seen, mut old) = (Seen::default(), None);
    let mut told = Vec::new();
    for status in statuses {
        let look = look(&pod(status.clone()));
        let events = edges(old.as_ref(), &look, Sight::News, &mut seen);
        told.push(said(&events));
        old = Some(look.facts);
    }
    told
}

#[test]
fn a_kubelet_that_restarts_a_container_tells_each_end_once() {
    let none = || json!({});
    let told = told(&[
        json!({"phase": "Pending"}),
        app(0, "a", running(), none()),
        app(0, "a", ended("a", 3, 137), none()),
        app(1, "b", running(), ended("a", 3, 137)),
        app(1, "b", ended("b", 9, 137), ended("a", 3, 137)),
        app(1, "b", waiting("CrashLoopBackOff"), ended("b", 9, 137)),
        app(1, "b", waiting("CrashLoopBackOff"), ended("b", 9, 137)),
        app(2, "c", running(), ended("b", 9, 137)),
    ]);
    let back_off = "Waiting { container: \"app\", cause: CrashLoopBackOff }";
    assert_eq!(
        told,
        [
            vec!["pod"],
            vec!["pod"],
            vec!["pod", "app a ended 137 unseen 0"],
            vec!["pod"],
            vec!["pod", "app b ended 137 unseen 0"],
            vec!["pod", back_off],
            vec![],
            vec!["pod"],
        ]
    );
}

#[test]
fn restarts_that_were_skipped_are_counted() {
    let told = told(&[
        app(0, "a", running(), json!({})),
        // Only `lastState` tells of the end, and two more were never shown.
        app(3, "d", running(), ended("c", 30, 1)),
        // Both states are news.
        app(4, "e", ended("e", 50, 2), ended("d", 40, 1)),
        // In back-off the dead one is in `lastState`; one was skipped.
        app(5, "f", waiting("CrashLoopBackOff"), ended("f", 55, 1)),
    ]);
    assert_eq!(told[1], ["pod", "app c ended 1 unseen 2"]);
    let both = ["pod", "app d ended 1 unseen 0", "app e ended 2 unseen 0"];
    assert_eq!(told[2], both);
    assert_eq!(told[3][..2], ["pod", "app f ended 1 unseen 0"]);
}

#[test]
fn instances_that_ended_in_the_same_second_are_two_and_one_that_shows_twice_is_one() {
    let same = told(&[
        app(0, "a", running(), json!({})),
        app(1, "b", ended("b", 3, 1), ended("a", 3, 1)),
    ]);
    let both = ["pod", "app a ended 1 unseen 0", "app b ended 1 unseen 0"];
    assert_eq!(same[1], both);
    let twice = told(&[
        app(0, "a", running(), json!({})),
        app(0, "a", ended("a", 3, 1), ended("a", 3, 1)),
    ]);
    assert_eq!(twice[1], ["pod", "app a ended 1 unseen 0"]);
}

#[test]
fn init_and_sidecar_and_lost_containers_end_too() {
    let status = json!({"phase": "Pending", "initContainerStatuses": [
        {"name": "prepare", "restartCount": 0, "state": ended("p", 1, 0)},
        {"name": "proxy", "restartCount": 1, "state": running(), "lastState": ended("x", 2, 3)},
    ], "containerStatuses": [
        {"name": "app", "restartCount": 0, "state": {"terminated": {
            "exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": null}}},
    ]});
    let look = look(&pod(status.clone()));
    let kinds: Vec<_> = look
        .ends
        .iter()
        .map(|end| (&*end.container, end.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("app", ContainerKind::Main),
            ("prepare", ContainerKind::Init),
            ("proxy", ContainerKind::Sidecar)
        ]
    );
    let told = told(&[status.clone(), status]);
    assert_eq!(
        told[0],
        [
            "pod",
            "app ? ended 137 unseen 0",
            "prepare p ended 0 unseen 0",
            "proxy x ended 3 unseen 0"
        ]
    );
    assert!(told[1].is_empty());
}

#[test]
fn conditions_are_told_when_they_begin() {
    let waits = |reason| {
        json!({"phase": "Pending", "containerStatuses": [
        {"name": "app", "restartCount": 0, "state": waiting(reason)}]})
    };
    for (reason, expected) in [
        ("ContainerCreating", None),
        ("PodInitializing", None),
        ("ErrImagePull", Some("ErrImagePull")),
        ("ImagePullBackOff", Some("ImagePullBackOff")),
        ("InvalidImageName", Some("InvalidImageName")),
        (
            "CreateContainerConfigError",
            Some("CreateContainerConfigError"),
        ),
        ("RunContainerError", Some("Other(\"RunContainerError\")")),
    ] {
        let told = told(&[json!({"phase": "Pending"}), waits(reason), waits(reason)]);
        let wait = |cause| format!("Waiting {{ container: \"app\", cause: {cause} }}");
        assert_eq!(told[1].get(1), expected.map(wait).as_ref(), "{reason}");
        assert!(told[2].is_empty(), "{reason}");
    }
    for (status, expected) in [
        (json!({"phase": "Failed"}), "Failed { reason: None }"),
        (
            json!({"phase": "Failed", "reason": "OutOfcpu"}),
            "Failed { reason: Some(\"OutOfcpu\") }",
        ),
        (json!({"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (
            json!({"phase": "Failed", "reason": "DeadlineExceeded"}),
            "DeadlineExceeded",
        ),
        (
            json!({"phase": "Running", "conditions": [
                {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]}),
            "Disrupted { reason: \"PreemptionByScheduler\" }",
        ),
    ] {
        let told = told(&[json!({"phase": "Running"}), status.clone(), status]);
        assert_eq!(told[1], ["pod", expected]);
        assert!(told[2].is_empty(), "{expected}");
    }
}

#[test]
fn a_deletion_is_told_with_its_grace_and_again_when_that_changes() {
    let (mut seen, mut old) = (Seen::default(), None);
    let mut all = Vec::new();
    for grace in [None, Some(30), Some(30), Some(0)] {
        let mut pod = pod(json!({"phase": "Running"}));
        if let Some(grace) = grace {
            pod["metadata"]["deletionTimestamp"] = json!("2026-11-20T20:10:30Z");
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
        let look = look(&pod);
        let events = edges(old.as_ref(), &look, Sight::News, &mut seen);
        old = Some(look.facts);
        all.extend(events.into_iter().filter_map(|event| match event {
            Event::PodCondition(condition) => Some(condition.what),
            _ => None,
        }));
    }
    let deleting = |seconds| {
        let Condition::Deleting(deletion) = &all[seconds] else {
            panic!("{all:?}");
        };
        deletion.grace_seconds
    };
    assert_eq!(
        (all.len(), deleting(0), deleting(1)),
        (2, Some(30), Some(0))
    );
}

#[test]
fn what_was_before_anybody_watched_is_old_but_for_ends_since() {
    let look = look(&pod(app(
        2,
        "c",
        waiting("CrashLoopBackOff"),
        ended("c", 30, 1),
    )));
    let at = look.ends[0].end.finished.unwrap();
    for (but_since, ends) in [(at + 1, 0), (at, 1)] {
        let mut seen = Seen::default();
        let events = edges(None, &look, Sight::Old { but_since }, &mut seen);
        let class = |wanted: fn(&Event) -> bool| events.iter().filter(|it| wanted(it)).count();
        assert_eq!(class(|it| matches!(it, Event::ContainerEnded(_))), ends);
        assert_eq!(class(|it| matches!(it, Event::PodCondition(_))), 0);
        assert_eq!(class(|it| matches!(it, Event::Pod(_))), 1);
        // Remembered all the same: the next daemon must not take it for news.
        let again = edges(None, &look, Sight::News, &mut seen);
        assert_eq!(said(&again), ["pod"]);
    }
}

#[test]
fn texts_are_bounded() {
    let long = "ä".repeat(10_000);
    let status = json!({"phase": "Failed", "message": long, "reason": long, "containerStatuses": [
        {"name": "app", "restartCount": 1, "state": {"waiting": {"reason": long, "message": long}},
         "lastState": {"terminated": {"exitCode": 1, "message": long, "reason": long}}}]});
    let look = look(&pod(status));
    let mut seen = Seen::default();
    for event in edges(None, &look, Sight::News, &mut seen) {
        let record = Record {
            at: crate::record::BootTime(1),
            subject: crate::record::Subject::Pod,
            event,
        };
        let bytes = postcard::to_stdvec(&record).unwrap();
        assert!(bytes.len() < 8192, "{} bytes", bytes.len());
        assert_eq!(postcard::from_bytes::<Record>(&bytes).unwrap(), record);
    }
}

/// The recording, told pod by pod: (its line's time, what was said).
fn recorded(seen: &mut Seen) -> Vec<(String, String)> {
    let mut known = std::collections::HashMap::new();
    let mut told = Vec::new();
    for line in RECORDED.lines() {
        let (time, change) = line.split_once('\t').unwrap();
        let change: Value = serde_json::from_str(change).unwrap();
        if change["type"] == "BOOKMARK" {
            continue;
        }
        let look = look(&change["object"]);
        let old = known.get(&look.facts.uid);
        let name = look.facts.pod.name.clone();
        for said in said(&edges(old, &look, Sight::News, seen)) {
            told.push((time.to_owned(), format!("{name}: {said}")));
        }
        known.insert(look.facts.uid.clone(), look.facts);
    }
    told
}

#[test]
fn a_real_kubelet_s_nine_deaths_are_nine() {
    let mut seen = Seen::default();
    let told = recorded(&mut seen);
    let of = |wanted: &str, name: &str| -> Vec<&str> {
        let fits = |(_, said): &&(String, String)| said.starts_with(name) && said.contains(wanted);
        told.iter().filter(fits).map(|(time, _)| &**time).collect()
    };
    assert_eq!(
        of("ended 137 unseen 0", "oom"),
        [
            "20:10:37.789",
            "20:10:47.084",
            "20:11:07.649",
            "20:11:39.594"
        ]
    );
    assert_eq!(
        of("ended 3 unseen 0", "exit1"),
        [
            "20:10:34.541",
            "20:10:40.995",
            "20:10:56.355",
            "20:11:24.044",
            "20:12:27.529"
        ]
    );
    assert_eq!(
        (of("ended", "oom").len(), of("ended", "exit1").len()),
        (4, 5)
    );
    let back_off: Vec<_> = ["oom", "exit1"]
        .map(|name| of("CrashLoopBackOff", name).len())
        .into();
    assert_eq!(back_off, [3, 3]);
    assert_eq!(of("Failed", "").len() + of("Deleting", "").len(), 0);
    // The same stream again, as a daemon hears it that starts anew with what it remembers.
    let again = recorded(&mut seen);
    assert!(
        again.iter().all(|(_, said)| !said.contains("ended")),
        "{again:?}"
    );
}
