//! The table of deaths: records in, who or what killed it out.

mod ends;
mod memory;

use blackbox_daemon::record::{
    CgroupId, Class, Event, Exec, Exit, Gap, LossCause, MemoryLevel, Process, Record, Signal,
    Subject,
};
use blackbox_daemon::report::format::Format;
use serde_json::{Value, json};

use crate::support::{
    DEMO, INNER, MIB, OTHER, ROOT, SEGV_MAPERR, SI_KERNEL, SI_TKILL, SI_USER, SIGABRT, SIGKILL,
    SIGSEGV, SIGTERM, about, cases, cited, death_by, exit, failed_call, killer, level, listed,
    main_exit, noted, oom, oom_death, process, render, report, sent, shell, signal, statement,
    text, victim,
};

const LIMIT: u64 = 64 * MIB;
/// How far below its limit a full cgroup may be: two per-CPU batches of 64 pages.
const SLACK: u64 = 2 * 64 * 4096;

pub(crate) struct Death {
    name: &'static str,
    records: Vec<Record>,
    /// Cause and grade.
    verdict: [&'static str; 2],
    /// Facts of the verdict; `null`: there must be none.
    facts: Value,
    /// What the text says, and what it must not.
    says: &'static [&'static str],
    never: &'static [&'static str],
}

impl Death {
    fn new(name: &'static str, records: Vec<Record>, verdict: [&'static str; 2]) -> Self {
        Self {
            name,
            records,
            verdict,
            facts: json!({}),
            says: &[],
            never: &[],
        }
    }

    fn facts(self, facts: Value) -> Self {
        Self { facts, ..self }
    }

    fn says(self, says: &'static [&'static str]) -> Self {
        Self { says, ..self }
    }

    fn never(self, never: &'static [&'static str]) -> Self {
        Self { never, ..self }
    }
}

pub(crate) fn all() -> Vec<Death> {
    let mut all = memory::memory_limits();
    all.extend(memory::counted_limits());
    all.extend(memory::node_ooms());
    all.extend(ends::signals());
    all.extend(ends::faults());
    all.extend(ends::exits());
    all
}

/// The one case about the victim.
pub(crate) fn case_of(death: &Death) -> blackbox_daemon::report::case::Case {
    let mut about = cases(&death.records);
    about.retain(|case| {
        case.incident
            .process()
            .is_some_and(|dead| dead.key.tgid == 100)
    });
    assert_eq!(about.len(), 1, "{}: one incident", death.name);
    about.remove(0)
}

/// The page without the causes that it rules out.
fn claims(page: &str) -> String {
    let lines = page.lines().filter(|line| !line.starts_with("NOT: "));
    lines.flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn every_death_has_its_verdict() {
    for death in all() {
        let case = case_of(&death);
        let (report, page, name) = (super::support::json(&case), text(&case), death.name);
        let verdict = &report["verdict"];
        assert_eq!(
            [&verdict["cause"], &verdict["grade"]],
            death.verdict,
            "{name}\n{page}"
        );
        for (fact, value) in death.facts.as_object().unwrap() {
            assert_eq!(&verdict["facts"][fact], value, "{name}: {fact}\n{page}");
        }
        assert_eq!(report["incident"]["message"], verdict["headline"], "{name}");
        for says in death.says {
            assert!(page.contains(says), "{name} does not say {says:?}\n{page}");
        }
        for never in death.never {
            assert!(
                !claims(&page).contains(never),
                "{name} says {never:?}\n{page}"
            );
        }
    }
}

#[test]
fn every_statement_cites_entries_of_its_report() {
    for death in all() {
        let (report, name) = (super::support::json(&case_of(&death)), death.name);
        let statements = report["verdict"]["statements"].as_array().unwrap();
        assert!(!statements.is_empty(), "{name}");
        for statement in statements {
            let cites = statement["cites"].as_array().unwrap();
            assert!(!cites.is_empty(), "{name}: {statement}");
        }
        let cited = cited(&report);
        assert!(
            cited.is_subset(&listed(&report, "telemetry")),
            "{name}: {cited:?}"
        );
        assert_eq!(cited, listed(&report, "evidence"), "{name}");
    }
}

#[test]
fn only_the_kernels_mark_makes_an_incident_an_oom() {
    for death in all() {
        let case = case_of(&death);
        let marked = death.records.iter().any(|record| match &record.event {
            Event::Oom(oom) => oom.killed,
            Event::Exit(exit) => exit.oom_victim,
            _ => false,
        });
        let kind = if marked { "oom" } else { "crash" };
        let report = super::support::json(&case);
        assert_eq!(report["incident"]["type"], kind, "{}", death.name);
        let page = text(&case);
        assert_eq!(claims(&page).contains("OOM killer"), marked, "{page}");
    }
}

#[test]
fn the_same_records_at_the_same_times_give_the_same_bytes() {
    for death in all() {
        let mut records = vec![failed_call(victim(), 0, 2), failed_call(victim(), 0, 13)];
        records.extend(death.records.clone());
        let (one, two) = (cases(&records), cases(&records));
        assert_eq!(one.len(), two.len(), "{}", death.name);
        for (one, two) in one.iter().zip(&two) {
            for format in Format::ALL {
                assert_eq!(
                    render(one, format),
                    render(two, format),
                    "{} {format}",
                    death.name
                );
            }
        }
    }
}

/// A worker of `parent`'s, in its cgroup, that the OOM killer takes.
fn worker_dies(cgroup: CgroupId) -> (Process, Vec<Record>) {
    let parent = process(100, "service", cgroup);
    let worker = process(101, "worker", cgroup);
    let mut records = oom_death(
        worker,
        0,
        oom(worker, vec![level(cgroup, LIMIT, Some(LIMIT))]),
    );
    if let Event::Exit(exit) = &mut records[2].event {
        exit.parent = parent;
    }
    (parent, records)
}

#[test]
fn a_child_whose_parent_lives_on() {
    let (_, records) = worker_dies(DEMO);
    let report = report(&records);
    assert_eq!(report["verdict"]["cause"], "memory_limit");
    assert_eq!(report["verdict"]["facts"]["parent_alive"], true);
    assert_eq!(report["verdict"]["facts"]["parent_comm"], "service");
    assert_eq!(statement(&report, "lives on")["grade"], "proven");
}

#[test]
fn that_a_parent_lives_on_is_not_proven_while_decisive_records_are_missing() {
    for (class, grade) in [
        (Class::Exit, "likely"),
        (Class::Signal, "likely"),
        (Class::FailedCall, "proven"),
    ] {
        let (_, mut records) = worker_dies(DEMO);
        let gap = Gap {
            class,
            cause: LossCause::RingFull,
            count: 1,
        };
        records.push(noted(Subject::Node, 20, Event::Gap(gap)));
        let report = report(&records);
        assert_eq!(statement(&report, "lives on")["grade"], grade, "{class:?}");
        // What the records do say stays proven.
        assert_eq!(report["verdict"]["grade"], "proven", "{class:?}");
    }
}

#[test]
fn a_parent_that_ends_does_not_live_on() {
    let (parent, mut records) = worker_dies(DEMO);
    records.push(about(parent, 1_500, Event::Exit(exit(3 << 8))));
    let report = report(&records);
    let statement = statement(
        &report,
        "outlived it by 1.495 s and then exited with code 3",
    );
    assert_eq!(statement["cites"].as_array().map(Vec::len), Some(2));
    assert!(!report.to_string().contains("lives on"));
}
