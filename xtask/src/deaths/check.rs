//! Compares a report with the truth. Pure: a report (JSON) and what was staged, to sentences that are not true.
//!
//! A fact that is missing is not true either: on a stage everything can be known.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::{Death, Truth};

/// The name the kernel has for the victim, whole: 15 bytes.
const VICTIM: &str = "blackbox-victim";
const KILLER: &str = "blackbox-killer";

/// Digits of a container id that every tool shows.
const SHORT_ID: usize = 12;

/// Whether `report` is about the process that was staged to die.
#[must_use]
pub fn concerns(report: &Value, truth: &Truth) -> bool {
    report["verdict"]["facts"]["pid"] == truth.pid
}

/// What `report` says, or leaves out, that is not so; empty if it is true.
#[must_use]
pub fn check(report: &Value, truth: &Truth) -> Vec<String> {
    let verdict = &report["verdict"];
    let mut untrue = Vec::new();
    expect(&mut untrue, "grade", &verdict["grade"], &json!("proven"));
    expect(
        &mut untrue,
        "cause",
        &verdict["cause"],
        &json!(cause(truth.death)),
    );
    if verdict["headline"].as_str().is_none_or(str::is_empty) {
        untrue.push("there is no headline".to_owned());
    }
    for (key, value) in facts(truth) {
        expect(&mut untrue, key, &verdict["facts"][key], &value);
    }
    for (key, range) in ranges(truth) {
        let said = &verdict["facts"][key];
        if said.as_u64().is_none_or(|said| !range.contains(&said)) {
            untrue.push(format!("{key} is {said}, not within {range:?}"));
        }
    }
    if let Some(sender) = &truth.sender {
        let said = &verdict["facts"]["sender_container"];
        let short = &sender.container[..SHORT_ID];
        if !said.as_str().is_some_and(|said| said.contains(short)) {
            untrue.push(format!("sender_container is {said}, not {short}…"));
        }
    }
    untrue.extend(uncited(report));
    untrue
}

fn expect(untrue: &mut Vec<String>, name: &str, said: &Value, so: &Value) {
    if said != so {
        untrue.push(format!("{name} is {said}, not {so}"));
    }
}

fn cause(death: Death) -> &'static str {
    match death {
        Death::Oom | Death::ChildOom => "memory_limit",
        Death::Segv => "fault",
        Death::Abort => "abort",
        Death::Sigkill => "killed_by_signal",
        Death::Exit => "exit_code",
    }
}

/// The facts that are known to the letter.
fn facts(truth: &Truth) -> Vec<(&'static str, Value)> {
    let mut facts = vec![("pid", json!(truth.pid)), ("comm", json!(VICTIM))];
    let signal = match truth.death {
        Death::Oom | Death::ChildOom | Death::Sigkill => Some((libc::SIGKILL, "SIGKILL")),
        Death::Segv => Some((libc::SIGSEGV, "SIGSEGV")),
        Death::Abort => Some((libc::SIGABRT, "SIGABRT")),
        Death::Exit => None,
    };
    if let Some((number, name)) = signal {
        facts.extend([("signal", json!(number)), ("signal_name", json!(name))]);
    }
    match truth.death {
        Death::Oom | Death::ChildOom => facts.extend([
            ("limit_cgroup", json!(truth.cgroup)),
            ("limit_bytes", json!(truth.limit_bytes)),
            // Its parent only waits: nobody else in that cgroup allocates.
            ("allocator_pid", json!(truth.pid)),
            ("allocator_comm", json!(VICTIM)),
        ]),
        Death::Segv => {
            facts.extend([
                ("fault_address", json!("0x10")),
                ("address_class", json!("null")),
            ]);
        }
        Death::Exit => facts.push(("exit_code", json!(3))),
        Death::Abort | Death::Sigkill => {}
    }
    if let Some(sender) = &truth.sender {
        facts.extend([
            ("sender_pid", json!(sender.pid)),
            ("sender_comm", json!(KILLER)),
        ]);
    }
    if let Some(parent) = truth.parent_pid {
        facts.extend([
            ("parent_pid", json!(parent)),
            ("parent_comm", json!(VICTIM)),
            ("parent_alive", json!(true)),
        ]);
    }
    facts
}

/// The facts that are known within bounds: the cgroup was full, and the victim had filled it. (Resident memory also
/// counts shared pages that the cgroup was not charged for.)
fn ranges(truth: &Truth) -> Vec<(&'static str, RangeInclusive<u64>)> {
    let limit = truth.limit_bytes;
    match truth.death {
        Death::Oom | Death::ChildOom => vec![
            ("usage_bytes", limit / 10 * 9..=limit),
            ("victim_rss_bytes", limit / 2..=limit / 4 * 5),
        ],
        Death::Segv | Death::Abort | Death::Sigkill | Death::Exit => Vec::new(),
    }
}

/// Statements that cite nothing, or something the report does not hold.
fn uncited(report: &Value) -> Vec<String> {
    let telemetry = report["telemetry"].as_array();
    let ids: BTreeSet<&str> = telemetry
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["id"].as_str())
        .collect();
    let Some(statements) = report["verdict"]["statements"]
        .as_array()
        .filter(|all| !all.is_empty())
    else {
        return vec!["the verdict has no statements".to_owned()];
    };
    let mut complaints = Vec::new();
    for statement in statements {
        let text = &statement["text"];
        let cites: Vec<&str> = statement["cites"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        // What is unknown has no record to show.
        if cites.is_empty() && statement["grade"] != "unknown" {
            complaints.push(format!("{text} cites nothing"));
        }
        for id in cites.into_iter().filter(|id| !ids.contains(id)) {
            complaints.push(format!("{text} cites {id}, which is not in telemetry"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::Sender;
    use super::*;

    fn truth(death: Death) -> Truth {
        Truth {
            death,
            pid: 17,
            parent_pid: None,
            sender: None,
            cgroup: "/blackbox-demo-1/oom".to_owned(),
            limit_bytes: 64 << 20,
        }
    }

    fn report(cause: &str, facts: &Value) -> Value {
        json!({
            "verdict": {
                "grade": "proven", "cause": cause, "headline": "it died", "facts": facts,
                "statements": [{"grade": "proven", "text": "it died", "cites": ["r1", "r2"]}],
            },
            "telemetry": [{"id": "r1"}, {"id": "r2"}, {"id": "r2"}],
        })
    }

    fn killed() -> (Truth, Value) {
        let mut truth = truth(Death::Sigkill);
        truth.sender = Some(Sender {
            pid: 18,
            container: "ab".repeat(32),
        });
        let facts = json!({
            "pid": 17, "comm": VICTIM, "signal": 9, "signal_name": "SIGKILL", "sender_pid": 18,
            "sender_comm": KILLER, "sender_container": "ab".repeat(32),
        });
        (truth, report("killed_by_signal", &facts))
    }

    fn out_of_memory() -> Value {
        let facts = json!({
            "pid": 17, "comm": VICTIM, "signal": 9, "signal_name": "SIGKILL",
            "limit_cgroup": "/blackbox-demo-1/oom", "limit_bytes": 64 << 20,
            "usage_bytes": 64 << 20, "victim_rss_bytes": 60 << 20,
            "allocator_pid": 17, "allocator_comm": VICTIM,
        });
        report("memory_limit", &facts)
    }

    #[test]
    fn true_reports_pass() {
        let none: Vec<String> = Vec::new();
        assert_eq!(check(&out_of_memory(), &truth(Death::Oom)), none);
        let (truth, report) = killed();
        assert!(concerns(&report, &truth));
        assert_eq!(check(&report, &truth), none);
    }

    #[test]
    fn a_wrong_sender_is_told() {
        let (truth, mut report) = killed();
        report["verdict"]["facts"]["sender_pid"] = json!(19);
        report["verdict"]["facts"]["sender_container"] = json!("cd".repeat(32));
        let untrue = check(&report, &truth);
        assert_eq!(untrue[0], "sender_pid is 19, not 18");
        assert!(untrue[1].starts_with("sender_container is"), "{untrue:?}");
        assert_eq!(untrue.len(), 2);
    }

    #[test]
    fn what_is_left_out_is_told() {
        let mut report = out_of_memory();
        report["verdict"]["facts"]["limit_bytes"].take();
        report["verdict"]["facts"]["usage_bytes"] = json!(1 << 20);
        let untrue = check(&report, &truth(Death::Oom));
        assert_eq!(untrue[0], "limit_bytes is null, not 67108864");
        assert!(
            untrue[1].starts_with("usage_bytes is 1048576, not within"),
            "{untrue:?}"
        );
    }

    #[test]
    fn the_parent_of_a_child_must_be_named_and_alive() {
        let mut truth = truth(Death::ChildOom);
        truth.parent_pid = Some(16);
        assert_eq!(check(&out_of_memory(), &truth).len(), 3);
    }

    #[test]
    fn every_statement_cites_what_is_there() {
        let mut report = out_of_memory();
        report["verdict"]["statements"] = json!([
            {"grade": "likely", "text": "a", "cites": ["r1", "r9"]},
            {"grade": "proven", "text": "b", "cites": []},
            {"grade": "unknown", "text": "c", "cites": []},
        ]);
        let untrue = check(&report, &truth(Death::Oom));
        assert_eq!(
            untrue,
            [
                r#""a" cites r9, which is not in telemetry"#,
                r#""b" cites nothing"#
            ]
        );
    }

    #[test]
    fn a_report_of_something_else_is_not_about_it() {
        assert!(!concerns(
            &json!({"verdict": {"facts": {"pid": 4}}}),
            &truth(Death::Exit)
        ));
        assert!(!concerns(&json!({}), &truth(Death::Exit)));
        assert!(check(&json!({}), &truth(Death::Exit)).len() >= 6);
    }
}
