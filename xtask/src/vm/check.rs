//! Compares the reports with the deaths: each death has one report, which is true. Pure.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::kubelet::Death;
use super::report::Written;

/// An incident is opened within this time of the death.
const OPEN_LIMIT: SignedDuration = SignedDuration::from_secs(1);
/// Examples of each kind of complaint.
const SHOWN: usize = 5;

/// What each report must say of its death.
struct Check {
    row: &'static str,
    complaint: &'static str,
    holds: fn(&Death, &Written) -> bool,
}

const CHECKS: [Check; 8] = [
    Check {
        row: "… that speaks for no other",
        complaint: "speaks for others",
        holds: |_, one| one.report.incident.repeats == 0,
    },
    Check {
        row: "… of the right container",
        complaint: "another container",
        holds: |death, one| one.report.container() == Some(&*death.container),
    },
    Check {
        row: "… of the right process",
        complaint: "another process",
        holds: |death, one| one.report.verdict.facts["pid"] == death.pid,
    },
    Check {
        row: "… type oom",
        complaint: "another type",
        holds: |_, one| one.report.incident.kind == "oom",
    },
    Check {
        row: "… proven",
        complaint: "not proven",
        holds: |_, one| one.report.verdict.grade == "proven",
    },
    Check {
        row: "… cause: its memory limit",
        complaint: "another cause",
        holds: |_, one| one.report.verdict.cause.as_deref() == Some("memory_limit"),
    },
    Check {
        row: "… that names the pod",
        complaint: "no name, or another",
        holds: |death, one| one.report.names(death),
    },
    Check {
        row: "… opened within 1 s of the death",
        complaint: "opened too late",
        holds: |death, one| {
            one.report
                .incident
                .opened_at
                .duration_since(one.died(death))
                <= OPEN_LIMIT
        },
    },
];

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    pub(super) rows: Vec<Row>,
    /// From the death to the opening of the incident, ms. The kernel's choice comes first: it may be before the death.
    pub(super) opened_ms: Spread,
    /// From the death to the report's file, ms.
    pub(super) written_ms: Spread,
    /// Reports that nothing is missing in.
    pub(super) complete: usize,
    pub(super) complaints: Vec<String>,
}

impl Findings {
    /// Whether everything is as it should be.
    pub(super) fn hold(&self) -> bool {
        self.rows.iter().all(Row::holds) && self.complaints.is_empty()
    }
}

/// One check, over all deaths.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) expected: usize,
    pub(super) found: usize,
}

impl Row {
    pub(super) fn holds(&self) -> bool {
        self.expected == self.found
    }
}

/// A distribution.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Spread {
    pub(super) median: i64,
    pub(super) p99: i64,
    pub(super) max: i64,
}

impl Spread {
    fn of(values: impl Iterator<Item = i64>) -> Self {
        let mut values: Vec<i64> = values.collect();
        values.sort_unstable();
        // The smallest value that this share of all do not exceed.
        let rank = |percent: usize| {
            let index = (values.len() * percent).div_ceil(100).saturating_sub(1);
            values.get(index).copied().unwrap_or_default()
        };
        Self {
            median: rank(50),
            p99: rank(99),
            max: rank(100),
        }
    }
}

/// Compares. Of the pods with the uids `calm` nothing is to be told.
pub(super) fn compare(deaths: &[Death], calm: &[String], written: &[Written]) -> Findings {
    let mut complaints = Complaints::default();
    let pairs = pair(deaths, written, &mut complaints);
    let count = |holds: &dyn Fn(&Death, &Written) -> bool| {
        let holding = pairs.iter().filter(|(death, one)| holds(death, one));
        holding.count()
    };
    let row = |what, found| Row {
        what,
        expected: deaths.len(),
        found,
    };
    let mut rows = vec![
        row("reports in all", written.len()),
        row("one report of each death", pairs.len()),
    ];
    for check in CHECKS {
        rows.push(row(check.row, count(&check.holds)));
        for (death, one) in pairs
            .iter()
            .filter(|(death, one)| !(check.holds)(death, one))
        {
            let example = format!("{} {}", death.pod.name, one.report.incident.id);
            complaints.add(check.complaint, example);
        }
    }
    if !calm.is_empty() {
        let of_calm = |one: &&Written| calm.iter().any(|uid| one.report.pod_uid() == Some(uid));
        rows.push(Row {
            what: "reports of pods rolled out",
            expected: 0,
            found: written.iter().filter(of_calm).count(),
        });
    }
    let after_death = |when: fn(&Written) -> Timestamp| {
        let after = |(death, one): &(&Death, &Written)| millis(one.died(death), when(one));
        Spread::of(pairs.iter().map(after))
    };
    Findings {
        rows,
        opened_ms: after_death(|one| one.report.incident.opened_at),
        written_ms: after_death(|one| one.at),
        complete: count(&|_, one| one.report.completeness.complete),
        complaints: complaints.into_lines(),
    }
}

/// The deaths that have one report, with it. Pods are told apart by uid, and by nothing else.
fn pair<'a>(
    deaths: &'a [Death],
    written: &'a [Written],
    complaints: &mut Complaints,
) -> Vec<(&'a Death, &'a Written)> {
    let mut by_uid: HashMap<Option<&str>, Vec<&Written>> = HashMap::new();
    for one in written {
        by_uid.entry(one.report.pod_uid()).or_default().push(one);
    }
    let mut pairs = Vec::new();
    for death in deaths {
        match by_uid.remove(&Some(&*death.pod.uid)).as_deref() {
            Some(&[one]) => pairs.push((death, one)),
            Some(_) => complaints.add("reported more than once", death.pod.name.clone()),
            None => complaints.add("no report", death.pod.name.clone()),
        }
    }
    for one in by_uid.into_values().flatten() {
        let id = one.report.incident.id.clone();
        complaints.add("a report of no pod that died", id);
    }
    pairs
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond() - from.as_millisecond()
}

/// What is not so, by kind, with a few examples each.
#[derive(Debug, Default)]
struct Complaints(BTreeMap<&'static str, Vec<String>>);

impl Complaints {
    fn add(&mut self, what: &'static str, example: String) {
        self.0.entry(what).or_default().push(example);
    }

    fn into_lines(self) -> Vec<String> {
        let line = |(what, all): (&str, Vec<String>)| {
            let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>();
            format!("{what}: {} times, e.g. {}", all.len(), shown.join(", "))
        };
        self.0.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::pod::Pod;
    use super::*;

    const DIED: i64 = 1_700_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(DIED + ms).unwrap()
    }

    fn death(n: usize) -> Death {
        Death {
            pod: Pod::new("worker", n),
            container: format!("c{n}"),
            pid: 17,
            reaped: at(3),
        }
    }

    fn written(death: &Death, opened: i64) -> Written {
        let report = json!({
            "incident": {
                "id": "oom-17-a", "timestamp": at(0), "opened_at": at(opened), "type": "oom", "repeats": 0,
            },
            "verdict": {"grade": "proven", "cause": "memory_limit", "facts": {"pid": 17}},
            "completeness": {"complete": true},
            "pod": {"uid": death.pod.uid, "name": death.pod.name, "namespace": death.pod.namespace},
            "containers": [{"role": "subject", "container_id": death.container}],
        });
        Written {
            report: serde_json::from_value(report).unwrap(),
            at: at(700),
        }
    }

    #[test]
    fn true_reports_pass() {
        let deaths = [death(0), death(1)];
        let reports = [written(&deaths[1], -2), written(&deaths[0], 900)];
        let findings = compare(&deaths, &[], &reports);
        assert!(findings.rows.iter().all(Row::holds), "{findings:?}");
        assert_eq!(findings.complaints, Vec::<String>::new());
        let spread = Spread {
            median: -2,
            p99: 900,
            max: 900,
        };
        assert_eq!((findings.opened_ms, findings.complete), (spread, 2));
    }

    #[test]
    fn missing_late_and_double_reports_are_told() {
        let deaths = [death(0), death(1), death(2)];
        let reports = [
            written(&deaths[0], 1001),
            written(&deaths[1], 1),
            written(&deaths[1], 1),
            written(&death(3), 1),
        ];
        let told = compare(&deaths, &[], &reports).complaints;
        assert_eq!(
            told.iter()
                .map(|line| line.split(':').next().unwrap())
                .collect::<Vec<_>>(),
            [
                "a report of no pod that died",
                "no report",
                "opened too late",
                "reported more than once"
            ]
        );
    }

    #[test]
    fn what_is_not_so_is_told() {
        let deaths = [death(0)];
        let mut one = written(&deaths[0], 1);
        one.report.incident.kind = "crash".to_owned();
        one.report.verdict.grade = "likely".to_owned();
        one.report.containers[0].container_id = None;
        let told = compare(&deaths, &[], &[one]).complaints;
        assert_eq!(told.len(), 3, "{told:?}");
    }
}
