//! The table of diagnoses: failed calls and last words in, why it died out. What deceives is here, too.

use blackbox_daemon::record::{
    CallCounts, Event, FailedCall, Gap, Health, LastCall, LossCause, Process, Record, SourceName,
    Stream, Subject, Words,
};
use serde_json::Value;

use super::support::{
    OTHER, SI_TKILL, SI_USER, SIGABRT, SIGKILL, SIGTERM, about, cited, death_by, entries, killer,
    list, main_exit, noted, process, report, sent, signal, source, victim,
};

/// When the victim ends, ms.
const END: u64 = 20_000;

fn call(ms: u64, name: &str, errno: u16, argument: Option<&str>) -> Record {
    let nr = name.parse::<syscalls::Sysno>().expect("a call").id();
    let event = Event::FailedCall(FailedCall {
        nr: nr.unsigned_abs(),
        errno,
        args: [5, 0, 0],
        argument: argument.map(str::to_owned),
        compat: false,
    });
    about(victim(), ms, event)
}

fn says_as(process: Process, ms: u64, text: &str) -> Record {
    let event = Event::Words(Box::new(Words {
        stream: Stream::Stderr,
        text: text.to_owned(),
        bytes: text.len() as u64,
        cut: 0,
        hidden: 0,
    }));
    about(process, ms, event)
}

fn says(ms: u64, text: &str) -> Record {
    says_as(victim(), ms, text)
}

fn exits(code: u32) -> Record {
    about(victim(), END, Event::Exit(main_exit(code)))
}

/// The report of these records; everything that the diagnosis cites is in it.
fn diagnosed(records: &[Record]) -> Value {
    let report = report(records);
    let diagnosis = report["diagnosis"].clone();
    for fact in list(&diagnosis["facts"]) {
        for id in list(&fact["cites"]) {
            let there = list(&report["telemetry"])
                .iter()
                .any(|entry| entry["id"] == *id);
            assert!(there, "{id} is cited and not there: {fact}");
        }
    }
    assert!(!cited(&report).is_empty());
    diagnosis
}

#[track_caller]
fn expect(records: &[Record], code: &str, grade: &str) -> Value {
    let diagnosis = diagnosed(records);
    assert_eq!(diagnosis["code"], code, "{diagnosis:#}");
    assert_eq!(diagnosis["grade"], grade, "{diagnosis:#}");
    diagnosis
}

#[test]
fn words_and_a_call_that_agree_are_proof() {
    let records = [
        call(1_000, "openat", 2, Some("/etc/ld.so.preload")),
        call(END - 20, "openat", 2, Some("/etc/app/cfg.yaml")),
        says(
            END - 19,
            "fatal: cannot read /etc/app/cfg.yaml: No such file or directory\n",
        ),
        exits(1),
    ];
    let diagnosis = expect(&records, "BBX-MISSING-FILE", "proven");
    let summary = diagnosis["summary"].as_str().expect("a text");
    assert!(
        summary.contains("openat /etc/app/cfg.yaml → ENOENT"),
        "{summary}"
    );
}

#[test]
fn of_two_causes_in_a_line_the_one_that_a_call_bears_out_counts() {
    let words = "CRITICAL TLS: setup failed: [Errno 2] No such file or directory\n";
    let failed = [
        call(END - 20, "openat", 2, Some("/etc/tls/server.crt")),
        says(END - 19, words),
        exits(1),
    ];
    expect(&failed, "BBX-MISSING-FILE", "proven");
    expect(&[says(END - 19, words), exits(1)], "BBX-TLS", "likely");
}

#[test]
fn options_that_are_listed_after_an_error_are_not_about_the_end() {
    let words = "flag provided but not defined: -drain\nUsage of proxy:\n  -a int\n    \ta\n  -b int\n    \tb\n  -c int\n    \tc\n  \
                 -retries int\n    \ttries again when it meets connection refused\n";
    expect(&[says(END - 5, words), exits(2)], "BBX-CONFIG", "likely");
}

#[test]
fn an_error_that_says_only_its_name_is_about_what_was_tried_again_and_again() {
    let tried = "WARN dns lookup failed for broker-0: Name or service not known\n";
    let trace = "Traceback (most recent call last):\n  File \"/app/main.py\", line 85, in main\n    start()\nNoBrokers: NoBrokers\n";
    let beside = "DEBU metric not sent: [Errno 2] No such file or directory\n";
    let mut records: Vec<Record> = (1..4).map(|n| says(END - 1_000 + n, tried)).collect();
    records.extend([says(END - 30, beside), says(END - 5, trace), exits(1)]);
    expect(&records, "BBX-DNS", "likely");
    // Once is not again and again; and of two such causes neither is it.
    expect(
        &[says(END - 900, tried), says(END - 5, trace), exits(1)],
        "BBX-UNCAUGHT",
        "likely",
    );
    records.insert(0, says(END - 1_500, "ERROR cache: Connection refused\n"));
    expect(&records, "BBX-UNCAUGHT", "likely");
}

#[test]
fn that_something_took_too_long_is_a_time_out_of_a_connect_to_the_peer_it_names() {
    let words = "CRITICAL cannot score without the store at 10.0.3.7:41051 (timed out), stopping\n";
    let tried = call(END - 1_500, "connect", 115, Some("10.0.3.7:41051"));
    expect(
        &[tried, says(END - 5, words), exits(75)],
        "BBX-CONN-TIMEOUT",
        "likely",
    );
    let other = call(END - 1_500, "connect", 115, Some("10.0.9.9:80"));
    expect(
        &[other, says(END - 5, words), exits(75)],
        "BBX-UNKNOWN",
        "unknown",
    );
    let job = "ERROR job timed out after 30 s\n";
    expect(&[says(END - 5, job), exits(1)], "BBX-UNKNOWN", "unknown");
}

#[test]
fn a_line_written_in_pieces_is_one_line() {
    let records = [
        call(END - 20, "connect", 111, Some("10.0.3.7:5432")),
        says(END - 19, "app: connect to 10.0.3.7:54"),
        says(END - 18, "32: Connection ref"),
        says(END - 17, "used\n"),
        exits(1),
    ];
    expect(&records, "BBX-CONN-REFUSED", "proven");
}

#[test]
fn a_refusal_that_came_late_is_that_of_its_connect() {
    let records = [
        call(END - 30, "connect", 115, Some("10.0.3.7:5432")),
        call(END - 20, "getsockopt", 111, None),
        says(END - 19, "Error: connect ECONNREFUSED 10.0.3.7:5432\n"),
        exits(1),
    ];
    let diagnosis = expect(&records, "BBX-CONN-REFUSED", "proven");
    assert!(
        diagnosis["summary"]
            .as_str()
            .expect("a text")
            .contains("10.0.3.7:5432")
    );
}

#[test]
fn what_was_overcome_is_no_cause() {
    let records = [
        call(END - 900, "connect", 111, Some("10.0.3.7:5432")),
        says(
            END - 899,
            "WARN database: connection refused, trying again\n",
        ),
        says(END - 700, "INFO connected\n"),
        says(
            END - 40,
            "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n",
        ),
        says(
            END - 39,
            "ValueError: invalid literal for int() with base 10: 'x'\n",
        ),
        exits(1),
    ];
    expect(&records, "BBX-UNCAUGHT", "likely");
}

#[test]
fn what_a_program_says_it_can_do_without_is_no_cause() {
    let records = [
        call(END - 20, "openat", 2, Some("/etc/app/local.ini")),
        says(
            END - 19,
            "no /etc/app/local.ini (No such file or directory), using defaults\n",
        ),
        exits(1),
    ];
    expect(&records, "BBX-UNKNOWN", "unknown");
}

#[test]
fn a_trace_that_was_survived_is_no_end() {
    let trace = "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 'x'\n";
    let log = "ERROR job 1 failed\nERROR job 2 failed\nERROR job 3 failed\nERROR job 4 failed\n\
               ERROR job 5 failed\nERROR job 6 failed\n";
    let records = [says(END - 900, trace), says(END - 500, log), exits(1)];
    expect(&records, "BBX-UNKNOWN", "unknown");
    // Such a program ends with 1.
    expect(&[says(END - 50, trace), exits(4)], "BBX-UNKNOWN", "unknown");
}

#[test]
fn words_about_another_machine_are_not_believed_of_this_one() {
    let words = "upload failed: server said: no space left on device\n";
    expect(&[says(END - 20, words), exits(1)], "BBX-UNKNOWN", "unknown");
    let lost = |cause| {
        let gap = Gap {
            class: blackbox_daemon::record::Class::FailedCall,
            cause,
            count: 3,
        };
        let gap = noted(Subject::Node, END - 500, Event::Gap(gap));
        vec![gap, says(END - 20, words), exits(1)]
    };
    // What the kernel throttled it counted by cgroup, and none of these was this one's.
    expect(&lost(LossCause::Throttled), "BBX-UNKNOWN", "unknown");
    let own = CallCounts {
        attempted: 9,
        throttled: 3,
        ..CallCounts::default()
    };
    let mut records = lost(LossCause::Throttled);
    records.push(noted(
        Subject::Cgroup(victim().cgroup),
        END + 400,
        Event::CallCounts(own),
    ));
    // Where calls of its own were lost, or nobody knows whose, nothing can be denied.
    expect(&records, "BBX-DISK-FULL", "likely");
    expect(&lost(LossCause::FeedFull), "BBX-DISK-FULL", "likely");
    // Nor where calls were not recorded until a moment ago.
    let off_until = |ms| {
        let off = Health::Degraded("failing calls are not recorded".to_owned());
        vec![
            source(1_000, SourceName::Ebpf, off),
            source(ms, SourceName::Ebpf, Health::Ok),
            says(END - 20, words),
            exits(1),
        ]
    };
    expect(&off_until(END - 9_000), "BBX-DISK-FULL", "likely");
    expect(&off_until(END - 11_000), "BBX-UNKNOWN", "unknown");
}

#[test]
fn silence_is_unknown_unless_a_call_speaks() {
    expect(&[exits(1)], "BBX-UNKNOWN", "unknown");
    expect(
        &[
            call(END - 20, "openat", 2, Some("/etc/app/cfg.yaml")),
            exits(1),
        ],
        "BBX-UNKNOWN",
        "unknown",
    );
    let records = [call(END - 20, "bind", 98, Some("0.0.0.0:8080")), exits(1)];
    expect(&records, "BBX-PORT-IN-USE", "likely");
}

#[test]
fn exit_code_137_is_no_kill() {
    let diagnosis = expect(&[exits(137)], "BBX-UNKNOWN", "unknown");
    let out = list(&diagnosis["ruled_out"]);
    let codes: Vec<_> = out.iter().filter_map(|out| out["code"].as_str()).collect();
    assert_eq!(codes, ["BBX-OOM-LIMIT", "BBX-KILLED-BY-PROCESS"]);
}

#[test]
fn a_grace_period_needs_time_and_one_hand() {
    let asked = signal(END - 3_000, killer(), SIGTERM, SI_USER);
    let ask = || sent(victim(), END - 3_000, asked, false);
    let kill = |by: Process, ms: u64| death_by(victim(), ms, signal(ms, by, SIGKILL, SI_USER));
    let with = |mut records: Vec<Record>| {
        records.insert(0, ask());
        records
    };
    expect(&with(kill(killer(), END)), "BBX-GRACE-EXPIRED", "proven");
    let at_once = with(kill(killer(), END - 2_900));
    expect(&at_once, "BBX-KILLED-BY-PROCESS", "proven");
    let another = process(900, "reaper", OTHER);
    expect(&with(kill(another, END)), "BBX-GRACE-EXPIRED", "likely");
    expect(&kill(killer(), END), "BBX-KILLED-BY-PROCESS", "proven");
}

#[test]
fn an_abort_is_what_the_program_says_it_is() {
    let abort = || death_by(victim(), END, signal(END, victim(), SIGABRT, SI_TKILL));
    let with = |text: &str| {
        let mut records = vec![says(END - 10, text)];
        records.extend(abort());
        records
    };
    expect(&abort(), "BBX-ABORT", "proven");
    expect(
        &with("a.c:7: f: Assertion `x' failed.\n"),
        "BBX-ABORT",
        "proven",
    );
    expect(
        &with("double free or corruption (out)\n"),
        "BBX-HEAP-CORRUPTION",
        "likely",
    );
    let thrown =
        "terminate called after throwing an instance of 'std::out_of_range'\n  what():  at\n";
    expect(&with(thrown), "BBX-UNCAUGHT", "likely");
    let heap = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n\
                ----- Native stack trace -----\n\n 1: 0xb9bc5 node::OOM [node]\n 2: 0xb9bc5 [node]\n";
    expect(&with(heap), "BBX-HEAP-LIMIT", "likely");
}

#[test]
fn a_late_error_is_in_the_folded_calls() {
    let records = [
        call(END - 30, "connect", 115, Some("10.0.3.7:5432")),
        call(END - 20, "getsockopt", 111, None),
        exits(1),
    ];
    let report = report(&records);
    let calls = list(&report["failed_calls"]);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(calls[0]["call"], "connect");
    assert_eq!(calls[0]["argument"], "10.0.3.7:5432");
    assert_eq!(calls[0]["errno"], "ECONNREFUSED");
    assert_eq!(entries(&report, "syscall_failed").len(), 2);
}

#[test]
fn where_the_threads_of_a_killed_process_waited_is_a_fact() {
    let last = |tid, call: Option<&str>, ret| {
        let number = |name: &str| name.parse::<syscalls::Sysno>().expect("a call").id();
        let event = Event::LastCall(LastCall {
            nr: call.map(|name| number(name).unsigned_abs()),
            args: [5, 0, 0],
            ret,
            since: None,
            compat: false,
        });
        about(Process { tid, ..victim() }, END - 1, event)
    };
    let mut killed = vec![
        last(1, Some("futex"), -512),
        last(2, Some("futex"), -512),
        last(3, Some("read"), 100),
    ];
    let kill = signal(END - 2, killer(), SIGKILL, SI_USER);
    killed.extend(death_by(victim(), END, kill));
    let diagnosis = expect(&killed, "BBX-KILLED-BY-PROCESS", "proven");
    let facts = list(&diagnosis["facts"]);
    let told = facts.last().and_then(|fact| fact["text"].as_str());
    let wanted = "2 of 3 threads were waiting in a call when the end came: 2 in futex";
    assert_eq!(told, Some(wanted), "{facts:#?}");
}
