//! The table of deaths: records in, who or what killed it out.

use blackbox_daemon::record::{
    CgroupId, Class, Event, Exec, Exit, Gap, LossCause, MemoryLevel, Process, Record, Signal,
    Subject,
};
use blackbox_daemon::report::format::Format;
use serde_json::{Value, json};

use super::support::{
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
    let mut all = memory_limits();
    all.extend(counted_limits());
    all.extend(node_ooms());
    all.extend(signals());
    all.extend(faults());
    all.extend(exits());
    all
}

fn oom_at(levels: Vec<MemoryLevel>) -> Vec<Record> {
    oom_death(victim(), 0, oom(victim(), levels))
}

fn memory_limits() -> Vec<Death> {
    let inner = process(100, "victim", INNER);
    let parents = vec![
        level(INNER, 10 * MIB, Some(2 * LIMIT)),
        level(DEMO, LIMIT, Some(LIMIT)),
        level(ROOT, 4 * LIMIT, None),
    ];
    let grouped = MemoryLevel {
        oom_group: true,
        ..level(DEMO, LIMIT, Some(LIMIT))
    };
    let outside = oom(
        process(80, "other", OTHER),
        vec![level(DEMO, LIMIT, Some(LIMIT))],
    );
    let parent_within = oom(process(80, "sister", DEMO), parents.clone());
    vec![
        Death::new(
            "its own cgroup is at its limit",
            oom_at(vec![
                level(DEMO, LIMIT - 4096, Some(LIMIT)),
                level(ROOT, 4 * LIMIT, None),
            ]),
            ["memory_limit", "proven"],
        )
        .facts(json!({
            "pid": 100, "comm": "victim", "cgroup": "/demo", "limit_cgroup": "/demo",
            "limit_bytes": LIMIT, "usage_bytes": LIMIT - 4096, "victim_rss_bytes": 63 * MIB,
            "allocator_pid": 100, "oom_group": false, "signal_name": "SIGKILL",
            "peak_rss_bytes": 70 * MIB, "parent_pid": 50,
        }))
        .says(&["reached its memory limit of 64.0 MiB", "its own allocation"])
        .never(&["the node ran out"]),
        Death::new(
            "its parent's limit is hit, not its own",
            oom_death(inner, 0, oom(inner, parents.clone())),
            ["memory_limit", "proven"],
        )
        .facts(json!({"cgroup": "/demo/inner", "limit_cgroup": "/demo", "limit_bytes": LIMIT})),
        Death::new(
            "its parent's limit is hit by a sister",
            oom_death(inner, 0, parent_within),
            ["memory_limit", "proven"],
        )
        .facts(json!({"limit_cgroup": "/demo", "allocator_pid": 80, "allocator_comm": "sister"}))
        .says(&["was that of sister (pid 80) in cgroup /demo"]),
        Death::new(
            "the allocator lives outside the limit",
            oom_death(victim(), 0, outside),
            ["memory_limit", "likely"],
        )
        .facts(json!({"limit_cgroup": "/demo", "allocator_pid": 80})),
        Death::new(
            "just within the slack of a limit",
            oom_at(vec![level(DEMO, LIMIT - SLACK, Some(LIMIT))]),
            ["memory_limit", "proven"],
        ),
        Death::new(
            "a whole group goes",
            oom_at(vec![grouped]),
            ["memory_limit", "proven"],
        )
        .facts(json!({"oom_group": true}))
        .says(&["memory.oom.group is set on cgroup /demo"]),
        Death::new(
            "chosen, and not dead yet",
            oom_at(vec![level(DEMO, LIMIT, Some(LIMIT))])[..2].to_vec(),
            ["memory_limit", "likely"],
        )
        .says(&["its death is not recorded yet"]),
    ]
}

/// The kernel counts on each cgroup how often it ran out; 0 excludes its limit.
fn counted_limits() -> Vec<Death> {
    let inner = process(100, "victim", INNER);
    let counted = |cgroup, usage, times| MemoryLevel {
        oom_events: Some(times),
        ..level(cgroup, usage, Some(LIMIT))
    };
    let cache_below = vec![counted(INNER, LIMIT, 0), counted(DEMO, LIMIT, 1)];
    let freeing = oom(victim(), vec![counted(DEMO, LIMIT / 2, 2)]);
    let mut second = oom_death(
        process(90, "first", INNER),
        0,
        oom(victim(), vec![counted(DEMO, LIMIT, 1)]),
    );
    second.extend(oom_death(victim(), 10, freeing.clone()));
    vec![
        Death::new(
            "its own cgroup is full of cache and never ran out, its parent did",
            oom_death(inner, 0, oom(inner, cache_below)),
            ["memory_limit", "proven"],
        )
        .facts(json!({"limit_cgroup": "/demo"}))
        .says(&["by the kernel's own count cgroup /demo itself has run out once"]),
        Death::new(
            "a second kill while the first victim's memory is freed",
            second,
            ["memory_limit", "likely"],
        )
        .facts(json!({"limit_cgroup": "/demo"}))
        .never(&["the node ran out"]),
        Death::new(
            "a limit that ran out some other day",
            oom_death(victim(), 0, freeing),
            ["node_oom", "likely"],
        ),
        Death::new(
            "the node has run out, and no limit ever did",
            oom_at(vec![counted(DEMO, LIMIT, 0)]),
            ["node_oom", "proven"],
        ),
        Death::new(
            "a kernel worker kills: somebody may have asked for it",
            oom_death(
                victim(),
                0,
                oom(
                    process(7, "kworker/0:1", ROOT),
                    vec![level(DEMO, LIMIT, None)],
                ),
            ),
            ["node_oom", "likely"],
        ),
    ]
}

fn node_ooms() -> Vec<Death> {
    let mark = Exit {
        oom_victim: true,
        ..exit(SIGKILL)
    };
    vec![
        Death::new(
            "the node has run out, and nothing has a limit",
            oom_at(vec![level(DEMO, LIMIT, None), level(ROOT, LIMIT, None)]),
            ["node_oom", "proven"],
        )
        .facts(json!({"limit_bytes": null, "limit_cgroup": null, "victim_rss_bytes": 63 * MIB}))
        .says(&["because the node ran out of memory"]),
        Death::new(
            "the node has run out, and no limit was reached",
            oom_at(vec![
                level(DEMO, LIMIT - SLACK - 1, Some(LIMIT)),
                level(ROOT, LIMIT, None),
            ]),
            ["node_oom", "likely"],
        )
        .facts(json!({"limit_bytes": null})),
        Death::new(
            "the kernel shows no levels",
            oom_at(vec![]),
            ["oom", "likely"],
        )
        .facts(json!({"limit_bytes": null}))
        .never(&["the node ran out"]),
        Death::new(
            "only the exit tells of it",
            vec![about(victim(), 0, Event::Exit(mark))],
            ["oom", "proven"],
        )
        .facts(json!({"limit_bytes": null, "limit_cgroup": null, "victim_rss_bytes": null}))
        .says(&[
            "which memory ran out is not recorded",
            "the record of the OOM kill is missing",
        ]),
    ]
}

fn signals() -> Vec<Death> {
    let exec = Event::Exec(Exec {
        parent: shell(),
        exe: "/usr/bin/killer".to_owned(),
    });
    let kill = signal(1, killer(), SIGKILL, SI_USER);
    let mut named = vec![about(killer(), 0, exec)];
    named.extend(death_by(victim(), 1, kill));
    let unlinked = vec![
        sent(victim(), 1, kill, true),
        about(victim(), 2, Event::Exit(exit(SIGKILL))),
    ];
    let own = |number, code| death_by(victim(), 0, signal(0, victim(), number, code));
    let foreign_with = |number, code| death_by(victim(), 0, signal(0, killer(), number, code));
    let foreign = |number| death_by(victim(), 0, signal(0, killer(), number, SI_USER));
    let sender = json!({
        "sender_pid": 70, "sender_comm": "killer", "sender_container": "host unit killer.service",
        "sender_cgroup": "/system.slice/killer.service", "sender_exe": "/usr/bin/killer", "signal": 9,
    });
    vec![
        Death::new(
            "a timer ends it while somebody else runs",
            foreign_with(14, -2),
            ["kernel_signal", "likely"],
        )
        .facts(json!({"signal_name": "SIGALRM", "sender_pid": null}))
        .never(&["killed by SIGALRM from"]),
        Death::new(
            "the file size limit",
            own(25, SI_USER),
            ["kernel_signal", "likely"],
        )
        .says(&["beyond its file size limit"])
        .never(&["to itself and"]),
        Death::new(
            "SIGKILL from another",
            named,
            ["killed_by_signal", "proven"],
        )
        .facts(sender)
        .says(&["was killed by SIGKILL from killer (pid 70) in host unit killer.service"])
        .never(&["OOM killer"]),
        Death::new(
            "only the signal tells who",
            unlinked,
            ["killed_by_signal", "proven"],
        )
        .facts(json!({"sender_pid": 70, "sender_exe": null})),
        Death::new(
            "SIGKILL from nobody known",
            vec![about(victim(), 0, Event::Exit(exit(SIGKILL)))],
            ["unknown", "unknown"],
        )
        .facts(json!({"signal": 9, "sender_pid": null, "limit_bytes": null}))
        .says(&["who sent it is not recorded"])
        .never(&["OOM killer", "oom_kill"]),
        Death::new("abort()", own(SIGABRT, SI_TKILL), ["abort", "proven"])
            .facts(json!({"sender_pid": 100, "signal_name": "SIGABRT", "core_dumped": false})),
        Death::new(
            "SIGABRT from another",
            foreign(SIGABRT),
            ["killed_by_signal", "proven"],
        )
        .facts(json!({"sender_pid": 70, "signal_name": "SIGABRT"}))
        .never(&["aborted itself"]),
        Death::new(
            "SIGSEGV from another",
            foreign(SIGSEGV),
            ["killed_by_signal", "proven"],
        )
        .facts(json!({"sender_pid": 70, "address_class": null})),
        Death::new(
            "SIGKILL to itself",
            own(SIGKILL, SI_USER),
            ["self_signal", "proven"],
        )
        .facts(json!({"sender_pid": 100})),
        Death::new(
            "SIGKILL from the kernel, and no OOM mark",
            death_by(victim(), 0, signal(0, killer(), SIGKILL, SI_KERNEL)),
            ["kernel_signal", "proven"],
        )
        .facts(json!({"signal": 9, "sender_pid": null}))
        .says(&["from the kernel itself", "why is not recorded"])
        .never(&["OOM killer"]),
    ]
}

fn faults() -> Vec<Death> {
    let sp = 0x7ffc_0000_0000_u64;
    let fault = |address: Option<u64>, code| {
        let signal = Signal {
            fault_addr: address,
            ip: Some(0x40_1000),
            sp: Some(sp),
            error_code: Some(6),
            ..signal(0, victim(), SIGSEGV, code)
        };
        death_by(victim(), 0, signal)
    };
    let at = |address| fault(Some(address), SEGV_MAPERR);
    let class = |class, address| {
        json!({
            "address_class": class, "fault_address": address, "signal_name": "SIGSEGV",
            "instruction_pointer": "0x401000", "stack_pointer": "0x7ffc00000000",
        })
    };
    let proven = ["fault", "proven"];
    vec![
        Death::new("a null pointer", at(0x18), proven)
            .facts(class("null", json!("0x18")))
            .says(&[
                "wrote to address 0x18, null pointer",
                "as of a null pointer",
            ]),
        Death::new("a stack that overflowed", at(sp - 8), proven)
            .facts(class("stack", json!("0x7ffbfffffff8")))
            .says(&["the stack overflowed"]),
        Death::new("a wild pointer", at(0xdead_0000), proven)
            .facts(class("wild", json!("0xdead0000")))
            .says(&["a wild or stale pointer"]),
        Death::new(
            "an address the processor does not tell",
            fault(None, SI_KERNEL),
            proven,
        )
        .facts(class("untold", Value::Null))
        .never(&["null pointer", "address 0x0"]),
    ]
}

fn exits() -> Vec<Death> {
    let ended = |code| vec![about(victim(), 9, Event::Exit(main_exit(code)))];
    let mut asked = vec![sent(
        victim(),
        1,
        signal(1, killer(), SIGTERM, SI_USER),
        false,
    )];
    asked.extend(ended(3));
    let child = process(101, "child", DEMO);
    let mut after_child = death_by(child, 1, signal(1, killer(), SIGTERM, SI_USER));
    if let Event::Exit(exit) = &mut after_child[1].event {
        exit.parent = victim();
    }
    // Within the child's own incident, the parent's end is another one; only the parent's is looked at here.
    after_child.extend(ended(7));
    vec![
        Death::new("exit code 137", ended(137), ["exit_code", "proven"])
            .facts(json!({"exit_code": 137, "signal": null, "limit_bytes": null}))
            .says(&["exit code 137", "a child of it died of SIGKILL"])
            .never(&["OOM killer", "memory limit", "oom_kill", "out of memory"]),
        Death::new("exit code 3 after a SIGTERM it handled", asked, ["exit_code", "proven"])
            .facts(json!({"exit_code": 3, "signal": null}))
            .says(&["killer (pid 70) in host unit killer.service had sent it SIGTERM, which it handles itself"]),
        Death::new("exit code 7 after its child was killed", after_child, ["exit_code", "proven"])
            .facts(json!({"exit_code": 7}))
            .says(&["its child child (pid 101) was killed (SIGTERM)"]),
    ]
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
