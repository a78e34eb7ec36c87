//! What the daemon needs to start, what it keeps (one thread what attaching needs), and what it says when it is missing.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::lab::{self, DAEMON, Lab, Life, VICTIM};

/// CAP_PERFMON and CAP_BPF by number (linux/capability.h): older setpriv do not know the names.
const ONLY_BPF: [&str; 3] = [
    "setpriv",
    "--bounding-set=-all,+cap_38,+cap_39",
    "--inh-caps=-all",
];
const NOTHING: [&str; 3] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];

#[test]
fn two_capabilities_suffice_and_one_thread_keeps_them() -> Result<()> {
    let mut lab = Lab::start_below(&ONLY_BPF, &[])?;
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        let mut of_threads = lab::of_each_thread(lab.daemon.pid(), set)?;
        assert!(of_threads.len() > 2, "{of_threads:?}");
        of_threads.retain(|caps| caps != "0000000000000000");
        // The thread that attaches programs keeps the two it needs for that.
        let kept: &[&str] = match set {
            "CapEff:" | "CapPrm:" => &["000000c000000000"],
            _ => &[],
        };
        assert_eq!(of_threads, kept, "{set}");
    }
    lab::each_thread(lab.daemon.pid(), "NoNewPrivs:", "1")?;
    // Each thread has a filter of system calls: mode 2 (linux/seccomp.h).
    lab::each_thread(lab.daemon.pid(), "Seccomp:", "2")?;
    let (cgroup, elsewhere) = (lab::cgroup("bare")?, lab::cgroup("bare-sender")?);
    let sleeper = Life::start(&cgroup, VICTIM, &["sleep"])?;
    let pid = sleeper.pid();
    let sender = lab::send(&elsewhere, pid, "9")?;
    sleeper.end()?;
    let report = lab.report(pid)?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["grade"], "proven", "{verdict:#}");
    assert_eq!(verdict["cause"], "killed_by_signal", "{verdict:#}");
    assert_eq!(verdict["facts"]["sender_pid"], sender, "{verdict:#}");
    assert_eq!(source(&report, "ebpf"), "ok", "every hook is attached");
    assert_eq!(report["completeness"]["complete"], true);
    Ok(())
}

/// Started with everything: the sets that bound what a program that is executed may have are empty too.
#[test]
fn nothing_is_left_of_all_capabilities() -> Result<()> {
    let lab = Lab::start(&[])?;
    let pid = lab.daemon.pid();
    let none = "0000000000000000";
    for set in ["CapBnd:", "CapAmb:", "CapInh:"] {
        lab::each_thread(pid, set, none)?;
    }
    // Whose memory cannot be dumped, has its files in /proc given to root, and these are not for its user (proc(5)).
    let environment = std::path::PathBuf::from(format!("/proc/{pid}/environ"));
    let as_user = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "cat"])
        .arg(environment)
        .output()?;
    assert!(!as_user.status.success(), "its memory can be read");
    Ok(())
}

#[test]
fn without_the_filter_it_says_so() -> Result<()> {
    let mut lab = Lab::start(&[("BLACKBOX_SECCOMP", "off")])?;
    lab::each_thread(lab.daemon.pid(), "Seccomp:", "0")?;
    lab::each_thread(lab.daemon.pid(), "NoNewPrivs:", "1")?;
    assert!(lab.daemon.log()?.contains("seccomp=false"));
    assert_eq!(lab.daemon.stop()?.code(), Some(0));
    Ok(())
}

fn source(report: &Value, name: &str) -> Value {
    let sources = report["completeness"]["sources"].as_array();
    let mut lines = sources.into_iter().flatten();
    let line = lines.find(|line| line["source"] == name);
    line.map_or(Value::Null, |line| line["state"].clone())
}

/// It starts, names what it lacks, and goes on with what needs no privilege.
#[test]
fn without_capabilities_it_says_what_is_missing() -> Result<()> {
    let mut lab = Lab::start_below(&NOTHING, &[])?;
    let log = lab.daemon.log()?;
    let failed = log
        .lines()
        .find(|line| line.contains("source failed") && line.contains("ebpf"));
    let failed = failed.unwrap_or_default();
    assert!(
        failed.contains("this process lacks CAP_BPF and CAP_PERFMON"),
        "{log}"
    );
    assert_eq!(lab.daemon.stop()?.code(), Some(0));
    assert!(!lab.daemon.log()?.contains("panicked"));
    Ok(())
}

/// What `doctor` prints, and its exit code.
fn doctor(wrapper: [&str; 3]) -> Result<(String, Option<i32>)> {
    let directory = tempfile::tempdir()?;
    let [program, arguments @ ..] = wrapper;
    let mut command = Command::new(program);
    command.args(arguments).args([DAEMON, "doctor"]);
    let output = command
        .env("BLACKBOX_OUTPUT_PATH", directory.path())
        .output()?;
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

#[test]
fn doctor_names_the_missing_capability() -> Result<()> {
    let (table, code) = doctor(NOTHING)?;
    assert_eq!(code, Some(1), "{table}");
    let of_capabilities = |line: &&str| line.starts_with("capabilities");
    let line = table.lines().find(of_capabilities).unwrap_or_default();
    assert!(line.contains("failed"), "{table}");
    assert!(line.contains("CAP_BPF"), "{table}");
    Ok(())
}

#[test]
fn doctor_finds_all_hooks_with_two_capabilities() -> Result<()> {
    let (table, code) = doctor(ONLY_BPF)?;
    assert_eq!(code, Some(0), "{table}");
    let hooks: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("hook "))
        .collect();
    assert_eq!(hooks.len(), 7, "{table}");
    assert!(hooks.iter().all(|hook| hook.contains("  ok ")), "{table}");
    for (line, said) in [
        (
            "capabilities after start",
            "none; CAP_BPF and CAP_PERFMON in the one thread",
        ),
        (
            "user after start",
            "0:0: the functions in the stack of a crash",
        ),
        ("seccomp filter", "was denied; no_new_privs is set"),
    ] {
        let line = table
            .lines()
            .find(|it| it.starts_with(line))
            .unwrap_or_default();
        assert!(
            line.contains("  ok ") && line.contains(said),
            "{said}: {table}"
        );
    }
    Ok(())
}
