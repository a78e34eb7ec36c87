//! Where the memory was at an OOM kill: the kernel's numbers of the instant, samples from before it, and who is left.

use blackbox_daemon::record::{
    BootTime, CgroupId, CgroupSample, Comm, Event, MemoryUse, Process, ProcessMemory, Record,
    Resident, Subject,
};
use blackbox_daemon::report::format::Format;
use serde_json::{Value, json};

use super::support::{
    DEMO, INNER, MIB, ROOT, about, cases, exit, level, listed, noted, oom, oom_death, process,
    render, report,
};

const LIMIT: u64 = 64 * MIB;
/// When the kill is, milliseconds after the start.
const KILL: u64 = 30_000;

fn sample(cgroup: CgroupId, ms: u64, memory: MemoryUse) -> Record {
    let sample = CgroupSample {
        memory: Some(memory),
        inner: cgroup == DEMO,
        ..CgroupSample::default()
    };
    noted(Subject::Cgroup(cgroup), ms, Event::Cgroup(Box::new(sample)))
}

fn memory(current: u64, anon: u64) -> MemoryUse {
    MemoryUse {
        current,
        max: Some(LIMIT),
        anon: Some(anon),
        file: Some(current - anon),
        ..MemoryUse::default()
    }
}

/// As `/proc` has it: the start cut to 10 ms.
fn resident(process: Process, rss: u64) -> Resident {
    let tick = 10_000_000;
    Resident {
        tgid: process.key.tgid,
        start: BootTime(process.key.start.0 / tick * tick),
        comm: process.comm,
        rss,
    }
}

fn look(cgroup: CgroupId, ms: u64, largest: Vec<Resident>) -> Record {
    let found = ProcessMemory {
        largest,
        others: 2,
        others_rss: MIB,
        unread: 1,
    };
    let event = Event::ProcessMemory(Box::new(found));
    noted(Subject::Cgroup(cgroup), ms, event)
}

/// A victim in an inner cgroup, killed because its parent's limit was hit.
fn kill() -> Vec<Record> {
    let victim = process(103, "victim", INNER);
    let levels = vec![
        level(INNER, 40 * MIB, Some(2 * LIMIT)),
        level(DEMO, LIMIT, Some(LIMIT)),
        level(ROOT, 4 * LIMIT, None),
    ];
    oom_death(victim, KILL, oom(victim, levels))
}

fn rows<'a>(report: &'a Value, list: &str) -> &'a [Value] {
    report["oom_ledger"][list].as_array().expect("a list")
}

#[test]
fn up_the_line_to_the_limit_that_was_hit() {
    let mut records = vec![
        sample(INNER, KILL - 1_500, memory(20 * MIB, 19 * MIB)),
        sample(INNER, KILL - 500, memory(30 * MIB, 28 * MIB)),
        sample(DEMO, KILL - 500, memory(50 * MIB, 40 * MIB)),
    ];
    records.extend(kill());
    // What was freed since tells nothing of the kill.
    records.push(sample(INNER, KILL + 500, memory(MIB, MIB)));
    let report = report(&records);
    let levels = rows(&report, "levels");
    assert_eq!(levels.len(), 2, "{levels:#?}");
    let (own, full) = (&levels[0], &levels[1]);
    assert_eq!(own["cgroup_path"], "/demo/inner");
    assert_eq!(own["usage_bytes"], 40 * MIB);
    assert_eq!(own["hit"], false);
    assert_eq!(own["parts"]["current_bytes"], 30 * MIB);
    assert_eq!(own["parts"]["anon_bytes"], 28 * MIB);
    assert_eq!(own["parts"].get("kernel_bytes"), None, "absent is not 0");
    assert_eq!(
        (&full["hit"], &full["limit_bytes"]),
        (&json!(true), &json!(LIMIT))
    );
    assert_eq!(full["parts"]["current_bytes"], 50 * MIB);
    let known = listed(&report, "telemetry");
    for level in levels {
        for id in [&level["id"], &level["parts"]["id"]] {
            assert!(known.contains(id.as_str().expect("an id")), "{level:#}");
        }
    }
}

#[test]
fn processes_by_the_best_that_is_known_of_each() {
    let (victim, sister) = (process(103, "victim", INNER), process(110, "sister", INNER));
    let (left, ended) = (process(120, "left", DEMO), process(130, "ended", DEMO));
    let mut records = vec![
        look(
            DEMO,
            KILL - 20_000,
            vec![resident(process(140, "old", DEMO), MIB)],
        ),
        look(
            DEMO,
            KILL - 400,
            vec![
                resident(victim, 50 * MIB),
                resident(ended, 9 * MIB),
                resident(sister, 5 * MIB),
                resident(left, 4 * MIB),
            ],
        ),
        about(ended, KILL - 100, Event::Exit(exit(0))),
    ];
    records.extend(kill());
    // Dying, it still has a page; the sister has grown; of `left` nothing is found any more.
    let after = vec![resident(sister, 6 * MIB), resident(victim, 4096)];
    records.push(look(DEMO, KILL + 3, after));
    let report = report(&records);
    let told: Vec<_> = rows(&report, "processes")
        .iter()
        .map(|row| {
            (
                row["comm"].clone(),
                row["rss_bytes"].clone(),
                row["victim"].clone(),
            )
        })
        .collect();
    let expected = [
        (json!("victim"), json!(63 * MIB), json!(true)),
        (json!("sister"), json!(6 * MIB), json!(false)),
        (json!("left"), json!(4 * MIB), json!(false)),
    ];
    assert_eq!(told, expected);
    assert_eq!(report["oom_ledger"]["others"], 3);
    let known = listed(&report, "telemetry");
    for row in rows(&report, "processes") {
        assert!(
            known.contains(row["id"].as_str().expect("an id")),
            "{row:#}"
        );
    }
}

#[test]
fn nothing_sampled_is_nothing_said() {
    let report = report(&kill());
    let ledger = &report["oom_ledger"];
    assert_eq!(ledger["levels"][1].get("parts"), None);
    assert_eq!(ledger.get("others"), None);
    let only: Vec<_> = rows(&report, "processes")
        .iter()
        .map(|it| &it["comm"])
        .collect();
    assert_eq!(only, ["victim"]);
}

#[test]
fn the_node_has_the_whole_line_and_other_deaths_have_none() {
    let victim = process(103, "victim", INNER);
    let levels = vec![level(INNER, 40 * MIB, None), level(ROOT, 4 * LIMIT, None)];
    let report_of = |records: &[Record]| report(records);
    let node = report_of(&oom_death(victim, KILL, oom(victim, levels)));
    assert_eq!(rows(&node, "levels").len(), 2);
    assert!(rows(&node, "levels").iter().all(|it| it["hit"] == false));
    let other = report_of(&[about(victim, 1, Event::Exit(exit(11)))]);
    assert_eq!(other.get("oom_ledger"), None);
}

#[test]
fn every_page_has_it_and_no_name_leaves_its_place() {
    let evil = Process {
        comm: Comm::from_text("a|b`\n# c"),
        ..process(110, "", DEMO)
    };
    let mut records = vec![look(DEMO, KILL - 400, vec![resident(evil, 5 * MIB)])];
    records.extend(kill());
    let case = &cases(&records)[0];
    for (format, line) in [
        (
            Format::Default,
            "PROCESS: victim (103) | 63.0 MiB, 98 % | victim, at the kill [r",
        ),
        (
            Format::Markdown,
            "| victim | 103 | 63.0 MiB | 98 % | victim, at the kill `r",
        ),
        (
            Format::Brief,
            "- memory: cgroup /demo used 64.0 MiB of 64.0 MiB, its limit was hit",
        ),
    ] {
        let page = String::from_utf8(render(case, format)).expect("UTF-8");
        assert!(page.contains(line), "{page}");
        assert!(!page.contains("\n# c"), "{page}");
    }
    let page = String::from_utf8(render(case, Format::Default)).expect("UTF-8");
    assert!(
        page.contains("PROCESS: a\\|b`\u{fffd}# c (110) | 5.0 MiB, 7 % | 400.0 ms before"),
        "{page}"
    );
}
