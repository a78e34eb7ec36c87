//! Recording never pauses for reporting (invariants 1 and 2): not for a server that never answers, not for a full
//! disk, not for a reporter that hangs. What does not fit is counted, exactly.

mod support;

use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use blackbox_daemon::clock;
use blackbox_daemon::incident;
use blackbox_daemon::record::{CgroupId, Class, Event, FailedCall, LaneName, LossCause, Record};
use blackbox_daemon::recorder::{self, Core, Recorder};
use blackbox_daemon::sources::{Feed, feed};
use blackbox_daemon::window;
use serde_json::Value;
use support::daemon::{
    Daemon, PATIENCE, directory, hanging_server, kill, now, report_about, reports_in,
};
use support::{OTHER, config, list, number, process, sum};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const RECORDS: usize = 200_000;
const BATCH: usize = 500;
const NEIGHBOUR: CgroupId = CgroupId(93);
/// With [`BATCH`]: at most 50,000 records a second. A machine that is busy makes it less, never more.
const PACE: Duration = Duration::from_millis(10);
/// Batches between two deaths.
const DEATH_EVERY: usize = 20;
/// How much later than settled an incident may be closed, beside what the machine itself was late.
const LATE: Duration = Duration::from_secs(1);

fn quick() -> recorder::Config {
    recorder::Config {
        incidents: incident::Config {
            settle: Duration::from_millis(200),
            ..config().incidents
        },
        ..config()
    }
}

/// Calls of processes that no death here concerns: they are recorded and in no report. One call of each batch is a quiet
/// neighbour's, so that no part of the window is the flooder's alone: it loses what comes, not what it has.
fn batch() -> Vec<Record> {
    let flooder = process(90, "flooder", OTHER);
    let call = Event::FailedCall(FailedCall {
        nr: 257,
        errno: 2,
        args: [1, 2, 3],
        argument: None,
        compat: false,
    });
    let mut batch = vec![now(flooder, call.clone()); BATCH - 1];
    batch.push(now(process(91, "neighbour", NEIGHBOUR), call));
    batch
}

/// Offers all records with a pause of `pace` after each batch, and deaths in between. Tries a few times where
/// the queue is full, then lets the feed count the batch. Returns the names of the dead.
fn produce(feed: &Feed, pace: Option<Duration>) -> Vec<String> {
    let mut dead = Vec::new();
    for number in 0..RECORDS / BATCH {
        let mut batch = Some(batch());
        for _ in 0..3 {
            match feed.place(LaneName::Bulk) {
                Some(place) => place.send(batch.take().expect("not yet sent")),
                None => std::thread::yield_now(),
            }
            if batch.is_none() {
                break;
            }
        }
        feed.offer(LaneName::Bulk, batch.unwrap_or_default());
        if number % DEATH_EVERY == 0 {
            dead.push(kill(feed, u32::try_from(number).expect("a small number")));
        }
        if let Some(pace) = pace {
            std::thread::sleep(pace);
        }
    }
    dead
}

/// The longest that a task which only sleeps was late: what the machine, not the recorder, is to blame for.
async fn lateness(stop: CancellationToken) -> Duration {
    let nap = Duration::from_millis(10);
    let mut worst = Duration::ZERO;
    loop {
        let before = clock::boot_now();
        if stop
            .run_until_cancelled(tokio::time::sleep(nap))
            .await
            .is_none()
        {
            return worst;
        }
        worst = worst.max(clock::boot_now().since(before).saturating_sub(nap));
    }
}

/// A directory on a file system of 64 KiB of its own, or one that is about to be replaced by a file.
enum Narrow {
    /// The mount is reachable through this descriptor only, so nothing is left behind however this test ends.
    Disk(std::fs::File),
    Directory(tempfile::TempDir),
}

impl Narrow {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "blackbox-test"])
            .arg(place.path())
            .output();
        if !mounted.is_ok_and(|mount| mount.status.success()) {
            return Self::Directory(place);
        }
        let root = std::fs::File::open(place.path()).expect("a mounted directory");
        let detached = Command::new("umount").arg("-l").arg(place.path()).status();
        assert!(detached.is_ok_and(|status| status.success()));
        Self::Disk(root)
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Disk(root) => PathBuf::from(format!("/proc/self/fd/{}/", root.as_raw_fd())),
            Self::Directory(place) => place.path().join("reports"),
        }
    }

    /// From here on nothing can be written to it.
    fn fill(&self) {
        let path = self.path();
        match self {
            Self::Disk(_) => {
                let full = std::fs::write(path.join("filler"), vec![0; 1 << 20])
                    .expect_err("more than there is room for");
                assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
            }
            Self::Directory(_) => {
                std::fs::remove_dir(&path).expect("an empty directory");
                std::fs::write(&path, "in the way").expect("a file");
            }
        }
    }
}

/// Healthy, hanging and full, in this order.
async fn daemon(config: recorder::Config, healthy: &Path, narrow: &Narrow) -> Daemon {
    let hanging = hanging_server().await;
    let destinations = vec![directory(healthy), hanging, directory(&narrow.path())];
    let daemon = Daemon::start(config, destinations);
    narrow.fill();
    daemon
}

/// Failed calls that a report says were recorded, and that it says were lost.
fn counts(report: &Value) -> (u64, u64) {
    let classes = list(&report["completeness"]["classes"]);
    let row = classes.iter().find(|row| row["class"] == "failed_call");
    let row = row.expect("failed calls are counted");
    assert_eq!(row["in_flight"], 0, "{row}");
    (number(&row["recorded"]), sum(&row["lost"]))
}

fn time(text: &Value) -> jiff::Timestamp {
    let text = text.as_str().expect("a time");
    text.parse().expect("a time of RFC 3339")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_paces_itself_loses_nothing_whatever_the_destinations_do() {
    let (healthy, narrow) = (tempfile::tempdir().unwrap(), Narrow::new());
    let daemon = daemon(quick(), healthy.path(), &narrow).await;
    let watched = CancellationToken::new();
    let watch = tokio::spawn(lateness(watched.clone()));

    let feed = daemon.feed.clone();
    let produced = tokio::task::spawn_blocking(move || produce(&feed, Some(PACE)));
    let mut dead = produced.await.unwrap();
    // While the server hangs and the disk is full, every death so far is told within its time.
    let documents = 2 * dead.len() as u64;
    daemon.until(0, |state| state.written == documents).await;
    let states = daemon.destinations.states();
    assert_eq!((states[0].failed, states[0].dropped), (0, 0));
    assert_eq!(
        (states[1].written, states[1].failed),
        (0, 0),
        "it never answers"
    );
    assert!(states[1].waiting > 0, "{:?}", states[1]);
    assert_eq!(
        states[1].waiting + states[1].dropped,
        documents,
        "{:?}",
        states[1]
    );
    assert_eq!(
        (states[2].written, states[2].failed),
        (0, 0),
        "it is full, and may not stay so"
    );
    let full = &states[2];
    assert_eq!(full.waiting + full.dropped, documents, "{full:?}");
    watched.cancel();
    let lateness = watch.await.unwrap();

    dead.push(daemon.kill(999_999));
    daemon.stop(PATIENCE / 30).await;
    let reports = reports_in(healthy.path());
    assert_eq!(reports.len(), dead.len());
    let allowed = quick().incidents.settle + LATE + 2 * lateness;
    for comm in &dead {
        let report = report_about(&reports, comm);
        assert_eq!(report["completeness"]["complete"], true, "{comm}");
        let died = time(&report["incident"]["timestamp"]);
        let took: Duration = time(&report["generated_at"])
            .duration_since(died)
            .unsigned_abs();
        assert!(
            took <= allowed,
            "{comm} was told after {took:?}, not {allowed:?}"
        );
    }
    let last = report_about(&reports, dead.last().unwrap());
    assert_eq!(counts(last), (RECORDS as u64, 0));
    assert_eq!(last["completeness"]["gaps"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_full_speed_every_record_is_recorded_or_counted_and_every_death_is_told() {
    let (healthy, narrow) = (tempfile::tempdir().unwrap(), Narrow::new());
    // So small a window that the flooder's share is used up too.
    let config = recorder::Config {
        storage: window::Config {
            bulk_bytes: 1 << 20,
            ..config().storage
        },
        ..quick()
    };
    let daemon = daemon(config, healthy.path(), &narrow).await;
    let feed = daemon.feed.clone();
    let produced = tokio::task::spawn_blocking(move || produce(&feed, None));
    let mut dead = produced.await.unwrap();
    let documents = 2 * dead.len() as u64;
    daemon.until(0, |state| state.written == documents).await;
    dead.push(daemon.kill(999_999));
    daemon.stop(PATIENCE / 30).await;

    let reports = reports_in(healthy.path());
    assert_eq!(reports.len(), dead.len());
    let last = report_about(&reports, dead.last().unwrap());
    let (recorded, lost) = counts(last);
    assert_eq!(recorded + lost, RECORDS as u64);
    assert!(
        lost > 0,
        "the window's share alone is less than what was offered"
    );
    // Every loss is in a gap, and every gap of this short run is in the last report.
    let gaps = last["completeness"]["gaps"].as_array().unwrap();
    let told: u64 = gaps.iter().map(|gap| gap["count"].as_u64().unwrap()).sum();
    assert_eq!(told, lost);
    assert_eq!(
        last["completeness"]["complete"], true,
        "a flood costs no decisive record"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reporter_that_hangs_stops_no_recording() {
    let (feed, intake) = feed::feed();
    // Nobody takes a case, and there is room for one.
    let (cases, mut hanging) = mpsc::channel(1);
    let stop = CancellationToken::new();
    // The recorder is late: what does not fit the queue is lost, and counted.
    let excess = 3;
    for _ in 0..feed::BULK_BATCHES + excess {
        feed.offer(LaneName::Bulk, batch());
    }
    let recorder = Recorder::new(Core::new(quick(), Vec::new()), intake, cases);
    let recording = tokio::spawn(recorder.run(stop.clone()));

    for number in 0..5 {
        kill(&feed, number);
    }
    tokio::time::sleep(Duration::from_millis(600)).await;
    // The incidents have settled; four found no room. Recording goes on.
    for _ in 0..10 * feed::BULK_BATCHES {
        let wait = async {
            loop {
                match feed.place(LaneName::Bulk) {
                    Some(place) => break place.send(batch()),
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let placed = tokio::time::timeout(PATIENCE, wait).await;
        placed.expect("the recorder goes on");
    }
    let first = hanging.recv().await.unwrap();
    assert_eq!(
        first.incident.process().map(|dead| dead.key.tgid),
        Some(10_000)
    );

    kill(&feed, 7);
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, recording).await;
    ended.expect("it ends by itself").unwrap();
    let last = hanging.recv().await.unwrap();
    assert_eq!(last.ledger.reports_dropped, 4);
    let offered = (11 * feed::BULK_BATCHES + excess) * BATCH;
    let lost = last.ledger.lost[&(Class::FailedCall, LossCause::FeedFull)];
    let recorded = last.ledger.recorded[&Class::FailedCall];
    assert_eq!(lost, (excess * BATCH) as u64);
    assert_eq!(recorded + lost, offered as u64);
    assert!(support::text(&last).contains("4 earlier incidents have no report"));
}
