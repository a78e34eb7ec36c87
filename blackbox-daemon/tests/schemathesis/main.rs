//! The API's description is valid and true: schemathesis asks the built daemon whatever it allows and forbids.
//!
//! No server error, no answer that is not described, nothing refused that fits, nothing accepted that does not: with
//! a key, without one and with a wrong one. The endless stream is asked only what it refuses; `stream` reads one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "../api/running.rs"]
#[expect(dead_code, reason = "the tests of the API use the rest")]
mod running;

mod description;
mod run;
mod stream;

use run::{Keys, Lab, Run};

/// Requests of each kind and operation in the short form; some 1,100 in all with a key.
const SHORT: u32 = 30;
/// The same in the long form.
const LONG: u32 = 500;
/// Everything but `stream_events`, whose answer never ends.
const ENDING: [&str; 2] = ["--exclude-operation-id", "stream_events"];
/// All phases but the one that follows links from operation to operation.
const ALONE: &str = "examples,coverage,fuzzing";

#[tokio::test]
async fn with_a_key_everything_is_as_described() {
    let lab = Lab::start().await;
    check_with_keys(&lab, SHORT);
}

#[tokio::test]
#[ignore = "minutes: the same with many more requests"]
async fn with_a_key_everything_is_as_described_at_length() {
    let lab = Lab::start().await;
    check_with_keys(&lab, LONG);
}

fn check_with_keys(lab: &Lab, examples: u32) {
    let answers = lab.run(&Run {
        keys: Keys::Many,
        examples,
        arguments: &ENDING,
    });
    assert_eq!(answers.operations().count(), 8, "{answers:?}");
    for operation in answers.operations() {
        // Otherwise the checks have seen refusals only, or the limits have hidden the handlers.
        assert!(answers.of(operation, 200) > 2, "{operation}: {answers:?}");
        assert_eq!(answers.of(operation, 429), 0, "{operation}: {answers:?}");
    }
}

/// What the stream refuses, it refuses at once; what it accepted would meet the request's time-out, an error.
#[tokio::test]
async fn the_stream_refuses_what_its_description_forbids() {
    let lab = Lab::start().await;
    let answers = lab.run(&Run {
        keys: Keys::Many,
        examples: SHORT,
        arguments: &[
            "--include-operation-id",
            "stream_events",
            "--mode",
            "negative",
            "--phases",
            ALONE,
        ],
    });
    assert!(answers.of("GET /api/v1/stream", 400) > 3, "{answers:?}");
}

#[tokio::test]
async fn without_a_valid_key_all_but_health_is_refused() {
    let lab = Lab::start().await;
    for keys in [Keys::None, Keys::Wrong] {
        let answers = lab.run(&Run {
            keys,
            examples: SHORT / 2,
            arguments: &[],
        });
        assert_eq!(answers.operations().count(), 9, "{answers:?}");
        for operation in answers.operations() {
            if operation == "GET /api/v1/health" {
                assert!(answers.of(operation, 200) > 0, "{answers:?}");
            } else {
                assert_eq!(answers.statuses(operation), [401], "{keys:?} {answers:?}");
            }
        }
    }
}

#[tokio::test]
async fn refusals_for_asking_too_often_are_as_described() {
    let lab = Lab::start().await;
    let answers = lab.run(&Run {
        keys: Keys::One,
        examples: SHORT,
        arguments: &["--include-operation-id", "export_window", "--phases", ALONE],
    });
    let operation = "GET /api/v1/export";
    assert!(
        answers.of(operation, 200) > 0 && answers.of(operation, 429) > 0,
        "{answers:?}"
    );
}
