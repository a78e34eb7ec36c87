//! An API server that is down, deaf, slow, forgetful or refuses: named, survived, and nothing is told twice.

use std::time::Duration;

use blackbox_daemon::clock;
use tempfile::TempDir;

use crate::server::{Mood, Server};
use crate::stage::{SILENCE, Stage, kubeconfig, restarted, running};

/// A source that follows pod `a` and is well.
pub(crate) async fn well(server: &Server, directory: &TempDir) -> Stage {
    server.apply(running("a"));
    let mut stage = Stage::start(server, directory, false);
    stage.until_said("pod a Running", 1).await;
    stage.until_said("ok", 1).await;
    stage.until(|_| server.asked("watch pods") >= 1).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_was_forgotten_is_listed_again() {
    for inside in [false, true] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        let mut stage = well(&server, &directory).await;
        server.apply(restarted("a", 1));
        server.apply(running("b"));
        stage.until_said("pod b", 1).await;
        server.delete("b");
        stage.until_said("b Gone", 1).await;
        server.apply(running("c"));
        stage.until_said("pod c", 1).await;
        server.feel(Mood::Refuses(503));
        server.cut();
        stage.until_said("503", 1).await;
        server.delete("c");
        server.apply(restarted("a", 2));
        server.forget(inside);
        server.feel(Mood::Well);
        stage.until_said("c Gone { unseen: true }", 1).await;
        stage.until_said("ended a", 2).await;
        stage.until_said("ok", 2).await;
        stage.listen(Duration::from_millis(300)).await;
        assert_eq!(
            (stage.count("ended a"), stage.count("Gone")),
            (2, 2),
            "inside: {inside}"
        );
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_was_cut_goes_on_where_it_was() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    for deaths in 1..=5 {
        server.cut();
        server.apply(restarted("a", deaths));
        stage.until_said("ended a", deaths as usize).await;
    }
    assert_eq!((stage.count("ended a"), server.asked("list pods")), (5, 1));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_open_at_one_end_only_is_noticed() {
    for mood in [Mood::Mute, Mood::Drip] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        let mut stage = well(&server, &directory).await;
        server.feel(mood);
        let began = clock::boot_now();
        server.apply(restarted("a", 1));
        stage.until_said("Failed", 1).await;
        assert!(
            clock::boot_now().since(began) < SILENCE + Duration::from_secs(3),
            "{mood:?}"
        );
        server.feel(Mood::Well);
        stage.until_said("ended a", 1).await;
        stage.until_said("ok", 2).await;
        assert_eq!(stage.count("ended a"), 1, "{mood:?}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_at_first_is_found_later() {
    let (mut server, directory) = (Server::down(), TempDir::new().unwrap());
    let mut stage = Stage::start(&server, &directory, false);
    stage.until_said("does not answer", 1).await;
    stage.until_said("names come from cgroup paths", 1).await;
    server.apply(running("a"));
    server.rise();
    stage.until_said("pod a Running", 1).await;
    stage.until_said("ok", 1).await;
    assert_eq!(stage.count("ended "), 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_and_deaths_during_an_outage_are_found_after_it() {
    let (mut server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    for uid in ["b", "c"] {
        server.apply(running(uid));
        stage.until_said(&format!("pod {uid}"), 1).await;
    }
    server.fall();
    stage.until_said("what is known of pods is old", 1).await;
    server.delete("b");
    server.apply(restarted("a", 3));
    server.rise();
    // The server still has the history: the watch goes on from where it was.
    stage.until_said("b Gone { unseen: false }", 1).await;
    stage.until_said("ended a", 1).await;
    server.fall();
    stage.until_said("what is known of pods is old", 2).await;
    server.delete("c");
    server.forget(false);
    server.rise();
    stage.until_said("c Gone { unseen: true }", 1).await;
    stage.until_said("ok", 3).await;
    assert_eq!(stage.count("ended a"), 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_former_cluster_is_said_and_replaced() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.accept("right");
    server.apply(running("a"));
    let path = kubeconfig(directory.path(), server.port, "stale");
    let mut stage = Stage::start_with(path, None);
    stage
        .until_said("are the daemon's credentials of this cluster?", 1)
        .await;
    kubeconfig(directory.path(), server.port, "right");
    stage.until_said("pod a Running", 1).await;
    stage.until_said("ok", 1).await;
    assert!(stage.counts.read().errors["401"] > 0);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kubeconfig_and_a_broken_one_are_said() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.apply(running("a"));
    let path = directory.path().join("kubeconfig");
    let mut stage = Stage::start_with(path.clone(), None);
    stage.until_said("no usable kubeconfig", 1).await;
    std::fs::write(&path, "{").unwrap();
    stage.listen(Duration::from_millis(300)).await;
    kubeconfig(directory.path(), server.port, "right");
    stage.until_said("pod a Running", 1).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_a_watch_is_survived() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    for nonsense in [
        "not json",
        "{}",
        "{\"type\":\"MODIFIED\"}",
        "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":[]}}",
        "{\"type\":\"WHAT\",\"object\":{}}",
    ] {
        server.raw(nonsense);
        stage.listen(Duration::from_millis(100)).await;
    }
    server.forget(false);
    server.apply(restarted("a", 1));
    stage.until_said("ended a", 1).await;
    assert_eq!(stage.count("Gone"), 0);
    assert!(stage.said().iter().all(|said| !said.contains("not json")));
    stage.stop().await;
}
