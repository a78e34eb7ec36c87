//! An API server that refuses, or whose answers break off: asked again with pauses, as long as it asks for.

use std::time::Duration;

use blackbox_daemon::record::BootTime;
use tempfile::TempDir;

use crate::outages::well;
use crate::server::{Mood, Server};
use crate::stage::{Stage, restarted, running};

/// The times between requests for pods from the `from`th on.
fn gaps(server: &Server, from: usize) -> Vec<Duration> {
    let mut when: Vec<BootTime> = ["list pods", "watch pods"]
        .iter()
        .flat_map(|what| server.when(what))
        .collect();
    when.sort_unstable();
    let pairs = when[from..].windows(2);
    pairs.map(|pair| pair[1].since(pair[0])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_grow_while_it_refuses_or_breaks_off() {
    for mood in [
        Mood::Refuses(429),
        Mood::Refuses(500),
        Mood::Busy("Wed, 25 Nov 2026 07:28:00 GMT"),
        Mood::Busy("nonsense"),
        Mood::Truncates,
        Mood::BreaksOff,
    ] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        let mut stage = well(&server, &directory).await;
        let before = server.asked("watch pods") + server.asked("list pods");
        server.feel(mood);
        server.apply(restarted("a", 1));
        server.cut();
        // Two seconds at least, and on a machine that is busy elsewhere until it has asked often enough.
        stage.listen(Duration::from_secs(2)).await;
        for _ in 0..20 {
            if gaps(&server, before).len() >= 2 {
                break;
            }
            stage.listen(Duration::from_millis(500)).await;
        }
        let gaps = gaps(&server, before);
        // 100 ms, 200 ms, 400 ms …, each of which may be halved by chance.
        assert!((2..=5).contains(&gaps.len()), "{mood:?}: {gaps:?}");
        for (index, gap) in gaps.iter().enumerate() {
            assert!(
                *gap >= Duration::from_millis(50 << index),
                "{mood:?}: {gaps:?}"
            );
        }
        assert_eq!(stage.count("ended a"), 0, "{mood:?}");
        server.feel(Mood::Well);
        stage.until_said("ended a", 1).await;
        stage.until_said("ok", 2).await;
        stage.listen(Duration::from_millis(200)).await;
        assert_eq!(stage.count("ended a"), 1, "{mood:?}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_left_alone_for_as_long_as_it_asks() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    let before = server.asked("watch pods") + server.asked("list pods");
    server.feel(Mood::Busy("2"));
    server.apply(restarted("a", 1));
    server.cut();
    stage.until_said("429", 1).await;
    stage.listen(Duration::from_secs(5)).await;
    let gaps = gaps(&server, before);
    assert!((1..=2).contains(&gaps.len()), "{gaps:?}");
    assert!(
        gaps.iter().all(|gap| *gap >= Duration::from_secs(2)),
        "{gaps:?}"
    );
    server.feel(Mood::Well);
    stage.until_said("ended a", 1).await;
    stage.stop().await;
}

/// A watch of it would have to be listed anew, which a server that is overloaded needs least.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_not_made_to_list_again() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    for mood in [Mood::Refuses(429), Mood::Busy("1"), Mood::Refuses(503)] {
        server.feel(mood);
        server.cut();
        stage.listen(Duration::from_millis(500)).await;
        server.feel(Mood::Well);
        stage.listen(Duration::from_millis(1500)).await;
    }
    server.apply(restarted("a", 1));
    stage.until_said("ended a", 1).await;
    assert_eq!(server.asked("list pods"), 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_breaks_off_or_drips_is_named_and_nothing_of_it_is_taken() {
    for (mood, why) in [
        (Mood::Truncates, "cannot be read"),
        (Mood::BreaksOff, "broke"),
        (Mood::Drip, "has not answered within 2s"),
        (Mood::Mute, "has not answered within 2s"),
        (Mood::Busy("1"), "429"),
    ] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        server.apply(running("a"));
        server.feel(mood);
        let mut stage = Stage::start(&server, &directory, false);
        stage.until_said(why, 1).await;
        assert_eq!(stage.count("pod a"), 0, "{mood:?}");
        server.feel(Mood::Well);
        stage.until_said("pod a Running", 1).await;
        stage.until_said("ok", 1).await;
        assert!(stage.said().iter().all(|said| !said.contains("hunter2")));
        stage.stop().await;
    }
}
