//! From triggers to incidents: what joins, what repeats, what is held back, and that nobody is forgotten.

use blackbox_daemon::incident::MAX_OPEN;
use blackbox_daemon::record::{CgroupId, Event, Exec, Exit, Process, ProcessKey, Record, Subject};
use blackbox_daemon::report::case::Case;
use serde_json::json;

use super::support::{
    DEMO, INTERVAL, MIB, OTHER, SETTLE, SI_KERNEL, SI_USER, SIGKILL, SIGSEGV, about, at, cases,
    config, core, death_by, deaths_told, exit, json, killer, level, main_exit, oom, oom_death,
    process, report, sent, shell, signal, take, text, victim, wall,
};

fn crash(pid: u32, ms: u64) -> Record {
    let process = process(pid, "crasher", DEMO);
    about(process, ms, Event::Exit(exit(SIGSEGV)))
}

/// Feeds one crash every `every` ms, with a turn every 50 ms until `until`.
fn crashes(count: u32, every: u64, until: u64) -> (Vec<Case>, Vec<Case>) {
    let mut core = core(config());
    let mut due: Vec<Record> = (0..count)
        .map(|number| crash(200 + number, u64::from(number) * every))
        .rev()
        .collect();
    let mut told = Vec::new();
    for ms in (0..=until).step_by(50) {
        while due.last().is_some_and(|record| record.at <= at(ms)) {
            take(&mut core, &due.pop().into_iter().collect::<Vec<_>>());
        }
        told.extend(core.turn(at(ms), wall(), false));
    }
    assert!(due.is_empty());
    let at_end = core.turn(at(until), wall(), true);
    (told, at_end)
}

#[test]
fn twenty_equal_deaths_at_once_are_one_report() {
    let (told, at_end) = crashes(20, 10, 3_000);
    assert_eq!((told.len(), at_end.len()), (1, 0));
    assert_eq!(told[0].incident.repeats, 19);
    assert_eq!(json(&told[0])["incident"]["repeats"], 19);
    assert!(text(&told[0]).contains("REPEATS: 19\n"));
}

#[test]
fn deaths_held_back_are_told_when_the_interval_is_over() {
    let (told, at_end) = crashes(20, 1_000, 63_000);
    assert_eq!((told.len(), at_end.len()), (2, 0));
    assert_eq!(deaths_told(&told), 20);
    let late = &told[1];
    assert_eq!(late.incident.opened, at(0).plus(INTERVAL));
    let latest = late.incident.process().map(|dead| dead.key.tgid);
    assert_eq!(latest, Some(219), "the latest speaks");
    assert_eq!(json(late)["verdict"]["facts"]["pid"], 219);
    assert_eq!(json(late)["verdict"]["cause"], "unknown");
}

#[test]
fn deaths_held_back_are_told_at_the_end() {
    let (told, at_end) = crashes(20, 1_000, 20_000);
    assert_eq!((told.len(), at_end.len()), (1, 1));
    assert_eq!(deaths_told(&told) + deaths_told(&at_end), 20);
}

#[test]
fn a_story_that_goes_on_for_minutes_is_told_once_a_minute() {
    let (told, at_end) = crashes(20, 12_345, 245_000);
    assert_eq!(deaths_told(&told) + deaths_told(&at_end), 20);
    assert!(
        (4..=6).contains(&(told.len() + at_end.len())),
        "{}",
        told.len()
    );
}

#[test]
fn more_different_deaths_than_can_be_open_are_all_counted() {
    let records: Vec<Record> = (0..300)
        .map(|number| {
            let process = process(300 + number, &format!("crasher-{number}"), DEMO);
            about(process, 1, Event::Exit(exit(SIGSEGV)))
        })
        .collect();
    let told = cases(&records);
    assert_eq!(deaths_told(&told), 300);
    assert_eq!(told.len(), MAX_OPEN);
    let last = json(&told[MAX_OPEN - 1]);
    let notes = last["completeness"]["notes"].to_string();
    let crowd = format!("{} deaths of other kinds", 300 - MAX_OPEN);
    assert!(notes.contains(&crowd), "{notes}");
    let ids: std::collections::BTreeSet<String> =
        told.iter().map(|case| case.incident.id()).collect();
    assert_eq!(ids.len(), told.len(), "no id twice");
}

#[test]
fn several_triggers_of_one_death_are_one_incident() {
    let limit = vec![level(DEMO, 64 * MIB, Some(64 * MIB))];
    let cases = cases(&oom_death(victim(), 0, oom(victim(), limit)));
    assert_eq!(cases.len(), 1);
    assert_eq!(
        (cases[0].incident.joined.len(), cases[0].incident.repeats),
        (1, 0)
    );
    assert_eq!(deaths_told(&cases), 1);
}

#[test]
fn a_death_with_several_triggers_is_counted_once_while_it_is_held_back() {
    let mut core = core(config());
    let mut told = Vec::new();
    for number in 0..20 {
        let eater = process(200 + number, "eater", DEMO);
        let limit = vec![level(DEMO, 64 * MIB, Some(64 * MIB))];
        let ms = u64::from(number) * 2_500;
        told.extend(core.turn(at(ms), wall(), false));
        take(&mut core, &oom_death(eater, ms, oom(eater, limit)));
    }
    for ms in [60_000, 62_000, 80_000] {
        told.extend(core.turn(at(ms), wall(), false));
    }
    assert_eq!(told.len(), 2);
    assert_eq!(deaths_told(&told), 20);
    assert_eq!(json(&told[1])["verdict"]["grade"], "proven");
    assert_eq!(told[1].closed, at(62_000), "nothing more is waited for");
}

#[test]
fn a_death_with_several_triggers_repeats_an_open_incident_once() {
    let mut core = core(config());
    let uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    for number in 0..3_u64 {
        let id = CgroupId(100 + number);
        let made = Record {
            at: at(number),
            subject: Subject::Cgroup(id),
            event: Event::CgroupCreated {
                path: format!("/kubepods/burstable/pod{uid}/{number:064x}"),
            },
        };
        let eater = process(100 + u32::try_from(number).unwrap(), "app", id);
        let limit = vec![level(id, 64 * MIB, Some(64 * MIB))];
        take(&mut core, &[made]);
        take(&mut core, &oom_death(eater, number, oom(eater, limit)));
    }
    let told = core.turn(at(10).plus(SETTLE), wall(), false);
    assert_eq!(deaths_told(&told), 3);
}

#[test]
fn oom_kills_of_one_cgroup_join_and_of_two_do_not() {
    let dies = |pid, cgroup| {
        let process = process(pid, "eater", cgroup);
        let levels = vec![level(cgroup, 64 * MIB, Some(64 * MIB))];
        oom_death(process, u64::from(pid) % 10, oom(process, levels))
    };
    let same: Vec<Record> = [dies(101, DEMO), dies(102, DEMO), dies(103, DEMO)].concat();
    assert_eq!(
        report(&same)["incident"]["context"]["also_killed_pids"],
        json!([102, 103])
    );
    let two: Vec<Record> = [dies(101, DEMO), dies(102, OTHER)].concat();
    assert_eq!(cases(&two).len(), 2);
}

/// What the kernel does to `process` when pid 1 of its pid namespace dies: SIGKILL in that one's context.
fn dragged(process: Process, ms: u64, by: Process) -> Vec<Record> {
    death_by(process, ms, signal(ms, by, SIGKILL, SI_KERNEL))
}

#[test]
fn who_is_dragged_along_with_pid_1_joins_its_incident() {
    let main = process(100, "main", DEMO);
    let mut records = vec![about(main, 0, Event::Exit(main_exit(1)))];
    for pid in 101..=103 {
        records.extend(dragged(process(pid, "worker", DEMO), 1, main));
    }
    let joined = report(&records);
    assert_eq!(joined["verdict"]["cause"], "exit_code");
    assert_eq!(joined["incident"]["repeats"], 0);
    let also = &joined["incident"]["context"]["also_killed_pids"];
    assert_eq!(*also, json!([101, 102, 103]));

    // The kernel killed this one in somebody else's context.
    records.extend(dragged(process(104, "worker", DEMO), 1, killer()));
    let told = cases(&records);
    assert_eq!(told.len(), 2);
    assert_eq!(json(&told[1])["verdict"]["cause"], "kernel_signal");
}

#[test]
fn who_is_left_when_pid_1_ends_well_is_no_incident() {
    let main = process(100, "main", DEMO);
    let mut records = vec![about(main, 0, Event::Exit(main_exit(0)))];
    for pid in 101..=103 {
        let mut death = dragged(process(pid, "worker", DEMO), 1, main);
        for record in &mut death {
            if let Event::Exit(exit) = &mut record.event {
                exit.ns_level = 1;
            }
        }
        records.extend(death);
    }
    assert!(cases(&records).is_empty());
}

fn born(pid: u32, start: u64, comm: &str) -> Process {
    Process {
        key: ProcessKey {
            tgid: pid,
            start: at(start),
        },
        ..process(pid, comm, DEMO)
    }
}

fn runs(process: Process, ms: u64, exe: &str) -> Record {
    let exec = Exec {
        parent: shell(),
        exe: exe.to_owned(),
    };
    about(process, ms, Event::Exec(exec))
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let (first, second) = (born(100, 0, "first"), born(100, 500, "second"));
    let mut records = vec![runs(first, 1, "/bin/first")];
    records.extend(death_by(
        first,
        100,
        signal(100, killer(), SIGKILL, SI_USER),
    ));
    records.push(runs(second, 501, "/bin/second"));
    // Nobody was seen killing this one.
    records.push(about(second, 600, Event::Exit(exit(SIGKILL))));
    let told = cases(&records);
    assert_eq!(told.len(), 2, "two deaths");
    assert_ne!(told[0].incident.id(), told[1].incident.id());

    let (one, two) = (json(&told[0]), json(&told[1]));
    assert_eq!(one["verdict"]["cause"], "killed_by_signal");
    assert_eq!(one["verdict"]["facts"]["exe"], "/bin/first");
    assert_eq!(one["verdict"]["facts"]["run_time_seconds"], 0.101);
    assert_eq!(two["verdict"]["cause"], "unknown");
    assert_eq!(two["verdict"]["facts"]["exe"], "/bin/second");
    assert_eq!(two["verdict"]["facts"]["run_time_seconds"], 0.1);
    assert_eq!(two["verdict"]["facts"]["sender_pid"], json!(null));
}

#[test]
fn a_parent_is_not_a_later_process_with_its_pid() {
    let (parent, later) = (born(50, 0, "parent"), born(50, 300, "later"));
    let worker = process(101, "worker", DEMO);
    let levels = vec![level(DEMO, 64 * MIB, Some(64 * MIB))];
    let mut records = oom_death(worker, 0, oom(worker, levels));
    if let Event::Exit(exit) = &mut records[2].event {
        exit.parent = parent;
    }
    records.push(about(later, 400, Event::Exit(exit(0))));
    assert_eq!(report(&records)["verdict"]["facts"]["parent_alive"], true);
}

#[test]
fn what_is_no_death_worth_telling_opens_nothing() {
    let found_dying = blackbox_daemon::record::Oom {
        killed: false,
        ..oom(victim(), vec![])
    };
    let not_main = exit(1 << 8);
    let clean = Exit { ..main_exit(0) };
    for event in [
        Event::Oom(found_dying),
        Event::Exit(not_main),
        Event::Exit(clean),
        Event::Exit(exit(2)),
    ] {
        assert_eq!(
            cases(&[about(victim(), 0, event.clone())]).len(),
            0,
            "{event:?}"
        );
    }
    let handled = sent(victim(), 0, signal(0, killer(), 15, SI_USER), false);
    assert_eq!(cases(&[handled]).len(), 0);
}

#[test]
fn an_incident_settles_before_it_is_told() {
    let mut core = core(config());
    take(&mut core, &[crash(100, 0)]);
    let before = at(0).plus(SETTLE).minus(std::time::Duration::from_nanos(1));
    assert_eq!(core.turn(before, wall(), false).len(), 0);
    assert_eq!(core.turn(at(0).plus(SETTLE), wall(), false).len(), 1);
    assert_eq!(core.turn(at(9_000), wall(), true).len(), 0);
}

#[test]
fn the_story_of_a_restarted_container_is_its_pods() {
    let uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    let mut core = core(config());
    for number in 0..2_u64 {
        let id = CgroupId(100 + number);
        let path = format!("/kubepods/burstable/pod{uid}/{number:064x}");
        let made = Record {
            at: at(number),
            subject: Subject::Cgroup(id),
            event: Event::CgroupCreated { path },
        };
        let pid = 100 + u32::try_from(number).unwrap();
        let dies = about(process(pid, "app", id), number, Event::Exit(main_exit(1)));
        take(&mut core, &[made, dies]);
    }
    let told = core.turn(at(1).plus(SETTLE), wall(), false);
    assert_eq!(told.len(), 1);
    let report = json(&told[0]);
    assert_eq!(report["incident"]["repeats"], 1);
    assert_eq!(report["pod"]["uid"], uid);
    assert_eq!(report["incident"]["container_id"], format!("{:064x}", 0));
}
