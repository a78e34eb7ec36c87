//! What is recorded of pods while the API server is well.

use std::time::Duration;

use blackbox_daemon::record::{ContainerState, Event, Qos};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;
use crate::stage::{Stage, restarted, running};

const RECORDED: &str = include_str!("../fixtures/kube/watch-kubelet-1.36.tsv");

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_listed_and_then_watched() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.apply(running("a"));
    let mut stage = Stage::start(&server, &directory, false);
    stage.until_said("ok", 1).await;
    stage.until_said("pod a Running", 1).await;
    server.apply(running("b"));
    stage.until_said("pod b Running", 1).await;
    server.apply(restarted("b", 1));
    stage.until_said("ended b", 1).await;
    server.delete("b");
    stage.until_said("b Gone { unseen: false }", 1).await;
    assert!(server.selectors().contains(&"spec.nodeName=n".to_owned()));
    let counted = stage.counts.read();
    assert_eq!((counted.pods, counted.ends), (Some(1), 1));
    assert!(
        counted.changes["pods"] == 3 && counted.errors.is_empty(),
        "{counted:?}"
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_kept_and_secrets_are_not() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.apply(running("a"));
    let mut stage = Stage::start(&server, &directory, false);
    stage.until_said("pod a Running", 1).await;
    let pods = stage.records.iter().find_map(|record| match &record.event {
        Event::Pod(facts) => Some(facts.clone()),
        _ => None,
    });
    let facts = pods.unwrap();
    let owners: Vec<_> = facts
        .owners
        .iter()
        .map(|it| (&*it.kind, &*it.name, it.uid.is_some()))
        .collect();
    assert_eq!(
        owners,
        [
            ("ReplicaSet", "web-5d9", true),
            ("Deployment", "web", false)
        ]
    );
    assert_eq!(facts.qos, Some(Qos::Burstable));
    let app = facts.container("app").unwrap();
    assert_eq!(app.limits.cpu_millis, Some(500));
    assert_eq!(app.limits.memory_bytes, Some(64 << 20));
    assert_eq!(
        (app.image.as_deref(), app.restarts),
        (Some("registry/web:1"), Some(0))
    );
    assert!(
        app.image_digest
            .as_ref()
            .unwrap()
            .starts_with("sha256:abab")
    );
    assert!(app.id.as_ref().unwrap().starts_with("cece"));
    assert!(matches!(
        app.state,
        ContainerState::Running { started: Some(_) }
    ));
    let bytes = postcard::to_stdvec(&facts).unwrap();
    assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_our_pods_and_of_the_node_are_recorded() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.apply(running("a"));
    let mut stage = Stage::start(&server, &directory, false);
    stage.until_said("pod a Running", 1).await;
    stage.until(|_| server.asked("watch events") >= 2).await;
    let event = |kind: &str, uid: &str, name: &str, reason: &str, host: &str| {
        server.happen(json!({
            "metadata": {"name": "e", "namespace": "shop", "uid": reason},
            "involvedObject": {"kind": kind, "namespace": "shop", "name": name, "uid": uid,
                "fieldPath": "spec.containers{app}"},
            "type": "Warning", "reason": reason, "message": "m".repeat(5000), "count": 3,
            "source": {"component": "kubelet", "host": host}, "lastTimestamp": "2026-11-20T20:10:35Z",
            "firstTimestamp": null, "reportingComponent": "",
        }));
    };
    event("Pod", "z", "other", "Killing", "m");
    event("Node", "m", "m", "NodeNotReady", "m");
    event("Pod", "a", "web-a", "Unhealthy", "n");
    event("Pod", "s", "static-n", "BackOff", "n");
    event("Node", "n", "n", "EvictionThresholdMet", "n");
    stage
        .until_said("event node EvictionThresholdMet by kubelet", 1)
        .await;
    stage.listen(Duration::from_millis(300)).await;
    // The scripted server knows no selectors: both watches of events tell of each.
    let told: std::collections::BTreeSet<String> = stage
        .said()
        .into_iter()
        .filter(|said| said.starts_with("event"))
        .collect();
    let expected = [
        "event a Unhealthy by kubelet",
        "event node EvictionThresholdMet by kubelet",
        "event s BackOff by kubelet",
    ];
    assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
    let kept = stage.records.iter().find_map(|record| match &record.event {
        Event::KubeEvent(event) => Some(event.clone()),
        _ => None,
    });
    let kept = kept.unwrap();
    assert_eq!(
        (kept.message.len(), kept.count, kept.warning),
        (1024, 3, true)
    );
    assert_eq!(kept.container.as_deref(), Some("app"));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_kubelet_wrote_gives_nine_ends() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let path = crate::stage::kubeconfig(directory.path(), server.port, "right");
    let mut stage = Stage::start_on("vm1", path, None);
    stage.until_said("ok", 1).await;
    for line in RECORDED.lines() {
        let (_, change) = line.split_once('\t').unwrap();
        server.raw(change);
    }
    stage.until_said("ended ", 9).await;
    stage.listen(Duration::from_millis(500)).await;
    assert_eq!(stage.count("ended "), 9);
    assert_eq!(stage.count("CrashLoopBackOff"), 6);
    let memory: Vec<Value> = stage
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::ContainerEnded(ended) if ended.pod.pod.name == "oom" => {
                Some(json!([ended.end.reason, ended.end.exit_code, ended.unseen]))
            }
            _ => None,
        })
        .collect();
    assert_eq!(memory, vec![json!(["OOMKilled", 137, 0]); 4]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_starts_again_replays_nothing() {
    for remembers in [true, false] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        server.apply(running("a"));
        let mut stage = Stage::start(&server, &directory, remembers);
        stage.until_said("pod a Running", 1).await;
        server.apply(restarted("a", 1));
        stage.until_said("ended a", 1).await;
        stage.stop().await;
        server.apply(running("b"));
        server.apply(restarted("b", 1));
        let mut next = Stage::start(&server, &directory, remembers);
        next.until_said("pod b Running", 1).await;
        next.until_said("ok", 1).await;
        next.listen(Duration::from_millis(300)).await;
        assert_eq!(next.count("ended a"), 0, "remembers: {remembers}");
        // What happened while no daemon ran is news to one that remembers.
        assert_eq!(next.count("ended b"), usize::from(remembers));
        next.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_pods_are_read_page_by_page() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.populate((0..10_000).map(|number| running(&format!("{number:05}"))));
    let mut stage = Stage::start(&server, &directory, false);
    stage.until_said("pod 09999", 1).await;
    assert!(server.asked("list pods") >= 20);
    assert_eq!(stage.counts.read().pods, Some(10_000));
    stage.stop().await;
}
