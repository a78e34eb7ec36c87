//! What the window promises, over random records: caps, lanes, retention, slices, ids, shares.

use std::time::Duration;

use blackbox_daemon::record::{
    BootTime, CallCounts, CgroupId, Comm, Event, Exec, FailedCall, LaneName, Process, ProcessKey,
    Record, RecordId, Subject,
};
use blackbox_daemon::window::{Appended, Config, Slice, Window};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

const LANES: [LaneName; 2] = [LaneName::Decisive, LaneName::Bulk];
const MS: u64 = 1_000_000;
const RETENTION: Duration = Duration::from_secs(10);
const AGE: Duration = Duration::from_secs(1);
/// How late a record may arrive.
const LATE: Duration = Duration::from_secs(2);
const CAP: usize = 16 << 10;
const FOREVER: BootTime = BootTime(u64::MAX);

/// Small enough that a few hundred records overflow it.
fn tight() -> Config {
    Config {
        retention: RETENTION,
        decisive_bytes: CAP,
        bulk_bytes: CAP,
        segment_bytes: 1 << 10,
        segment_age: AGE,
        bulk_share_percent: 50,
    }
}

/// Segments as small, and room for every record of a test.
fn roomy() -> Config {
    Config {
        decisive_bytes: 16 << 20,
        bulk_bytes: 16 << 20,
        ..tight()
    }
}

/// One record to come: how long after the newest, how late, whose, and what.
#[derive(Clone, Debug)]
struct Step {
    gap_ms: u64,
    late_ms: u64,
    cgroup: u64,
    kind: u8,
    size: usize,
}

fn steps(most: usize, gap_ms: u64) -> impl Strategy<Value = Vec<Step>> {
    let late = LATE.as_millis() as u64;
    let step = (0..=gap_ms, 0..=late, 0..6_u64, 0..4_u8, 0..40_usize);
    vec(
        step.prop_map(|(gap_ms, late_ms, cgroup, kind, size)| Step {
            gap_ms,
            late_ms,
            cgroup,
            kind,
            size,
        }),
        0..most,
    )
}

/// The records of `steps`, from 100 s on, each with the newest time when it arrives.
fn records(steps: &[Step]) -> Vec<(Record, BootTime)> {
    let mut newest = BootTime(100_000 * MS);
    let mut made = Vec::with_capacity(steps.len());
    for step in steps {
        newest = newest.plus(Duration::from_millis(step.gap_ms));
        // Every second record is on time.
        let late = Duration::from_millis(if step.late_ms % 2 == 0 {
            step.late_ms
        } else {
            0
        });
        let record = Record {
            at: newest.minus(late),
            subject: match step.cgroup {
                0 => Subject::Node,
                id => Subject::Cgroup(CgroupId(id)),
            },
            event: event(step),
        };
        made.push((record, newest));
    }
    made
}

fn event(step: &Step) -> Event {
    match step.kind {
        0 => Event::CgroupCreated {
            path: "x".repeat(step.size * 4),
        },
        1 => Event::Exec(Exec {
            parent: process(step.cgroup),
            exe: "/bin/sh".to_owned(),
        }),
        2 => Event::FailedCall(FailedCall {
            nr: 257,
            errno: 2,
            args: [u64::MAX, 0, 0],
            argument: None,
            compat: false,
        }),
        _ => Event::CallCounts(CallCounts {
            by_errno: vec![(2, 1); step.size],
            ..CallCounts::default()
        }),
    }
}

fn process(cgroup: u64) -> Process {
    Process {
        key: ProcessKey {
            tgid: 4_000_000,
            start: BootTime(77 * MS),
        },
        tid: 1,
        comm: Comm::from_text("postgres"),
        cgroup: CgroupId(cgroup),
    }
}

type Kept = (RecordId, Record);

/// Appends all of them and returns what was kept.
fn feed(window: &mut Window, records: &[(Record, BootTime)]) -> Vec<Kept> {
    let mut kept = Vec::new();
    for (record, now) in records {
        if let Appended::Kept(id) = window.append(record, *now) {
            kept.push((id, record.clone()));
        }
    }
    kept
}

fn read(slice: &Slice, lane: LaneName) -> Vec<Kept> {
    slice.records(lane).collect()
}

/// In order of arrival: a slice has those of a crowd after the others.
fn held(window: &mut Window, lane: LaneName) -> Vec<Kept> {
    let mut held = read(&window.slice(BootTime(0), FOREVER), lane);
    held.sort_by_key(|(id, _)| *id);
    held
}

/// Those of `kept` in `lane` from `start` to `end`, both included.
fn expected(kept: &[Kept], lane: LaneName, start: BootTime, end: BootTime) -> Vec<Kept> {
    let mine = |(_, record): &&Kept| {
        record.event.class().lane() == lane && record.at >= start && record.at <= end
    };
    kept.iter().filter(mine).cloned().collect()
}

fn newest(records: &[(Record, BootTime)]) -> BootTime {
    let times = records.iter().map(|(record, _)| record.at);
    times.max().unwrap_or_default()
}

proptest! {
    #[test]
    fn caps_hold_after_every_append(steps in steps(600, 20)) {
        let mut window = Window::new(tight());
        for (record, now) in records(&steps) {
            window.append(&record, now);
            let stats = window.stats();
            prop_assert!(stats.decisive.bytes <= CAP, "{}", stats.decisive.bytes);
            prop_assert!(stats.bulk.bytes <= CAP, "{}", stats.bulk.bytes);
        }
    }

    #[test]
    fn a_flood_of_bulk_changes_nothing_in_the_decisive_lane(
        steps in steps(200, 200),
        flood in steps(200, 0),
    ) {
        let (mut quiet, mut flooded) = (Window::new(tight()), Window::new(tight()));
        let bulk: Vec<_> = records(&flood)
            .into_iter()
            .filter(|(record, _)| record.event.class().lane() == LaneName::Bulk)
            .collect();
        let mut newest = BootTime(0);
        for (index, (record, now)) in records(&steps).into_iter().enumerate() {
            if record.event.class().lane() == LaneName::Bulk {
                continue;
            }
            newest = newest.max(record.at);
            quiet.append(&record, now);
            flooded.append(&record, now);
            for (record, _) in bulk.iter().skip(index) {
                flooded.append(&Record { at: newest, ..record.clone() }, now);
            }
            prop_assert_eq!(quiet.stats().decisive, flooded.stats().decisive);
        }
        let records = |kept: Vec<Kept>| kept.into_iter().map(|(_, record)| record).collect::<Vec<_>>();
        prop_assert_eq!(
            records(held(&mut quiet, LaneName::Decisive)),
            records(held(&mut flooded, LaneName::Decisive))
        );
    }

    #[test]
    fn retention_follows_the_newest_record(steps in steps(300, 300)) {
        let mut window = Window::new(roomy());
        let records = records(&steps);
        let kept = feed(&mut window, &records);
        prop_assert_eq!(kept.len(), records.len());
        let cutoff = newest(&records).minus(RETENTION);
        for lane in LANES {
            let held = held(&mut window, lane);
            let young = expected(&held, lane, cutoff, FOREVER);
            prop_assert_eq!(young, expected(&kept, lane, cutoff, FOREVER), "nothing young is missing");
            // A segment spans its age, and a late record waits for the segments before it.
            let oldest = cutoff.minus(AGE).minus(LATE);
            prop_assert!(held.iter().all(|(_, record)| record.at >= oldest));
        }
        let stats = window.stats();
        prop_assert_eq!(stats.decisive.evicted.total() + stats.bulk.evicted.total(), 0);
    }

    #[test]
    fn an_outage_empties_nothing(steps in steps(200, 50)) {
        let mut window = Window::new(roomy());
        let records = records(&steps);
        feed(&mut window, &records);
        let before = LANES.map(|lane| held(&mut window, lane));
        // A day later, a record that was stuck on its way arrives.
        let newest = newest(&records);
        let late = Record {
            at: newest,
            subject: Subject::Node,
            event: Event::CgroupRemoved { path: String::new() },
        };
        window.append(&late, newest.plus(Duration::from_secs(86_400)));
        let [mut decisive, bulk] = LANES.map(|lane| held(&mut window, lane));
        decisive.pop();
        prop_assert_eq!([decisive, bulk], before);
    }

    #[test]
    fn a_slice_has_all_within_its_bounds_and_nothing_else(
        steps in steps(300, 40),
        from_ms in 98_000..112_000_u64,
        span_ms in 0..6_000_u64,
    ) {
        let mut window = Window::new(roomy());
        let records = records(&steps);
        let kept = feed(&mut window, &records);
        let start = BootTime(from_ms * MS).max(newest(&records).minus(RETENTION));
        let end = start.plus(Duration::from_millis(span_ms));
        let slice = window.slice(start, end);
        for lane in LANES {
            prop_assert_eq!(read(&slice, lane), expected(&kept, lane, start, end));
        }
        prop_assert_eq!(slice.malformed(), 0);
    }

    #[test]
    fn ids_are_one_two_three_and_each_lane_is_in_order(steps in steps(600, 20)) {
        let mut window = Window::new(tight());
        let kept = feed(&mut window, &records(&steps));
        let ids: Vec<u64> = kept.iter().map(|(id, _)| id.0).collect();
        prop_assert_eq!(ids, (1..=kept.len() as u64).collect::<Vec<_>>());
        let all = LANES.map(|lane| expected(&kept, lane, BootTime(0), FOREVER));
        let [decisive, bulk] = LANES.map(|lane| held(&mut window, lane));
        prop_assert!(all[1].ends_with(&bulk), "what is held is the newest part, unchanged");
        prop_assert!(decisive.iter().all(|one| all[0].contains(one)), "unchanged");
        let slice = window.slice(BootTime(0), FOREVER);
        let gone = slice.decisive_gone_to.unwrap_or_default();
        let whole = |(_, record): &&Kept| {
            let cgroup = record.subject.cgroup();
            record.at > gone && cgroup.is_none_or(|id| !slice.crowd_gone_to.contains_key(&id))
        };
        prop_assert!(all[0].iter().filter(whole).all(|one| decisive.contains(one)), "and nothing else has gone");
    }

    #[test]
    fn a_slice_reads_the_same_whatever_comes_after(before in steps(300, 20), after in steps(600, 20)) {
        let mut window = Window::new(tight());
        feed(&mut window, &records(&before));
        let slice = window.slice(BootTime(0), FOREVER);
        let first = LANES.map(|lane| read(&slice, lane));
        feed(&mut window, &records(&after));
        window.slice(BootTime(0), FOREVER);
        prop_assert_eq!(LANES.map(|lane| read(&slice, lane)), first);
    }

    #[test]
    fn what_was_kept_is_held_or_counted(steps in steps(900, 5)) {
        // At most 4.5 s in all, so nothing goes by age.
        let mut window = Window::new(tight());
        let kept = feed(&mut window, &records(&steps));
        let stats = window.stats();
        let held = stats.decisive.records + stats.bulk.records;
        let evicted = stats.decisive.evicted.total() + stats.bulk.evicted.total();
        prop_assert_eq!(kept.len() as u64, held + evicted);
    }

    /// While the others hold well under what the share leaves them, a flood of calls evicts none of theirs, keeps
    /// none of theirs out, and keeps its own newest.
    #[test]
    fn a_flooder_evicts_nothing_of_others(others in steps(100, 1), flood in steps(900, 5)) {
        let mut window = Window::new(tight());
        let calls = records(&others).into_iter().filter(|(record, _)| {
            record.subject != Subject::Node && matches!(record.event, Event::FailedCall(_))
        });
        let mut calls: Vec<_> = calls.collect();
        let kept = feed(&mut window, &calls);
        prop_assert_eq!(kept.len(), calls.len());
        let mut newest = None;
        for (record, now) in records(&flood) {
            if !matches!(record.event, Event::FailedCall(_)) {
                continue;
            }
            let subject = Subject::Cgroup(CgroupId(99));
            let record = Record { subject, ..record };
            if let Appended::Kept(id) = window.append(&record, now) {
                newest = Some((id, record));
            }
        }
        if let Some(newest) = newest {
            prop_assert!(held(&mut window, LaneName::Bulk).contains(&newest));
        }
        let mut held = held(&mut window, LaneName::Bulk);
        held.retain(|(_, record)| record.subject.cgroup() != Some(CgroupId(99)));
        prop_assert_eq!(held, kept);
        calls.truncate(1);
        prop_assert_eq!(feed(&mut window, &calls).len(), calls.len());
    }
}
