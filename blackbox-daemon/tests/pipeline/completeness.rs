//! What a report says of what it misses: exact counts by class and cause, evictions, sources that are down.

use blackbox_daemon::record::{
    Class, Event, Gap, Health, KernelTally, LossCause, NodeMemory, Record, SourceName, Subject,
    TallyRow,
};
use blackbox_daemon::recorder::Core;
use blackbox_daemon::report::ClassCount;
use serde_json::{Value, json};

use super::support::{
    DEMO, OTHER, SETTLE, SIGKILL, about, at, config, core, exit, failed_call, json as document,
    list, noted, number, process, source, sum, take, text, victim, wall,
};

pub(crate) fn gap(class: Class, cause: LossCause, count: u64) -> Gap {
    Gap {
        class,
        cause,
        count,
    }
}

pub(crate) fn tally(ms: u64, attempted: u64, throttled: u64, ring_full: u64) -> Record {
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

pub(crate) fn memory(ms: u64) -> Record {
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

pub(crate) fn dies(ms: u64) -> Record {
    about(victim(), ms, Event::Exit(exit(SIGKILL)))
}

/// The report about the victim, who dies at `ms`.
pub(crate) fn report(core: &mut Core, ms: u64) -> (Value, String) {
    take(core, &[dies(ms)]);
    let mut told = core.turn(at(ms).plus(SETTLE), wall(), false);
    told.retain(|case| case.incident.process().map(|dead| dead.key) == Some(victim().key));
    assert_eq!(told.len(), 1, "one incident");
    let (report, page) = (document(&told[0]), text(&told[0]));
    assert_conserved(&report);
    (report, page)
}

/// Invariant 8, for every class of a report.
pub(crate) fn assert_conserved(report: &Value) {
    for row in list(&report["completeness"]["classes"]) {
        // A number that is negative is no count: more would have arrived than was made.
        let known = number(&row["recorded"]) + sum(&row["lost"]) + number(&row["in_flight"]);
        assert_eq!(number(&row["attempted"]), known, "{row}");
    }
}

pub(crate) fn row(report: &Value, class: &str) -> Value {
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
