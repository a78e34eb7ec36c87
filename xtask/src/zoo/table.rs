//! What was said of each case, as a table, as counts and as JSON. Pure, but for printing.
#![expect(clippy::print_stdout, reason = "the table is the command's result")]

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::cases::Case;

const UNKNOWN: &str = "BBX-UNKNOWN";

/// One case and what the recorder said of it.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    case: &'static str,
    language: &'static str,
    expected: &'static [&'static str],
    code: Option<String>,
    grade: Option<String>,
    summary: Option<String>,
    /// The verdict's: who or what ended it.
    cause: Option<String>,
    headline: Option<String>,
    correct: bool,
    /// Whether the report is about the process that died, not about another of its container.
    right_process: bool,
    report_path: Option<PathBuf>,
    /// Why there is nothing to judge; absent where the case was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl Outcome {
    pub(super) fn new(case: &Case, found: Option<(PathBuf, Value)>, right_process: bool) -> Self {
        let (path, report) =
            found.map_or((None, Value::Null), |(path, report)| (Some(path), report));
        let text = |part: &str, key: &str| report[part][key].as_str().map(str::to_owned);
        let code = text("diagnosis", "code");
        Self {
            case: case.name,
            language: case.language.name(),
            expected: case.expected,
            correct: code
                .as_deref()
                .is_some_and(|code| case.expected.contains(&code)),
            code,
            grade: text("diagnosis", "grade"),
            summary: text("diagnosis", "summary"),
            cause: text("verdict", "cause"),
            headline: text("verdict", "headline"),
            right_process,
            report_path: path,
            failure: None,
        }
    }

    /// A case that could not be played.
    pub(super) fn failed(case: &Case, why: String) -> Self {
        Self {
            failure: Some(why),
            ..Self::new(case, None, false)
        }
    }

    /// No diagnosis, or one that says that it does not know.
    fn is_unknown(&self) -> bool {
        self.code.as_deref().is_none_or(|code| code == UNKNOWN)
    }

    /// The one thing a recorder must never be.
    fn is_confident_and_wrong(&self) -> bool {
        let confident = matches!(self.grade.as_deref(), Some("proven" | "likely"));
        confident && !self.correct && !self.is_unknown()
    }
}

/// How many of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    all: usize,
    correct: usize,
    unknown: usize,
    confident_and_wrong: usize,
}

impl Counts {
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let count =
            |is: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
        Self {
            all: outcomes.len(),
            correct: count(|outcome| outcome.correct),
            unknown: count(Outcome::is_unknown),
            confident_and_wrong: count(Outcome::is_confident_and_wrong),
        }
    }

    /// Nothing said wrongly, and at most one left unsaid.
    pub(super) fn are_good(self) -> bool {
        self.confident_and_wrong == 0 && self.correct + 1 >= self.all
    }
}

/// Prints the table and the counts.
pub(super) fn print(outcomes: &[Outcome]) {
    println!(
        "\n{:<20} {:<7} {:<30} {:<24} {:<8} correct",
        "case", "in", "expected", "code", "grade"
    );
    for outcome in outcomes {
        println!(
            "{:<20} {:<7} {:<30} {:<24} {:<8} {}",
            outcome.case,
            outcome.language,
            outcome.expected.join(" "),
            outcome.code.as_deref().unwrap_or("no report"),
            outcome.grade.as_deref().unwrap_or("—"),
            if outcome.correct { "yes" } else { "NO" },
        );
        if let Some(why) = &outcome.failure {
            println!("    not played: {why}");
        } else if !outcome.right_process {
            println!("    the report is not about the process that died");
        }
        if let (Some(cause), Some(headline)) = (&outcome.cause, &outcome.headline) {
            println!("    {cause}: {headline}");
        }
    }
    let counts = Counts::of(outcomes);
    println!(
        "\n{} cases: {} correct, {} unknown, {} confident and wrong",
        counts.all, counts.correct, counts.unknown, counts.confident_and_wrong
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::cases::ALL;
    use serde_json::json;

    fn outcome(code: &str, grade: &str) -> Outcome {
        let report = json!({"diagnosis": {"code": code, "grade": grade}});
        Outcome::new(&ALL[0], Some(("r.json".into(), report)), true)
    }

    #[test]
    fn one_unknown_is_forgiven_and_one_confident_error_is_not() {
        let right = || outcome(ALL[0].expected[0], "likely");
        assert!(Counts::of(&[right(), outcome(UNKNOWN, "unknown")]).are_good());
        assert!(Counts::of(&[right(), outcome("BBX-DNS", "possible")]).are_good());
        assert!(!Counts::of(&[right(), outcome("BBX-DNS", "likely")]).are_good());
        let failed = || Outcome::failed(&ALL[0], "no cgroup".to_owned());
        assert!(!Counts::of(&[right(), failed(), failed()]).are_good());
    }
}
