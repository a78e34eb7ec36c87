//! Changes that come in another order than they happened, and pods that have the name of a former one.

use std::time::Duration;

use blackbox_daemon::record::Event;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Mood, Server};
use crate::stage::{Stage, restarted, running};

/// Tells of a pod as it was at this version.
fn tell(server: &Server, kind: &str, mut pod: Value, version: u64) {
    pod["metadata"]["resourceVersion"] = json!(version.to_string());
    server.raw(&json!({"type": kind, "object": pod}).to_string());
}

/// A pod with the name of `web-a`.
fn namesake(uid: &str, deaths: u32) -> Value {
    let mut pod = match deaths {
        0 => running(uid),
        _ => restarted(uid, deaths),
    };
    pod["metadata"]["name"] = json!("web-a");
    pod
}

async fn follow(server: &Server, directory: &TempDir) -> Stage {
    server.apply(running("a"));
    let mut stage = Stage::start(server, directory, false);
    stage.until_said("pod a Running", 1).await;
    stage.until(|_| server.asked("watch pods") >= 1).await;
    stage
}

/// How often each container has been restarted, as it was told.
fn restarts(stage: &Stage) -> Vec<u32> {
    let facts = stage
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Pod(facts) => facts.container("app")?.restarts,
            _ => None,
        });
    facts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_state_after_a_newer_one_takes_nothing_back() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = follow(&server, &directory).await;
    tell(&server, "MODIFIED", restarted("a", 2), 1000);
    stage.until_said("ended a", 1).await;
    tell(&server, "MODIFIED", restarted("a", 1), 900);
    tell(&server, "MODIFIED", running("a"), 800);
    tell(&server, "ADDED", running("a"), 700);
    tell(&server, "MODIFIED", restarted("a", 3), 1001);
    stage.until_said("ended a", 2).await;
    stage.listen(Duration::from_millis(300)).await;
    assert_eq!(stage.count("ended a"), 2, "{:#?}", stage.said());
    let told = restarts(&stage);
    assert!(told.is_sorted(), "taken back: {told:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_after_the_deletion_does_not_bring_a_pod_back() {
    for late in [900, 1001] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        let mut stage = follow(&server, &directory).await;
        server.apply(running("b"));
        stage.until_said("pod b Running", 1).await;
        tell(&server, "DELETED", running("a"), 1000);
        stage.until_said("a Gone { unseen: false }", 1).await;
        tell(&server, "MODIFIED", restarted("a", 1), late);
        tell(&server, "DELETED", running("a"), late + 1);
        // Whatever came before this one was taken.
        tell(&server, "MODIFIED", restarted("b", 1), 1100);
        stage.until_said("ended b", 1).await;
        let said = stage.said();
        let count = |what| stage.count(what);
        assert_eq!((count("Gone"), count("ended a")), (1, 0), "{said:#?}");
        assert_eq!(count("pod a "), 1, "{said:#?}");
        assert_eq!(stage.counts.read().pods, Some(1));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_shows_a_death_tells_it_before_the_pod_is_gone() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = follow(&server, &directory).await;
    tell(&server, "DELETED", restarted("a", 1), 1000);
    stage.until_said("a Gone", 1).await;
    let said = stage.said();
    let place = |what: &str| said.iter().position(|it| it.contains(what));
    assert!(place("ended a") < place("a Gone"), "{said:#?}");
    assert!(place("ended a").is_some(), "{said:#?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_the_name_of_a_former_one_is_another() {
    for told in [true, false] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        let mut stage = follow(&server, &directory).await;
        server.apply(restarted("a", 1));
        stage.until_said("ended a", 1).await;
        if told {
            // The new one is there before the old one is said to be gone.
            server.apply(namesake("b", 0));
            stage.until_said("pod b Running", 1).await;
            server.delete("a");
        } else {
            server.feel(Mood::Refuses(503));
            server.cut();
            stage.until_said("503", 1).await;
            server.delete("a");
            server.apply(namesake("b", 0));
            server.forget(false);
            server.feel(Mood::Well);
        }
        let gone = format!("a Gone {{ unseen: {} }}", !told);
        stage.until_said(&gone, 1).await;
        stage.until_said("pod b Running", 1).await;
        server.apply(namesake("b", 1));
        stage.until_said("ended b", 1).await;
        stage.listen(Duration::from_millis(200)).await;
        let of = |uid: &str| stage.count(&format!("ended {uid}"));
        assert_eq!((of("a"), of("b"), stage.count("Gone")), (1, 1, 1));
        let last = stage
            .records
            .iter()
            .rev()
            .find_map(|record| match &record.event {
                Event::ContainerEnded(ended) => Some((&ended.pod.uid[..], &ended.pod.pod.name[..])),
                _ => None,
            });
        assert_eq!(last, Some(("b", "web-a")));
        assert_eq!(stage.counts.read().pods, Some(1));
        stage.stop().await;
    }
}
