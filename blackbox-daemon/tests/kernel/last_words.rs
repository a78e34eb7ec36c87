//! What a process leaves at its end: the argument of the call that failed, what it said, and where it was.

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::timing::wait_for;

use crate::lab::{self, DAEMON, Lab, Life, VICTIM};

/// Runs a script as the first process of a pid namespace and returns the report on its cgroup.
fn contained(lab: &mut Lab, name: &str, script: &str) -> Result<Value> {
    let cgroup = lab::cgroup(name)?;
    let args = ["--pid", "--fork", "--kill-child", "sh", "-c", script];
    let life = Life::start(&cgroup, "unshare", &args)?;
    assert_eq!(life.end()?.0.code(), Some(3));
    lab.report_on(&cgroup)
}

fn texts(report: &Value) -> Vec<&str> {
    let all = report["last_words"].as_array().into_iter().flatten();
    all.filter_map(|said| said["text"].as_str()).collect()
}

#[test]
fn the_path_that_was_missing_and_what_was_said_of_it() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let script =
        "sleep 0.2; cat /etc/no-such.yaml; echo connecting with password=hUnter2-x9Qz7 >&2; exit 3";
    let report = contained(&mut lab, "words", script)?;

    let calls = report["failed_calls"].as_array().context("no calls")?;
    let missing = |call: &&Value| call["argument"] == "/etc/no-such.yaml";
    let call = calls.iter().find(missing).context("no such path")?;
    assert_eq!(call["errno"], "ENOENT", "{call:#}");

    let said = texts(&report);
    assert!(
        said.iter().any(|text| text.contains("/etc/no-such.yaml")),
        "{said:?}"
    );
    let with = said.iter().find(|text| text.contains("connecting with"));
    with.context("what the shell said is missing")?;
    assert!(!report.to_string().contains("hUnter2"), "a secret was kept");
    Ok(())
}

#[test]
fn words_are_not_kept_when_nobody_wants_them() -> Result<()> {
    let mut lab = Lab::start(&[("BLACKBOX_LAST_WORDS", "false")])?;
    let report = contained(&mut lab, "no-words", "sleep 0.2; echo quiet; exit 3")?;
    assert!(texts(&report).is_empty(), "{:?}", texts(&report));
    Ok(())
}

#[test]
fn a_fault_leaves_its_place_and_its_stack() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("crash-stack")?;
    let (pid, _, _) = lab::run(&cgroup, &["segv-wild"])?;
    let report = lab.report(pid)?;
    let stacks = lab::entries(&report, &cgroup, "crash_stack");
    assert_eq!(stacks.len(), 1, "{stacks:#?}");
    // Frame pointers may lead nowhere in a program built without them; the frame that faulted is always there.
    let told = stacks[0]["value"].as_str().context("no sentence")?;
    let frames = told.rsplit(": ").next().unwrap_or(told);
    let count: u32 = frames.trim_end_matches(" frames").parse()?;
    assert!((1..=32).contains(&count), "{told}");
    assert!(told.contains("at SIGSEGV"), "{told}");
    Ok(())
}

/// The program is gone when its report is made; with its file at hand again, the bundle tells where it was.
#[test]
fn a_bundle_names_the_stack_when_the_files_are_there_again() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let (cgroup, place) = (lab::cgroup("files-later")?, tempfile::tempdir()?);
    let program = place.path().join("crasher");
    std::fs::copy(VICTIM, &program)?;
    let path = program.to_string_lossy().into_owned();
    let (pid, ..) = lab::run_as(&cgroup, &path, &["segv-null"])?;
    std::fs::remove_file(&program)?;
    let (written, report) = lab
        .daemon
        .wait_report(lab::LIMIT, |report| lab::is_about(report, pid))?;
    let own = |report: &Value| {
        let frames = report["stack"]["frames"].as_array().into_iter().flatten();
        let names = frames.filter_map(|frame| frame["function"].as_str());
        names.filter(|name| name.contains("write_to")).count()
    };
    assert_eq!(own(&report), 0, "{:#}", report["stack"]);
    let bundle = written.with_extension("tar.zst");
    let there = wait_for(lab::LIMIT, || anyhow::Ok(bundle.is_file().then_some(())))?;
    there.context("no bundle")?;
    let root = tempfile::tempdir()?;
    let again = root.path().join(path.trim_start_matches('/'));
    std::fs::create_dir_all(again.parent().context("no parent")?)?;
    std::fs::copy(VICTIM, &again)?;
    let output = std::process::Command::new(DAEMON)
        .args(["report", "--format", "json", "--files"])
        .args([root.path(), &bundle])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).context(told)?;
    assert_eq!(own(&report), 1, "{:#}", report["stack"]);
    Ok(())
}
