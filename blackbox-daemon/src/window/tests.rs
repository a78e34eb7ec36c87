//! The window at its edges; its promises over random records are in `tests/window.rs`.

use super::*;
use crate::record::{
    CallCounts, CgroupId, Class, Comm, Event, Exec, FailedCall, NodeMemory, Process, ProcessKey,
    Subject,
};

const SECOND: u64 = 1_000_000_000;

fn death(seconds: u64) -> Record {
    let path = "/kubepods/pod1/c1".to_owned();
    Record {
        at: BootTime(seconds * SECOND),
        subject: Subject::Cgroup(CgroupId(1)),
        event: Event::CgroupRemoved { path },
    }
}

fn bulk(seconds: u64, cgroup: u64) -> Record {
    Record {
        at: BootTime(seconds * SECOND),
        subject: Subject::Cgroup(CgroupId(cgroup)),
        event: Event::CallCounts(CallCounts {
            by_errno: vec![(2, 1); 20],
            ..CallCounts::default()
        }),
    }
}

fn small() -> Config {
    Config {
        bulk_bytes: 64 << 10,
        decisive_bytes: 64 << 10,
        segment_bytes: 2 << 10,
        ..Config::default()
    }
}

fn append(window: &mut Window, record: &Record) -> Appended {
    window.append(record, record.at)
}

fn everything(window: &mut Window, lane: LaneName) -> Vec<Record> {
    let slice = window.slice(BootTime(0), BootTime(u64::MAX));
    slice.records(lane).map(|(_, record)| record).collect()
}

#[test]
fn ids_count_over_both_lanes() {
    let mut window = Window::new(Config::default());
    assert_eq!(append(&mut window, &death(1)), Appended::Kept(RecordId(1)));
    assert_eq!(
        append(&mut window, &bulk(1, 7)),
        Appended::Kept(RecordId(2))
    );
    assert_eq!(append(&mut window, &death(1)), Appended::Kept(RecordId(3)));
}

#[test]
fn an_empty_window_gives_an_empty_slice() {
    let mut window = Window::new(Config::default());
    let slice = window.slice(BootTime(0), BootTime(u64::MAX));
    assert_eq!(slice.decisive_start, None);
    assert_eq!(slice.bulk_start, None);
    assert!(slice.decisive.is_empty() && slice.bulk.is_empty());
    assert_eq!(window.stats(), Stats::default());
}

#[test]
fn a_slice_takes_the_segments_it_needs_and_no_others() {
    let mut window = Window::new(Config::default());
    for second in 1..=9 {
        append(&mut window, &death(second));
    }
    let (second, sixth) = (BootTime(2 * SECOND), BootTime(6 * SECOND));
    assert_eq!(window.slice(second, sixth).decisive.len(), 5);
    let instant = window.slice(sixth, sixth);
    assert_eq!(instant.records(LaneName::Decisive).count(), 1);
}

#[test]
fn the_lane_that_rests_ages_with_the_other() {
    let mut window = Window::new(Config::default());
    append(&mut window, &death(1));
    append(&mut window, &bulk(63, 7));
    assert_eq!(window.stats().decisive.records, 1);
    append(&mut window, &bulk(64, 7));
    let stats = window.stats();
    assert_eq!(stats.decisive.records, 0);
    assert_eq!(stats.decisive.evicted.total(), 0, "age is no loss");
    assert_eq!(stats.decisive.sealed, 1);
}

#[test]
fn a_record_from_the_future_empties_nothing_and_ages_like_any_other() {
    let mut window = Window::new(Config::default());
    for second in 1..=10 {
        append(&mut window, &death(second));
    }
    let now = BootTime(11 * SECOND);
    window.append(&death(1_000_000), now);
    assert_eq!(window.stats().decisive.records, 11);
    // It counts as made at 11 s, so it goes after 73 s and does not hold up those behind it.
    for second in 12..=80 {
        append(&mut window, &death(second));
    }
    let held = everything(&mut window, LaneName::Decisive);
    assert_eq!(
        held.first().map(|record| record.at),
        Some(BootTime(18 * SECOND))
    );
    assert_eq!(held.len(), 63);
}

#[test]
fn a_stray_old_record_does_not_make_the_lane_look_whole() {
    let mut window = Window::new(Config::default());
    for second in 1..=100 {
        append(&mut window, &death(second));
    }
    window.append(&death(2), BootTime(100 * SECOND));
    let slice = window.slice(BootTime(0), BootTime(u64::MAX));
    assert_eq!(slice.decisive_start, Some(BootTime(37 * SECOND)));
}

#[test]
fn a_record_larger_than_a_segment_gets_its_own_and_one_larger_than_the_lane_is_shed() {
    let mut window = Window::new(small());
    let mut large = death(1);
    append(&mut window, &large);
    large.event = Event::CgroupRemoved {
        path: "x".repeat(10_000),
    };
    assert_eq!(append(&mut window, &large), Appended::Kept(RecordId(2)));
    append(&mut window, &death(1));
    let held = everything(&mut window, LaneName::Decisive);
    assert_eq!(held, [death(1), large.clone(), death(1)]);
    large.event = Event::CgroupRemoved {
        path: "x".repeat(70_000),
    };
    assert_eq!(append(&mut window, &large), Appended::Shed);
    assert_eq!(append(&mut window, &death(1)), Appended::Kept(RecordId(4)));
    assert_eq!(window.stats().decisive.evicted.total(), 0);
}

/// The `n`th failing call of a process of this cgroup.
fn call(n: u64, cgroup: u64) -> Record {
    let key = ProcessKey {
        tgid: 1,
        start: BootTime(0),
    };
    let process = Process {
        key,
        tid: 1,
        comm: Comm::from_text("x"),
        cgroup: CgroupId(cgroup),
    };
    let call = FailedCall {
        nr: 1,
        errno: 2,
        args: [n, 0, 0],
        argument: None,
        compat: false,
    };
    Record {
        at: BootTime(SECOND + n),
        subject: Subject::Process(process),
        event: Event::FailedCall(call),
    }
}

#[test]
#[cfg_attr(miri, ignore = "a flood takes an interpreter minutes")]
fn a_flooder_keeps_its_newest_calls_and_all_its_counts() {
    let mut window = Window::new(small());
    append(&mut window, &bulk(1, 7));
    for n in 0..5_000 {
        assert_ne!(append(&mut window, &call(n, 7)), Appended::Shed);
    }
    let stats = window.stats().bulk;
    assert!(stats.bytes <= 64 << 10);
    assert!(stats.bytes > (64 << 10) * 7 / 10, "most of it is used");
    assert_eq!(stats.records + stats.evicted.total(), 5_001);
    assert_eq!(stats.evicted.of(Class::CallCounts), 0);
    let slice = window.slice(BootTime(0), BootTime(u64::MAX));
    let held: Vec<Record> = slice
        .records(LaneName::Bulk)
        .map(|(_, record)| record)
        .collect();
    assert_eq!(held.first(), Some(&bulk(1, 7)));
    assert_eq!(held.last(), Some(&call(4_999, 7)));
    let lost_to = slice.own_gone_to[&CgroupId(7)];
    assert!(
        lost_to > call(1_000, 7).at && lost_to < call(4_999, 7).at,
        "{lost_to:?}"
    );
    assert_eq!(
        slice.bulk_start,
        Some(BootTime(SECOND)),
        "nobody else lost anything"
    );
}

#[test]
#[cfg_attr(miri, ignore = "a flood takes an interpreter minutes")]
fn a_flooder_without_a_segment_for_itself_is_shed_and_others_come_in() {
    let mut window = Window::new(small());
    let mut shed = 0;
    for n in 0..2_000 {
        shed += u64::from(append(&mut window, &call(n, 7)) == Appended::Shed);
        if n % 4 == 0 {
            assert_ne!(append(&mut window, &call(n, 100 + n)), Appended::Shed);
        }
    }
    assert!(shed > 0, "its records lie among others'");
    let memory = NodeMemory {
        total: 1,
        free: 1,
        available: None,
        buffers: 0,
        cached: 0,
        swap_total: 0,
        swap_free: 0,
    };
    let record = Record {
        at: BootTime(SECOND),
        subject: Subject::Node,
        event: Event::NodeMemory(memory),
    };
    assert_ne!(append(&mut window, &record), Appended::Shed);
    assert_ne!(
        append(&mut window, &bulk(1, 7)),
        Appended::Shed,
        "counts always come in"
    );
}

/// Of records into windows that are far too small; an interpreter takes seconds for each.
const ROUNDS: u64 = if cfg!(miri) { 10 } else { 200 };

#[test]
fn any_config_holds() {
    for bytes in [0, 1, 100, 1_000, 5_000] {
        let mut window = Window::new(Config {
            retention: Duration::ZERO,
            decisive_bytes: bytes,
            bulk_bytes: bytes,
            segment_bytes: bytes * 2,
            segment_age: Duration::ZERO,
            bulk_share_percent: 255,
        });
        for second in 0..ROUNDS {
            append(&mut window, &death(second / 2));
            append(&mut window, &bulk(second / 2, second % 3));
            let stats = window.stats();
            assert!(stats.decisive.bytes <= bytes && stats.bulk.bytes <= bytes);
        }
        window.slice(BootTime(0), BootTime(u64::MAX));
    }
}

/// A process of `cgroup` that runs a program.
fn run(millis: u64, cgroup: u64) -> Record {
    let process = Process {
        key: ProcessKey {
            tgid: 7,
            start: BootTime(1),
        },
        tid: 7,
        comm: Comm::from_text("sh"),
        cgroup: CgroupId(cgroup),
    };
    Record {
        at: BootTime(millis * SECOND / 1_000),
        subject: Subject::Process(process),
        event: Event::Exec(Exec {
            parent: process,
            exe: "/bin/sh".to_owned(),
        }),
    }
}

#[test]
#[cfg_attr(miri, ignore = "a flood takes an interpreter minutes")]
fn a_storm_of_one_cgroup_evicts_no_decisive_record_of_another() {
    let mut window = Window::new(small());
    for at in 0..4_000 {
        append(&mut window, &run(at, 9));
        if at % 40 == 0 {
            append(&mut window, &run(at, 1));
        }
    }
    let stats = window.stats().decisive;
    assert!(stats.bytes <= small().decisive_bytes, "{stats:?}");
    assert!(stats.evicted.of(Class::Exec) > 2_000, "{stats:?}");
    let slice = window.slice(BootTime(0), BootTime(u64::MAX));
    assert_eq!(slice.decisive_gone_to, None);
    let lost: Vec<CgroupId> = slice.crowd_gone_to.keys().copied().collect();
    assert_eq!(lost, [CgroupId(9)]);
    let of = |cgroup| {
        let records = slice.records(LaneName::Decisive).map(|(_, record)| record);
        let own = records.filter(move |record| record.subject.cgroup() == Some(CgroupId(cgroup)));
        own.map(|record| record.at).collect::<Vec<_>>()
    };
    assert_eq!(of(1).len(), 100);
    // Of the storm, how it began and what came last.
    let storm = of(9);
    assert_eq!(storm.first(), Some(&BootTime(0)));
    assert_eq!(storm.last(), Some(&run(3_999, 9).at));
    assert_eq!(stats.evicted.total() + stats.records, 4_100);
}
