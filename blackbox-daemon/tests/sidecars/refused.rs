//! A daemon that is busy, restarting or does not like what it is sent: the examples wait as long as they are asked to,
//! lose nothing that could be accepted, and count what they lose.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::example::{CURL, Example, JAVA, NODE, PYTHON, run};
use crate::stub::{Seen, Stub};

/// Nothing was sent while the answer before had asked for patience; a clock may be early by `slack`.
fn check_patience(seen: &[Seen], slack: Duration) {
    for pair in seen.windows(2) {
        let asked = Duration::from_secs(pair[0].answer.1.unwrap_or(0));
        let waited = pair[1].at.since(pair[0].at);
        assert!(waited + slack >= asked, "{waited:?}: {pair:#?}");
    }
}

/// `--once` tries again until it is accepted: each object once.
async fn check_once(example: &Example) {
    let stub = Stub::start(&[(429, Some(2)), (503, Some(1)), (200, None), (503, Some(1))]).await;
    let mut command = example.command(&stub.url, "key");
    command.arg("--once");
    let output = run(command).await;
    assert!(output.status.success(), "{output:?}");
    let seen = stub.seen();
    check_patience(&seen, Duration::from_millis(50));
    let paths: Vec<&str> = seen.iter().map(|seen| seen.path.as_str()).collect();
    let (telemetry, incident) = ("/api/v1/telemetry", "/api/v1/incident");
    assert_eq!(paths, [telemetry, telemetry, telemetry, incident, incident]);
    assert_eq!(
        (&seen[0].body, &seen[1].body),
        (&seen[2].body, &seen[2].body)
    );
    assert_eq!(seen[3].body, seen[4].body, "its id too: it is one incident");
    assert!(seen.iter().all(|seen| seen.authorization == "Bearer key"));
}

/// Running on, it keeps what is refused for now, drops and counts what is refused for good, reads its token each time,
/// and ends on SIGTERM.
async fn check_running(example: &Example) {
    let stub = Stub::start(&[(400, None), (429, Some(3)), (503, None)]).await;
    let token = NamedTempFile::new().unwrap();
    fs::write(token.path(), "first\n").unwrap();
    let mut command = example.command(&stub.url, "");
    let mut child = command
        .env("BLACKBOX_TOKEN_FILE", token.path())
        .spawn()
        .unwrap();
    stub.until(1).await;
    fs::write(token.path(), "second\n").unwrap();
    stub.until(5).await;
    let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), child.wait()).await;
    assert_eq!(
        ended.unwrap().unwrap().code(),
        Some(example.code_when_stopped)
    );

    let seen = stub.seen();
    // The shell's clock has whole seconds.
    check_patience(&seen, Duration::from_secs(1));
    assert_eq!(seen[0].authorization, "Bearer first");
    assert_eq!(seen[seen.len() - 1].authorization, "Bearer second");
    let (refused, rest) = (seen[0].objects(), &seen[1..]);
    let (accepted, kept): (Vec<&Seen>, Vec<&Seen>) =
        rest.iter().partition(|seen| seen.answer.0 == 200);
    let accepted: Vec<Value> = accepted.into_iter().flat_map(Seen::objects).collect();
    let count = |wanted: &Value| accepted.iter().filter(|object| *object == wanted).count();
    for object in kept
        .into_iter()
        .flat_map(Seen::objects)
        .chain(accepted.clone())
    {
        assert_eq!(count(&object), 1, "{object}");
    }
    for object in &refused {
        assert_eq!(count(object), 0, "it would be refused again: {object}");
    }
    let last = &accepted[accepted.len() - 1]["data"];
    assert_eq!(
        (
            last["telemetry_dropped_total"].as_u64(),
            last["telemetry_errors_total"].as_u64()
        ),
        (Some(1), Some(3))
    );
}

macro_rules! examples {
    ($($name:ident: $example:expr,)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn is_patient() {
                check_once(&$example).await;
            }

            #[tokio::test]
            async fn keeps_what_is_refused_for_now() {
                check_running(&$example).await;
            }
        }
    )*};
}

examples! {
    curl: CURL,
    python: PYTHON,
    node: NODE,
    java: JAVA,
}
