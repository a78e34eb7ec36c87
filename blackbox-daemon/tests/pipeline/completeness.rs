//! What a report says of what it misses: exact counts by class and cause, evictions, sources that are down.

use blackbox_daemon::record::{
    CgroupId, Class, Event, Gap, Health, KernelTally, LossCause, NodeMemory, Process, Record,
    SourceName, Subject, TallyRow,
};
use blackbox_daemon::recorder::Core;
use blackbox_daemon::report::ClassCount;
use blackbox_daemon::window;
use serde_json::{Value, json};

use super::support::{
    DEMO, OTHER, SETTLE, SI_USER, SIGKILL, about, at, config, core, death_by, exit, failed_call,
    json as document, killer, list, noted, number, process, signal, source, sum, take, text,
    victim, wall,
};

fn gap(class: Class, cause: LossCause, count: u64) -> Gap {
    Gap {
        class,
        cause,
        count,
    }
}

fn tally(ms: u64, attempted: u64, throttled: u64, ring_full: u64) -> Record {
    let row = |class, attempted, throttled, ring_full| TallyRow {
        class,
        attempted,
        throttled,
        ring_full,
    };
    let rows = vec![
        row(Class::FailedCall, attempted, throttled, ring_full),
        row(Class::Exit, 3, 0, 0),
    ];
    noted(Subject::Node, ms, Event::KernelTally(KernelTally { rows }))
}

fn memory(ms: u64) -> Record {
    let memory = NodeMemory {
        total: 1,
        free: 1,
        available: None,
        buffers: 0,
        cached: 0,
        swap_total: 0,
        swap_free: 0,
    };
    noted(Subject::Node, ms, Event::NodeMemory(memory))
}

fn dies(ms: u64) -> Record {
    about(victim(), ms, Event::Exit(exit(SIGKILL)))
}

/// The report about the victim, who dies at `ms`.
fn report(core: &mut Core, ms: u64) -> (Value, String) {
    take(core, &[dies(ms)]);
    let mut told = core.turn(at(ms).plus(SETTLE), wall(), false);
    told.retain(|case| case.incident.process().map(|dead| dead.key) == Some(victim().key));
    assert_eq!(told.len(), 1, "one incident");
    let (report, page) = (document(&told[0]), text(&told[0]));
    assert_conserved(&report);
    (report, page)
}

/// Invariant 8, for every class of a report.
fn assert_conserved(report: &Value) {
    for row in list(&report["completeness"]["classes"]) {
        // A number that is negative is no count: more would have arrived than was made.
        let known = number(&row["recorded"]) + sum(&row["lost"]) + number(&row["in_flight"]);
        assert_eq!(number(&row["attempted"]), known, "{row}");
    }
}

fn row(report: &Value, class: &str) -> Value {
    let classes = list(&report["completeness"]["classes"]);
    let found = classes.iter().find(|row| row["class"] == class);
    found.cloned().unwrap_or(Value::Null)
}

#[test]
fn the_kernels_own_count_is_what_was_attempted() {
    let mut core = core(config());
    let calls: Vec<Record> = (0..10).map(|ms| failed_call(victim(), ms, 2)).collect();
    take(&mut core, &calls);
    // The kernel source counts its losses as gaps too; they are one loss, not two.
    let gaps = vec![
        gap(Class::FailedCall, LossCause::Throttled, 4),
        gap(Class::FailedCall, LossCause::RingFull, 2),
    ];
    core.lose(gaps, at(10), wall());
    take(&mut core, &[tally(11, 17, 4, 2)]);
    let (report, page) = report(&mut core, 20);
    assert_eq!(
        row(&report, "failed_call"),
        json!({
            "class": "failed_call", "attempted": 17, "recorded": 10,
            "lost": {"throttled": 4, "ring_full": 2}, "in_flight": 1, "evicted": 0,
        })
    );
    assert_eq!(
        report["completeness"]["gaps"],
        json!([
            {"class": "failed_call", "cause": "throttled", "count": 4},
            {"class": "failed_call", "cause": "ring_full", "count": 2},
        ])
    );
    assert!(page.contains("LOST: failed_call throttled 4\n"), "{page}");
    assert!(
        page.contains("6 records of the node were lost and counted"),
        "{page}"
    );
    assert!(
        page.contains(
            "COUNTS: failed_call attempted=17 recorded=10 lost=6 in_flight=1 evicted=0\n"
        )
    );
}

#[test]
fn without_a_kernel_count_attempted_is_what_was_offered() {
    let mut core = core(config());
    take(&mut core, &(0..5).map(memory).collect::<Vec<_>>());
    core.lose(
        vec![gap(Class::NodeSample, LossCause::FeedFull, 3)],
        at(5),
        wall(),
    );
    core.lose(
        vec![gap(Class::NodeSample, LossCause::FeedFull, 1)],
        at(6),
        wall(),
    );
    let (report, _) = report(&mut core, 20);
    assert_eq!(
        row(&report, "node_sample"),
        json!({
            "class": "node_sample", "attempted": 9, "recorded": 5,
            "lost": {"feed_full": 4}, "in_flight": 0, "evicted": 0,
        })
    );
    assert_eq!(
        report["completeness"]["gaps"],
        json!([{"class": "node_sample", "cause": "feed_full", "count": 4}])
    );
    // Bulk records cannot change who is to blame.
    assert_eq!(report["completeness"]["complete"], true);
}

#[test]
fn what_was_lost_since_the_kernel_counted_is_not_held_against_its_count() {
    let mut core = core(config());
    take(&mut core, &[failed_call(victim(), 0, 2), tally(1, 1, 0, 0)]);
    core.lose(
        vec![gap(Class::FailedCall, LossCause::FeedFull, 7)],
        at(2),
        wall(),
    );
    let (report, _) = report(&mut core, 20);
    assert_eq!(row(&report, "failed_call")["in_flight"], 0);
    assert_eq!(report["completeness"]["gaps"][0]["count"], 7);
}

#[test]
fn a_loss_of_decisive_records_is_told_and_one_of_long_ago_is_not() {
    for (lost_at, complete) in [(100_000, false), (1_000, true)] {
        let mut core = core(config());
        core.lose(
            vec![gap(Class::Exit, LossCause::FeedFull, 1)],
            at(lost_at),
            wall(),
        );
        let (report, page) = report(&mut core, 100_500);
        assert_eq!(report["completeness"]["complete"], complete, "{lost_at}");
        assert_eq!(page.contains("decisive records may be missing"), !complete);
        assert_eq!(
            row(&report, "exit")["lost"],
            json!({"feed_full": 1}),
            "counted for ever"
        );
    }
}

#[test]
fn a_kernel_source_that_is_not_well_is_named() {
    for health in [
        Health::Failed("no BTF".to_owned()),
        Health::Degraded("hooks missing: oom".to_owned()),
        Health::Disabled("BLACKBOX_EBPF=off".to_owned()),
    ] {
        let mut core = core(config());
        take(&mut core, &[source(1, SourceName::Ebpf, health.clone())]);
        let (report, page) = report(&mut core, 20);
        assert_eq!(report["completeness"]["complete"], false, "{health:?}");
        assert!(page.contains("SOURCE: ebpf "), "{page}");
        let why = report["completeness"]["sources"][0]["why"]
            .as_str()
            .unwrap();
        assert!(page.contains(why), "{page}");
    }
}

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
fn a_window_that_does_not_reach_back_is_not_whole() {
    let mut core = core(config());
    let dies = |pid, ms| about(process(pid, "same", DEMO), ms, Event::Exit(exit(SIGKILL)));
    let mut told = Vec::new();
    for second in 1..=132 {
        let clean = process(5_000, "clean", OTHER);
        take(
            &mut core,
            &[about(clean, second * 1_000, Event::Exit(exit(0)))],
        );
        match second {
            70 => take(&mut core, &[dies(101, 70_000)]),
            75 => take(&mut core, &[dies(102, 75_000)]),
            _ => at(0),
        };
        told.extend(core.turn(at(second * 1_000), wall(), false));
    }
    // The first was told at once; the second was held back, and its minute has gone meanwhile.
    let complete = |index: usize| document(&told[index])["completeness"]["complete"] == true;
    assert_eq!(told.len(), 2);
    assert_eq!(
        (complete(0), complete(1)),
        (true, false),
        "{}",
        text(&told[1])
    );
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

#[test]
fn rows_of_a_ledger_are_the_reports() {
    let mut core = core(config());
    take(
        &mut core,
        &[memory(1), failed_call(process(90, "x", DEMO), 2, 2)],
    );
    let rows: Vec<(Class, u64)> = core
        .ledger()
        .rows()
        .iter()
        .map(|row: &ClassCount| (row.class, row.attempted))
        .collect();
    assert_eq!(rows, [(Class::FailedCall, 1), (Class::NodeSample, 1)]);
}
