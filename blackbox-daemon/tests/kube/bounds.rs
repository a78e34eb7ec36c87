//! How long what is known may be old: a silent API server is noticed within 65 s, and once it is well again everything
//! is known within 35 s. With shortened times here, and by the defaults in the long tests.

use std::time::Duration;

use blackbox_daemon::clock;
use blackbox_daemon::config::args::{self, Cli};
use blackbox_daemon::sources::kube::Config;
use clap::FromArgMatches as _;
use tempfile::TempDir;

use crate::ALONE;
use crate::daemon::until_metrics_within;
use crate::outages::well;
use crate::running::Running;
use crate::server::{Mood, Server};
use crate::stage::{IMPATIENT, Patience, Stage, kubeconfig, restarted, running};

/// From the first moment without a sign of life until the source is called failed.
const STALE: Duration = Duration::from_secs(65);
/// From the moment the API server is well until all that happened is known.
const RESYNCED: Duration = Duration::from_secs(35);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(5);

#[test]
fn the_defaults_keep_the_promise() {
    let found = args::command()
        .try_get_matches_from(["blackbox-daemon"])
        .unwrap();
    let settings = Cli::from_arg_matches(&found).unwrap().settings.kubernetes;
    assert!(Config::SILENCE + SLACK <= STALE);
    // An attempt that began just before the server was well hangs for the time-out; the next follows at once. And one
    // that failed at once is followed after the longest pause, 30 s.
    assert!(settings.k8s_timeout + SLACK <= RESYNCED);
    assert!(settings.k8s_retry_interval <= Duration::from_secs(30));
}

/// The pause after an attempt that hung is over by then: what hung and what pauses must not add up.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_while_the_server_comes_back_delays_no_more_than_itself() {
    let _alone = ALONE.lock().await;
    let patience = Patience {
        timeout: Duration::from_secs(4),
        // The pause after the second failure: 2 s to 4 s.
        retry: Duration::from_secs(2),
        silence: Duration::from_secs(2),
    };
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.apply(running("a"));
    let path = kubeconfig(directory.path(), server.port, "right");
    let mut stage = Stage::start_patient("n", path, None, patience);
    stage.until(|_| server.asked("watch pods") >= 1).await;
    server.feel(Mood::Mute);
    server.apply(restarted("a", 1));
    stage.until_said("Failed", 1).await;
    let before = server.asked("watch pods");
    stage.until(|_| server.asked("watch pods") > before).await;
    server.feel(Mood::Well);
    let began = clock::boot_now();
    stage.until_said("ended a", 1).await;
    stage.until_said("ok", 2).await;
    let took = clock::boot_now().since(began);
    assert!(took < Duration::from_millis(5500), "{took:?}");
    stage.stop().await;
}

/// Pauses that grew in an outage are over when the server answers, though all it says is that it has forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_without_its_history_is_listed_at_once() {
    let _alone = ALONE.lock().await;
    let patience = Patience {
        retry: Duration::from_secs(1),
        ..IMPATIENT
    };
    for inside in [false, true] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        server.apply(running("a"));
        let path = kubeconfig(directory.path(), server.port, "right");
        let mut stage = Stage::start_patient("n", path, None, patience);
        stage.until(|_| server.asked("watch pods") >= 1).await;
        // So long that its end is no failure.
        stage.listen(Duration::from_millis(1200)).await;
        server.feel(Mood::Refuses(503));
        server.cut();
        stage.until(|_| server.asked("watch pods") >= 4).await;
        // The pause after this third failure is 2 s to 4 s, that after a fourth 4 s to 8 s.
        server.apply(restarted("a", 1));
        server.forget(inside);
        server.feel(Mood::Well);
        let began = clock::boot_now();
        stage.until_said("ended a", 1).await;
        let took = clock::boot_now().since(began);
        assert!(took < Duration::from_millis(5500), "{inside}: {took:?}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_always_forgets_is_not_asked_without_pause() {
    for inside in [false, true] {
        let (server, directory) = (Server::start(), TempDir::new().unwrap());
        server.apply(running("a"));
        server.forget_always(inside);
        let mut stage = Stage::start(&server, &directory, false);
        stage.until_said("pod a Running", 1).await;
        stage.listen(Duration::from_secs(3)).await;
        // At once, and then after 100 ms, 200 ms, 400 ms …, each of which may be halved by chance.
        let lists = server.asked("list pods");
        assert!((3..=8).contains(&lists), "{inside}: {lists} lists");
        stage.stop().await;
    }
}

/// No API server may silence a daemon for an hour.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute"]
async fn a_server_that_asks_for_an_hour_is_asked_again_in_time() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let mut stage = well(&server, &directory).await;
    server.feel(Mood::Busy("3600"));
    server.apply(restarted("a", 1));
    server.cut();
    stage.until(|_| server.asked("watch pods") >= 2).await;
    server.feel(Mood::Well);
    let began = clock::boot_now();
    while stage.count("ended a") == 0 && clock::boot_now().since(began) < 2 * RESYNCED {
        stage.listen(Duration::from_millis(100)).await;
    }
    let took = clock::boot_now().since(began);
    assert!(
        (Duration::from_secs(25)..RESYNCED).contains(&took),
        "{took:?}"
    );
    stage.stop().await;
}

/// The built daemon as it is shipped: nothing of its patience is configured.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "four minutes"]
async fn by_the_defaults_nothing_is_old_for_longer_than_promised() {
    let _alone = ALONE.lock().await;
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    server.apply(running("a"));
    let config = kubeconfig(directory.path(), server.port, "right");
    let daemon = Running::start(&[
        ("BLACKBOX_KUBERNETES", "on"),
        ("KUBECONFIG", config.to_str().unwrap()),
        ("NODE_NAME", "n"),
    ])
    .await;
    let state =
        |state: &str| format!("blackbox_source_state{{source=\"kube\",state=\"{state}\"}} 1");
    let limit = Duration::from_secs(30);
    until_metrics_within(&daemon, &[&state("ok")], limit).await;
    while server.asked("watch pods") == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.feel(Mood::Mute);
    let began = clock::boot_now();
    server.apply(restarted("a", 1));
    until_metrics_within(&daemon, &[&state("failed")], STALE).await;
    let stale = clock::boot_now().since(began);
    // Until pauses are as long as they get, and then just after an attempt has begun that will hang.
    let before = server.asked("watch pods");
    while server.asked("watch pods") < before + 4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.feel(Mood::Well);
    let began = clock::boot_now();
    let known = [&*state("ok"), "blackbox_k8s_container_ends_total 1"];
    until_metrics_within(&daemon, &known, RESYNCED).await;
    let resynced = clock::boot_now().since(began);
    println!("noticed after {stale:.1?}, everything known after {resynced:.1?}");
}
