//! Applications with an example in them crash: they end as they would have without it, and a report tells why.

use std::path::PathBuf;

use tempfile::TempDir;
use tokio::process::Command;

use crate::example::{CURL, Example, JAVA, NODE, PYTHON, program, run};
use crate::running::{KEY, Running};
use crate::{Expected, check_report, report, url};

fn application(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/sidecars")
        .join(name)
}

async fn check(
    example: &Example,
    command: impl Fn(&str) -> Command,
    code: i32,
    expected: &Expected,
) {
    let running = Running::start(&[]).await;
    let output = run(command(&url(&running))).await;
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let report = report(&running).await;
    check_report(&report, example, expected);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (key, text) = expected.context;
    assert!(
        key != "stack" || said.contains(text),
        "the runtime's own trace is gone: {said}"
    );
}

#[tokio::test]
async fn a_command_that_fails() {
    const SCRIPT: &str = "sleep 0.5; : '\"\\'; exit 7";
    let command = |url: &str| {
        let mut command = CURL.command(url, KEY);
        command.args(["sh", "-c", SCRIPT]);
        command
    };
    let expected = Expected {
        kind: "crash",
        message: "sh ended with code 7",
        context: ("command", SCRIPT),
    };
    check(&CURL, command, 7, &expected).await;
}

async fn check_python(argument: &str, kind: &'static str, message: &'static str) {
    let command = |url: &str| {
        let mut command = program("python3", url, KEY);
        let folder = PYTHON.path();
        command
            .env("PYTHONPATH", folder.parent().unwrap())
            .arg("-B") // leaves no compiled file beside the example
            .arg(application("app.py"))
            .arg(argument);
        command
    };
    let context = ("stack", "in charge_the_card");
    let expected = Expected {
        kind,
        message,
        context,
    };
    check(&PYTHON, command, 1, &expected).await;
}

#[tokio::test]
async fn a_python_application() {
    let message = "ValueError: order 7: the card reader is on fire ?";
    check_python("", "crash", message).await;
}

#[tokio::test]
async fn a_python_application_out_of_memory() {
    check_python("oom", "oom", "MemoryError").await;
}

#[tokio::test]
async fn a_node_application() {
    let command = |url: &str| {
        let mut command = program("node", url, KEY);
        let (example, application) = (NODE.path(), application("app.mjs"));
        command.env("SIDECAR", example).arg(application);
        command
    };
    let expected = Expected {
        kind: "crash",
        message: "RangeError: order 7: the card reader is on fire \u{fffd}",
        context: ("stack", "at chargeTheCard"),
    };
    check(&NODE, command, 1, &expected).await;
}

async fn check_java(arguments: &[&str], kind: &'static str, message: &'static str) {
    let classes = TempDir::new().unwrap();
    let mut compiler = program("javac", "", "");
    compiler
        .args(["--release", "11", "-Xlint:all", "-Werror", "-d"])
        .arg(classes.path())
        .args([JAVA.path(), application("App.java")]);
    let output = run(compiler).await;
    assert!(output.status.success(), "{output:?}");
    let command = |url: &str| {
        let mut command = program("java", url, KEY);
        command
            .args(["-Xmx64m", "-cp"])
            .arg(classes.path())
            .arg("App")
            .args(arguments);
        command
    };
    let context = ("stack", "at App.chargeTheCard(App.java:");
    let expected = Expected {
        kind,
        message,
        context,
    };
    check(&JAVA, command, 1, &expected).await;
}

#[tokio::test]
async fn a_java_application() {
    let message = "IllegalStateException: order 7: the card reader is on fire ?";
    check_java(&[], "crash", message).await;
}

#[tokio::test]
async fn a_java_application_out_of_memory() {
    check_java(&["oom"], "oom", "OutOfMemoryError").await;
}
