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
    pub(super) report_path: Option<PathBuf>,
    /// The function of its own in which it faulted or aborted, …
    top: Option<&'static str>,
    /// … and the innermost one of its own that the report names.
    named: Option<String>,
    /// Whether its bundle is whole and gives the same report again, byte for byte.
    pub(super) replayed: bool,
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
            top: case.top,
            named: own_function(&report["stack"]),
            replayed: false,
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

    /// The function that faulted is named, where there is one.
    fn is_named(&self) -> bool {
        // A compiler's clone of a function has a suffix.
        let same = |named: &String| {
            self.top.is_some_and(|top| {
                named.split('.').eq(top.split('.')) || named.starts_with(&format!("{top}."))
            })
        };
        self.top.is_none() || self.named.as_ref().is_some_and(same)
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

/// The innermost function that is neither the C library's nor the language's own.
fn own_function(stack: &Value) -> Option<String> {
    let frames = stack["frames"].as_array()?;
    let own = |frame: &&Value| {
        let module = frame["module"].as_str().unwrap_or_default();
        let function = frame["function"].as_str().unwrap_or_default();
        let of_library = module.contains("/libc.so") || module.contains("/ld-linux");
        let of_language = ["core::", "std::", "runtime."]
            .iter()
            .any(|name| function.starts_with(name));
        !of_library && !of_language && !function.is_empty()
    };
    frames.iter().find(own)?["function"]
        .as_str()
        .map(str::to_owned)
}

/// How many of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    all: usize,
    correct: usize,
    unknown: usize,
    confident_and_wrong: usize,
    /// Functions that faulted, …
    tops: usize,
    /// … and of these the ones named.
    named: usize,
    replayed: usize,
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
            tops: count(|outcome| outcome.top.is_some()),
            named: count(|outcome| outcome.top.is_some() && outcome.is_named()),
            replayed: count(|outcome| outcome.replayed),
        }
    }

    /// Nothing said wrongly, and at most one left unsaid; every function that faulted is named, every bundle replayed.
    pub(super) fn are_good(self) -> bool {
        let told = self.confident_and_wrong == 0 && self.correct + 1 >= self.all;
        told && self.named == self.tops && self.replayed == self.all
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
        if let Some(top) = outcome.top.filter(|_| !outcome.is_named()) {
            let named = outcome.named.as_deref().unwrap_or("none");
            println!("    it faulted in {top}; the report names {named}");
        }
        if !outcome.replayed {
            println!("    its bundle does not give this report again");
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
    println!(
        "{} of {} functions that faulted are named; {} bundles give their report again",
        counts.named, counts.tops, counts.replayed
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::cases::ALL;
    use serde_json::json;

    fn outcome(code: &str, grade: &str) -> Outcome {
        let report = json!({"diagnosis": {"code": code, "grade": grade}});
        let found = Some(("r.json".into(), report));
        Outcome {
            replayed: true,
            ..Outcome::new(&ALL[0], found, true)
        }
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

    #[test]
    fn the_function_that_faulted_is_the_programs_own() {
        let stack = json!({"frames": [
            {"function": "abort", "module": "/lib/libc.so.6"}, {"module": "/app/x"},
            {"function": "core::ptr::read", "module": "/app/x"}, {"function": "sell.part.0", "module": "/app/x"},
        ]});
        assert_eq!(own_function(&stack).as_deref(), Some("sell.part.0"));
        let outcome = |top| Outcome {
            top: Some(top),
            named: own_function(&stack),
            ..outcome("BBX-ABORT", "proven")
        };
        assert!(outcome("sell").is_named());
        assert!(!outcome("sel").is_named());
        assert!(!Counts::of(&[outcome("buy")]).are_good());
    }
}
