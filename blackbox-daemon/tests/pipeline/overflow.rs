//! A window that is too small: whose records go, that it is said, and whose report stays whole.

use blackbox_daemon::record::{CgroupId, Class, Event, LossCause, Process};
use blackbox_daemon::recorder::Core;
use blackbox_daemon::window;
use serde_json::json;

use super::completeness::{assert_conserved, report, row, tally};
use super::support::{
    OTHER, SI_USER, SIGKILL, about, at, config, core, death_by, exit, failed_call,
    json as document, killer, process, signal, take, text, victim, wall,
};

/// A window so small that a few hundred records overflow it.
fn small() -> window::Config {
    window::Config {
        // A minute of segments of one record each fits, with some to spare.
        decisive_bytes: 24 << 10,
        bulk_bytes: 16 << 10,
        segment_bytes: 1 << 10,
        ..config().storage
    }
}

fn small_core() -> Core {
    core(blackbox_daemon::recorder::Config {
        storage: small(),
        ..config()
    })
}

/// So many cgroups that none has more than its share.
fn one_of_many(number: u64) -> CgroupId {
    CgroupId(1_000 + number % 64)
}

#[test]
fn a_storm_of_one_cgroup_leaves_reports_about_others_whole() {
    let mut core = small_core();
    take(
        &mut core,
        &death_by(victim(), 0, signal(0, killer(), SIGKILL, SI_USER)),
    );
    for ms in 10..1_500 {
        let clean = process(5_000, "clean", OTHER);
        take(&mut core, &[about(clean, ms, Event::Exit(exit(0)))]);
    }
    let told = core.turn(at(2_500), wall(), false);
    let (report, page) = (document(&told[0]), text(&told[0]));
    assert!(row(&report, "exit")["evicted"].as_u64().unwrap() > 500);
    assert_eq!(report["verdict"]["grade"], "proven", "{page}");
    assert_eq!(report["completeness"]["complete"], true, "{page}");
    assert!(page.contains("made more than their share: 1"), "{page}");
}

#[test]
fn a_decisive_lane_that_overflows_says_so() {
    let mut core = small_core();
    let mut records = Vec::new();
    for ms in 0..1_000 {
        let clean = process(5_000 + u32::try_from(ms).unwrap(), "clean", one_of_many(ms));
        records.push(about(clean, ms, Event::Exit(exit(0))));
    }
    take(&mut core, &records);
    let (report, page) = report(&mut core, 1_001);
    let evicted = row(&report, "exit")["evicted"].as_u64().unwrap();
    assert!(evicted > 500, "{evicted}");
    assert_eq!(
        row(&report, "exit")["recorded"],
        1_001,
        "evicted is not unrecorded"
    );
    let note = "records were evicted by a byte cap before their time";
    assert!(page.contains(note), "{page}");
    // What is gone may have been about this death: nothing may be said to be all there.
    assert_eq!(report["completeness"]["complete"], false, "{page}");
    assert!(page.contains("decisive records may be missing"), "{page}");
    let start = report["completeness"]["decisive_start"].as_str().unwrap();
    assert!(start > "2026-03-04T05:06:07.5Z", "{start}");
}

#[test]
fn evictions_of_long_ago_do_not_make_a_window_less_than_whole() {
    let mut core = small_core();
    for ms in 0..1_000 {
        take(
            &mut core,
            &[about(
                process(5_000, "clean", OTHER),
                ms,
                Event::Exit(exit(0)),
            )],
        );
    }
    for second in 2..200 {
        take(
            &mut core,
            &[about(
                process(5_001, "clean", OTHER),
                second * 1_000,
                Event::Exit(exit(0)),
            )],
        );
    }
    let (report, page) = report(&mut core, 200_000);
    assert!(row(&report, "exit")["evicted"].as_u64().unwrap() > 500);
    assert_eq!(report["completeness"]["complete"], true, "{page}");
}

#[test]
fn a_death_whose_records_are_gone_is_told_as_unknown() {
    let mut core = small_core();
    take(
        &mut core,
        &death_by(victim(), 0, signal(0, killer(), SIGKILL, SI_USER)),
    );
    for ms in 10..1_500 {
        take(
            &mut core,
            &[about(
                process(5_000, "clean", one_of_many(ms)),
                ms,
                Event::Exit(exit(0)),
            )],
        );
    }
    let told = core.turn(at(2_500), wall(), false);
    assert_eq!(told.len(), 1);
    let (report, page) = (document(&told[0]), text(&told[0]));
    assert_eq!(report["verdict"]["cause"], "unknown");
    assert_eq!(report["verdict"]["grade"], "unknown");
    assert_eq!(
        report["verdict"]["headline"],
        "how victim (pid 100) ended is not recorded"
    );
    assert_eq!(report["verdict"]["facts"]["pid"], 100);
    assert_eq!(report["completeness"]["complete"], false);
    assert_eq!(report["evidence"], json!([]));
    assert!(!page.contains("OOM killer"));
    assert_conserved(&report);
}

#[test]
fn records_beyond_a_cgroups_share_are_lost_and_told() {
    let mut core = small_core();
    let flooder = process(90, "flooder", OTHER);
    // Every sixth call is another cgroup's, so that no part of the window is the flooder's alone.
    let among_others = |core: &mut Core, ms: u64| {
        let other = Process {
            cgroup: CgroupId(1_000 + ms),
            ..process(91, "other", OTHER)
        };
        let caller = if ms.is_multiple_of(6) { other } else { flooder };
        take(core, &[failed_call(caller, ms, 2)]);
    };
    for ms in 0..2_000 {
        among_others(&mut core, ms);
    }
    take(&mut core, &[tally(2_000, 2_000, 0, 0)]);
    // It goes on after the kernel counted.
    for ms in 2_001..2_101 {
        among_others(&mut core, ms);
    }
    let (report, page) = report(&mut core, 2_101);
    let row = row(&report, "failed_call");
    assert_eq!(row["attempted"], 2_000);
    assert_eq!(row["in_flight"], 0, "{row}");
    assert!(row["lost"]["share"].as_u64().unwrap() > 100, "{row}");
    // A loss is a record, so that a report knows when it happened.
    let gaps = &report["completeness"]["gaps"];
    assert_eq!(gaps[0]["cause"], "share", "{gaps}");
    let all: u64 = core.ledger().lost[&(Class::FailedCall, LossCause::Share)];
    assert_eq!(gaps[0]["count"], all);
    assert_eq!(core.recorded()[&Class::FailedCall] + all, 2_100);
    assert!(!page.contains("no record was lost"), "{page}");
}
