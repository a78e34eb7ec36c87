//! The daemon under clients that mean harm: honest ones notice nothing, its memory stays bounded, and nothing stays.

//!
//! A binary of its own, and one test at a time: nothing else of ours takes the processors meanwhile.
#![expect(clippy::print_stdout, reason = "the figures are told, not only judged")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::hostile::{Answers, Attack};
use self::process::{Process, Watch, raise_own_descriptors};
use crate::running::{Answer, Running};

mod honest;
mod hostile;
mod process;
#[path = "../api/running.rs"]
#[allow(dead_code, reason = "each test binary needs a part of it")]
mod running;

/// One test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// How much the daemon may grow under attack, KiB: 16 MiB, and 4 MiB for what each of the API's threads
/// keeps to search for secrets from the first record on.
const GROWTH: u64 = 20 << 10;
/// Descriptors that may come and go without a leak: the metrics' and the honest clients' connections.
const LOOSE: usize = 4;

/// A daemon whose limits per minute do not end an attack early, with a key for hostile clients. Its window is so
/// small, and honest clients send so little, that the window's growth counts for less than 1 MiB.
async fn start() -> Running {
    raise_own_descriptors();
    let directory = TempDir::new().unwrap();
    let keys = directory.path().join("keys.json");
    let key = json!({"name": "hostile", "key": hostile::KEY, "scopes": ["telemetry"]});
    std::fs::write(&keys, json!({"keys": [key]}).to_string()).unwrap();
    let env = [
        ("BLACKBOX_API_KEYS_FILE", keys.to_str().unwrap()),
        ("BLACKBOX_API_RATE_LIMIT", "1000000"),
        ("BLACKBOX_SWAGGER_ENABLE", "true"),
        ("BLACKBOX_WINDOW_BULK_BYTES", "16MiB"),
    ];
    let wrapper = ["sh", "-c", "ulimit -S -n 256; exec \"$0\""];
    let running = Running::launch(directory, &env, &wrapper);
    running.wait_listening(running.port).await;
    // Until it has sampled something it calls itself unhealthy.
    let healthy = |answer: &Answer| answer.status == 200;
    running.until("/api/v1/health", healthy).await;
    running
}

async fn gauge(running: &Running, name: &str) -> u64 {
    let metrics = running.metrics().await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().trim().parse().unwrap()
}

async fn attack(length: Duration) {
    let _alone = ALONE.lock().await;
    let running = start().await;
    let process = Process::of(running.daemon.pid());
    assert!(process.most_descriptors() > 256, "the soft limit is raised");
    let warm = CancellationToken::new();
    let warming = tokio::spawn(honest::ask(running.port, warm.clone()));
    sleep(Duration::from_secs(2)).await;
    warm.cancel();
    let quiet = warming.await.unwrap();
    sleep(Duration::from_millis(200)).await;
    let (before, descriptors, threads) = (
        process.kib("VmRSS"),
        process.descriptors(),
        process.kib("Threads"),
    );

    let (watch, attack) = (Watch::start(process.clone()), Attack::start(running.port));
    sleep(Duration::from_millis(500)).await;
    let over = CancellationToken::new();
    let asking = tokio::spawn(honest::ask(running.port, over.clone()));
    sleep(length).await;
    over.cancel();
    let served = asking.await.unwrap();
    let most_open = gauge(&running, "blackbox_api_connections_total").await;
    let answers = attack.end();
    let most = watch.end();

    let mut waited = 0;
    while process.descriptors() > descriptors + LOOSE && waited < 100 {
        sleep(Duration::from_millis(100)).await;
        waited += 1;
    }
    println!(
        "honest: {} answers, {} refused; p50 {:?}, p99 {:?}, slowest {:?} (quiet: p50 {:?}, p99 {:?})",
        served.answers(),
        served.refused.len(),
        served.percentile(50),
        served.percentile(99),
        served.percentile(100),
        quiet.percentile(50),
        quiet.percentile(99),
    );
    println!(
        "daemon: {before} KiB before, {most} at most (+{}), {} after; {} of it anonymous",
        most - before.min(most),
        process.kib("VmRSS"),
        process.kib("RssAnon"),
    );
    println!(
        "daemon: {descriptors} descriptors before, {} after {waited}00 ms; {threads} threads before, {} after; {most_open} connections",
        process.descriptors(),
        process.kib("Threads"),
    );
    check_answers(&answers);

    assert!(served.refused.is_empty(), "{:?}", served.refused);
    // What the attack costs them: on an idle machine the quiet p99 is 2 ms, on a busy one it is the machine's.
    let bound = quiet.percentile(99) + Duration::from_millis(100);
    assert!(served.percentile(99) < bound);
    assert!(most < before + GROWTH, "{before} → {most} KiB");
    assert!(process.descriptors() <= descriptors + LOOSE);
    let open = gauge(&running, "blackbox_api_active_connections").await;
    assert!(open <= LOOSE as u64, "{open} connections are left");
    still_records(&running).await;
}

/// Each bomb is refused for what it is; 503 where it needs room that the others have taken.
fn check_answers(answers: &Answers) {
    println!("bombs: {answers:?}");
    for (name, allowed) in [
        ("gzip", &[415][..]),
        ("nested", &[400, 503]),
        ("brackets", &[400, 503]),
        ("100 MB", &[413]),
        ("100 MB chunked", &[413, 503]),
        ("huge head", &[431]),
        ("many headers", &[431]),
        ("many keys", &[400, 503]),
        ("many numbers", &[400, 503]),
        ("long number", &[400, 503]),
        ("pipelined", &[200]),
    ] {
        let mut statuses = answers.keys().filter(|found| found.0 == name).peekable();
        assert!(statuses.peek().is_some(), "{name} was not answered");
        let fits = |found: &&(_, u16)| allowed.contains(&found.1);
        assert_eq!(statuses.find(|found| !fits(found)), None, "{answers:?}");
    }
}

async fn still_records(running: &Running) {
    let body = json!({"pod_name": "after", "namespace": "shop", "data": {"still": 1}});
    assert_eq!(running.post("/api/v1/telemetry", &body).await.status, 200);
    let path = "/api/v1/window?pod=after";
    let window = running
        .until(path, |answer| answer.text.contains("still"))
        .await;
    assert_eq!(window.status, 200, "{window:?}");
    let health = running.get("/api/v1/health").await.json();
    assert_eq!(health["components"]["ring_buffer"], "healthy", "{health}");
    let log = running.daemon.log().unwrap();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_do_not_notice_hostile_ones() {
    attack(Duration::from_secs(15)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "two minutes"]
async fn honest_clients_do_not_notice_hostile_ones_for_two_minutes() {
    attack(Duration::from_secs(120)).await;
}

/// One of many who may send: 1 MiB in a few seconds. The status of the answer.
async fn upload(from: u8, port: u16) -> u16 {
    let request = hostile::post("", &" ".repeat((1 << 20) - 2));
    let mut stream = hostile::connect(from, port).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        for part in request.chunks(32 << 10) {
            if writer.write_all(part).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let answered = async {
        let mut part = [0; 256];
        while answer.len() < 12 {
            let size = reader.read(&mut part).await.unwrap();
            assert!(size > 0, "closed without an answer");
            answer.extend_from_slice(&part[..size]);
        }
    };
    let both = async {
        tokio::select! { () = sending => {} () = answered => {} }
    };
    timeout(Duration::from_secs(30), both).await.unwrap();
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_of_all_clients_together_are_bounded() {
    let _alone = ALONE.lock().await;
    let running = start().await;
    let process = Process::of(running.daemon.pid());
    // What it has never done takes memory the first time, for its code alone.
    for from in 14..18 {
        upload(from, running.port).await;
    }
    let before = process.kib("VmRSS");
    let watch = Watch::start(process);
    let over = CancellationToken::new();
    let asking = tokio::spawn(honest::ask(running.port, over.clone()));
    let uploads: Vec<_> = (0..200)
        .map(|client| tokio::spawn(upload(20 + client / 20, running.port)))
        .collect();
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    for upload in uploads {
        *statuses.entry(upload.await.unwrap()).or_default() += 1;
    }
    over.cancel();
    let served = asking.await.unwrap();
    let most = watch.end();
    println!(
        "200 uploads: {statuses:?}; {before} KiB before, {most} at most (+{}); honest p99 {:?}",
        most - before,
        served.percentile(99)
    );
    // 400: all of it came, and is no JSON. 503: there was no room.
    assert!(
        statuses.keys().all(|status| [400, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(statuses.contains_key(&503), "{statuses:?}");
    assert!(served.refused.is_empty(), "{:?}", served.refused);
    assert!(most < before + GROWTH, "{before} → {most} KiB");
    still_records(&running).await;
}
