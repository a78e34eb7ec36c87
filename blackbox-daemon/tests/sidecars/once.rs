//! With `--once` an example sends telemetry and an incident, and both are found again; with a wrong key it says so.

use serde_json::json;

use crate::example::{CURL, Example, JAVA, NAMESPACE, NODE, POD, PYTHON, run};
use crate::running::{KEY, Running};
use crate::{Expected, check_entries, check_report, report, url};

async fn check(example: &Example, context: (&'static str, &'static str)) {
    let running = Running::start(&[]).await;
    let mut command = example.command(&url(&running), KEY);
    command.arg("--once");
    let output = run(command).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let window = format!("/api/v1/window?pod={POD}&namespace={NAMESPACE}&kind=telemetry");
    let is_there = |answer: &crate::running::Answer| answer.json()["entries"] != json!([]);
    let found = running.until(&window, is_there).await.json();
    check_entries(&found["entries"], example);
    let expected = Expected {
        kind: "crash",
        message: "a trial of the sidecar: nothing crashed",
        context,
    };
    check_report(&report(&running).await, example, &expected);

    let mut command = example.command(&url(&running), "not-the-key");
    command.arg("--once");
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("401") && said.contains("Unauthorized"),
        "{said}"
    );
    assert!(!said.contains("not-the-key"), "it shows its key: {said}");
}

#[tokio::test]
async fn what_curl_sends_is_found_again() {
    check(&CURL, ("command", "none")).await;
}

#[tokio::test]
async fn what_python_sends_is_found_again() {
    check(&PYTHON, ("stack", "sidecar.py\", line")).await;
}

#[tokio::test]
async fn what_node_sends_is_found_again() {
    check(&NODE, ("stack", "at main (file://")).await;
}

#[tokio::test]
async fn what_java_sends_is_found_again() {
    check(&JAVA, ("stack", "at Sidecar.main(Sidecar.java:")).await;
}
