//! The end of a daemon: what was offered before it is recorded, what is open is told, and nothing hangs.

mod support;

use std::time::Duration;

use blackbox_daemon::clock;
use blackbox_daemon::incident;
use blackbox_daemon::record::{Event, LaneName};
use blackbox_daemon::recorder;
use blackbox_daemon::sources::feed;
use support::daemon::{Daemon, PATIENCE, directory, hanging_server, now, report_about, reports_in};
use support::{
    DEMO, SI_USER, SIGTERM, config, entries, exit, failed_call, killer, process, sent, signal,
    statement,
};

const CUT_SHORT: &str = "the recorder was stopped before this incident had settled";

/// Nothing settles by itself while a test runs.
fn slow() -> recorder::Config {
    recorder::Config {
        incidents: incident::Config {
            settle: Duration::from_secs(600),
            ..config().incidents
        },
        ..config()
    }
}

#[tokio::test]
async fn an_open_incident_is_told_as_cut_short() {
    let reports = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(slow(), vec![directory(reports.path())]);
    let comm = daemon.kill(1);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(reports_in(reports.path()).len(), 0, "it is still open");

    let left = daemon.stop(PATIENCE).await;
    assert_eq!(left[0].documents, 0);
    let reports = reports_in(reports.path());
    let report = report_about(&reports, &comm);
    let notes = report["completeness"]["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note == CUT_SHORT), "{notes:?}");
}

#[tokio::test]
async fn an_incident_that_had_settled_is_not_called_cut_short() {
    let reports = tempfile::tempdir().unwrap();
    let quick = recorder::Config {
        incidents: incident::Config {
            settle: Duration::from_millis(10),
            ..config().incidents
        },
        ..config()
    };
    let daemon = Daemon::start(quick, vec![directory(reports.path())]);
    let comm = daemon.kill(1);
    daemon.until(0, |state| state.written == 2).await;
    daemon.stop(PATIENCE).await;
    let reports = reports_in(reports.path());
    let report = report_about(&reports, &comm);
    assert_eq!(report["completeness"]["notes"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn what_sources_offered_last_is_in_the_report() {
    let reports = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(slow(), vec![directory(reports.path())]);
    let victim = process(100, "victim", DEMO);
    // As much as the queues hold, and then the end, without giving the recorder a turn in between.
    for _ in 0..feed::BULK_BATCHES {
        let Event::FailedCall(call) = failed_call(victim, 0, 2).event else {
            unreachable!("it is a failed call");
        };
        let call = now(victim, Event::FailedCall(call));
        daemon.feed.offer(LaneName::Bulk, vec![call; 10]);
    }
    let term = sent(victim, 0, signal(0, killer(), SIGTERM, SI_USER), false);
    let main = blackbox_daemon::record::Exit {
        ns_pid: 1,
        ns_level: 1,
        ..exit(3 << 8)
    };
    for event in [term.event, Event::Exit(main)] {
        daemon
            .feed
            .offer(LaneName::Decisive, vec![now(victim, event)]);
    }
    daemon.stop(PATIENCE).await;

    let reports = reports_in(reports.path());
    let report = report_about(&reports, "victim");
    assert_eq!(report["verdict"]["cause"], "exit_code");
    statement(report, "had sent it SIGTERM, which it handles itself");
    let calls = entries(report, "syscall_failed");
    assert_eq!(calls.len(), 10 * feed::BULK_BATCHES);
}

#[tokio::test]
async fn deaths_that_are_held_back_are_told_at_the_end() {
    let reports = tempfile::tempdir().unwrap();
    let quick = recorder::Config {
        incidents: incident::Config {
            settle: Duration::from_millis(10),
            throttle: Duration::from_secs(600),
        },
        ..config()
    };
    let daemon = Daemon::start(quick, vec![directory(reports.path())]);
    let dies = |pid| {
        let death = now(process(pid, "same", DEMO), Event::Exit(exit(11)));
        daemon.feed.offer(LaneName::Decisive, vec![death]);
    };
    dies(1);
    daemon.until(0, |state| state.written == 2).await;
    (2..=9).for_each(dies);
    daemon.stop(PATIENCE).await;

    let reports = reports_in(reports.path());
    let repeats = |index: usize| reports[index]["incident"]["repeats"].as_u64().unwrap();
    assert_eq!(reports.len(), 2);
    assert_eq!((repeats(0), repeats(1)), (0, 7));
}

#[tokio::test]
async fn a_destination_that_hangs_keeps_nobody_beyond_the_deadline() {
    let reports = tempfile::tempdir().unwrap();
    let destinations = vec![hanging_server().await, directory(reports.path())];
    let daemon = Daemon::start(slow(), destinations);
    let comm = daemon.kill(1);
    let deadline = Duration::from_millis(500);
    let before = clock::boot_now();
    let left = daemon.stop(deadline).await;
    let took = clock::boot_now().since(before);

    assert!(took >= deadline, "it was given its time: {took:?}");
    // The http time-out is 30 s, and there would be three tries.
    assert!(took < deadline + Duration::from_secs(5), "{took:?}");
    assert_eq!(
        left.iter().map(|left| left.documents).collect::<Vec<_>>(),
        [2, 0]
    );
    assert!(left[0].name.starts_with("http://127.0.0.1:"));
    report_about(&reports_in(reports.path()), &comm);
}

#[tokio::test]
async fn a_daemon_that_saw_nothing_ends_at_once_and_writes_nothing() {
    let reports = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(slow(), vec![directory(reports.path())]);
    let before = clock::boot_now();
    daemon.stop(PATIENCE).await;
    assert!(clock::boot_now().since(before) < Duration::from_secs(5));
    assert_eq!(std::fs::read_dir(reports.path()).unwrap().count(), 0);
}
