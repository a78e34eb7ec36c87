//! The daemon is killed again and again, at random moments under load: what it had accepted is in its journal but for the last
//! 100 ms, it records again within 2 s, every incident it took is reported, and no file is broken.
//!
//! 200 kills in memory; `--include-ignored` plays 1,000 on the disk.
#![expect(clippy::print_stdout, reason = "the figures are told, not only judged")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use blackbox_daemon::clock;
use blackbox_daemon::journal::Recovered;
use blackbox_daemon::journal::scan::scan;
use blackbox_daemon::record::{BootTime, Event};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::dice::Dice;
use self::running::{KEY, Running};

#[path = "../journal/dice.rs"]
#[allow(dead_code, reason = "each test binary needs a part of it")]
mod dice;
#[path = "../api/running.rs"]
#[allow(dead_code, reason = "each test binary needs a part of it")]
mod running;

/// What may be lost of what was accepted.
const LOST_MOST: Duration = Duration::from_millis(100);
/// From its start to the first record it accepts.
const AGAIN_MOST: Duration = Duration::from_secs(2);
/// Longest life after it listens, ms.
const LIFE: u64 = 400;
/// An incident in one of so many lives.
const INCIDENT_EACH: u64 = 4;
/// Clients that submit all the time.
const CLIENTS: u64 = 2;
/// As one test of many on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// For one report of those that the former lives left, of a debug build.
const REPORT_MOST: Duration = Duration::from_secs(2);

/// What was met.
#[derive(Debug, Default)]
struct Met {
    accepted: u64,
    /// Accepted and not in the journal.
    lost: u64,
    /// The longest time before a kill at which something was accepted that is lost.
    lost_before: Duration,
    /// The longest time to begin again.
    again: Duration,
    /// Incidents that must be reported.
    incidents: BTreeSet<String>,
}

async fn begin(directory: TempDir) -> (Running, Duration) {
    let state = directory.path().join("state");
    let env = [
        ("BLACKBOX_STATE_DIR", state.to_str().unwrap()),
        ("BLACKBOX_JOURNAL_BYTES", "8MiB"),
        ("BLACKBOX_API_RATE_LIMIT", "1000000"),
        // Reports of a moment each: whoever is killed all the time has little time to write.
        ("BLACKBOX_BUFFER_WINDOW_SIZE", "2s"),
        ("BLACKBOX_OUTPUT_FORMATTERS", "json"),
        ("BLACKBOX_OUTPUT_MAX_FILES", "100000"),
        // A thousand lives leave more than the quota has: what went would seem untold.
        ("BLACKBOX_OUTPUT_MAX_BYTES", "16GiB"),
    ];
    let before = clock::boot_now();
    let running = Running::launch(directory, &env, &[]);
    running.wait_listening(running.port).await;
    let took = clock::boot_now().since(before);
    (running, took)
}

/// Submits numbers until `over`; those that were accepted, and when.
async fn submit(
    port: u16,
    client: u64,
    life: u64,
    over: CancellationToken,
) -> Vec<(u64, BootTime)> {
    let http = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{port}/api/v1/telemetry");
    let mut accepted = Vec::new();
    for number in 0.. {
        let number = (life * CLIENTS + client) << 20 | number;
        let body = json!({"pod_name": "p", "namespace": "n", "data": {"number": number}});
        let request = http.post(&url).bearer_auth(KEY).body(body.to_string());
        // A request that the kill cut off was not accepted.
        let answer = over.run_until_cancelled(request.send()).await;
        let Some(Ok(answer)) = answer else { break };
        if answer.status() == 200 {
            accepted.push((number, clock::boot_now()));
        }
    }
    accepted
}

/// One life and its end.
async fn live(directory: TempDir, life: u64, dice: &mut Dice, met: &mut Met) -> TempDir {
    let (running, again) = begin(directory).await;
    met.again = met.again.max(again);
    let over = CancellationToken::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(submit(running.port, client, life, over.clone())))
        .collect();
    let (until_incident, rest) = (dice.below(LIFE / 2), dice.below(LIFE / 2));
    sleep(Duration::from_millis(until_incident)).await;
    let id = format!("life-{life}");
    let incident = json!({"id": id, "pod_name": "p", "namespace": "n", "message": "it hurts"});
    // Not in each: the disk may need longer for a report than a life lasts.
    let taken = life.is_multiple_of(INCIDENT_EACH)
        && running.post("/api/v1/incident", &incident).await.status == 200;
    let taken_at = clock::boot_now();
    sleep(Duration::from_millis(rest)).await;
    let Running {
        daemon, directory, ..
    } = running;
    let killed = clock::boot_now();
    drop(daemon);
    over.cancel();
    if taken && killed.since(taken_at) > LOST_MOST {
        met.incidents.insert(id);
    }
    let kept = numbers(directory.path());
    for client in clients {
        for (number, at) in client.await.unwrap() {
            met.accepted += 1;
            if !kept.contains(&number) {
                met.lost += 1;
                met.lost_before = met.lost_before.max(killed.since(at));
            }
        }
    }
    directory
}

/// The numbers in the journal.
fn numbers(directory: &Path) -> BTreeSet<u64> {
    let bytes = std::fs::read(directory.join("state/window.ring")).unwrap();
    let scan = scan(&bytes).unwrap();
    let recovered = Recovered::read(&bytes, &scan, Duration::from_secs(60)).unwrap();
    assert_eq!(recovered.broken, 0, "records that do not decode");
    assert!(!recovered.ended);
    let records = recovered.batches.iter().flat_map(|batch| &batch.records);
    let numbers = records.filter_map(|(_, record)| match &record.event {
        Event::Telemetry(telemetry) => {
            let data: Value = serde_json::from_str(&telemetry.data).unwrap();
            data["number"].as_u64()
        }
        _ => None,
    });
    numbers.collect()
}

/// The ids of all reports; every one is whole.
fn reports(directory: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        match path.extension().and_then(|end| end.to_str()) {
            Some("json") => {
                let bytes = std::fs::read(&path).unwrap();
                let report: Value = serde_json::from_slice(&bytes)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                ids.push(report["incident"]["id"].as_str().unwrap().to_owned());
            }
            Some("zst") => {
                let mut out = Vec::new();
                blackbox_daemon::bundle::command::verify(&path, &mut out).unwrap();
            }
            _ => {}
        }
    }
    ids
}

/// A directory in memory: what a daemon's death leaves does not depend on the disk, and other tests keep that busy.
fn memory() -> TempDir {
    TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap())
}

async fn kill(times: u64, mut directory: TempDir) {
    let mut dice = Dice::new(times);
    let mut met = Met::default();
    for life in 0..times {
        directory = timeout(PATIENCE, live(directory, life, &mut dice, &mut met))
            .await
            .unwrap();
    }
    let (mut running, _) = begin(directory).await;
    let told = async {
        while !met.incidents.is_subset(
            &reports(&running.daemon.reports_directory())
                .into_iter()
                .collect(),
        ) {
            sleep(Duration::from_millis(200)).await;
        }
    };
    // One goes out when the one before is, and each has a window of its own. What is untold then is said below.
    let patience = PATIENCE + REPORT_MOST * u32::try_from(met.incidents.len()).unwrap();
    timeout(patience, told).await.unwrap_or_default();
    running.daemon.stop().unwrap();
    let ids = reports(&running.daemon.reports_directory());
    let told: BTreeSet<&String> = ids.iter().collect();
    let untold: Vec<_> = met
        .incidents
        .iter()
        .filter(|id| !told.contains(id))
        .collect();
    let twice = ids.iter().filter(|id| id.starts_with("life-")).count()
        - told.iter().filter(|id| id.starts_with("life-")).count();
    let crashes = ids
        .iter()
        .filter(|id| id.starts_with("daemon-crash"))
        .count();
    println!(
        "{times} kills: {} accepted, {} lost, the oldest of them {:?} before its kill; begun again within {:?}; {} incidents \
         demanded, {} untold, {twice} told twice; {crashes} reports of the recorder's own death, {} reports, all whole",
        met.accepted,
        met.lost,
        met.lost_before,
        met.again,
        met.incidents.len(),
        untold.len(),
        ids.len(),
    );
    if !untold.is_empty() {
        println!("{}", running.daemon.log().unwrap());
    }
    assert!(met.accepted > times * 20, "there was load");
    assert!(
        met.incidents.len() as u64 > times / 10,
        "there were incidents"
    );
    assert!(met.lost_before <= LOST_MOST, "{:?}", met.lost_before);
    assert!(met.again <= AGAIN_MOST, "{:?}", met.again);
    assert!(untold.is_empty(), "{untold:?}");
    assert!(crashes > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_at_most_100_ms() {
    kill(200, memory()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: a thousand kills"]
async fn a_thousand_kills_lose_at_most_100_ms() {
    kill(1000, TempDir::new().unwrap()).await;
}
