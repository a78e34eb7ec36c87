//! Starts that cannot be as they were meant: a clear refusal, or a degradation by name; never a panic.

use std::fs;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use xtask::stage::{Daemon, DaemonOptions};

use crate::lab::{DAEMON, LIMIT};

/// Runs the daemon to its early end.
fn refused(env: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new("timeout");
    command
        .args(["20", DAEMON])
        .env("BLACKBOX_KUBERNETES", "off");
    Ok(command.envs(env.iter().copied()).output()?)
}

#[test]
fn an_output_directory_that_cannot_be_is_refused() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("file");
    fs::write(&file, "not a directory")?;
    let below = file.join("reports").display().to_string();
    let output = refused(&[("BLACKBOX_OUTPUT_PATH", &below)])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    let error = said.lines().last().unwrap_or_default();
    assert!(
        error.starts_with("error: cannot keep reports in "),
        "{said}"
    );
    assert!(
        error.contains(&below) && error.contains("BLACKBOX_OUTPUT_PATH"),
        "{said}"
    );
    Ok(())
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_named() -> Result<()> {
    let output = refused(&[("BLACKBOX_SETTLE_TIMES", "2s")])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("unknown key BLACKBOX_SETTLE_TIMES"), "{said}");
    assert!(
        said.contains("did you mean BLACKBOX_SETTLE_TIME?"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_wrong_value_is_refused_with_what_is_allowed() -> Result<()> {
    let output = refused(&[("BLACKBOX_RING_BULK_BYTES", "3MiB")])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["BLACKBOX_RING_BULK_BYTES", "3MiB", "power of two"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    Ok(())
}

/// Without /proc nothing can be sampled or named: each source says so, and the daemon stays up and stops cleanly.
#[test]
fn an_empty_proc_root_degrades_by_name() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let proc = directory.path().join("proc");
    fs::create_dir(&proc)?;
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: DAEMON.into(),
        directory: directory.path().join("run"),
        env: vec![("BLACKBOX_PROC_ROOT".into(), proc.display().to_string())],
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(LIMIT)?;
    // Long enough for the samplers to have tried.
    thread::sleep(Duration::from_millis(2500));
    let log = daemon.log()?;
    for source in ["ebpf", "cgroup", "procfs"] {
        let of_source = |line: &&str| line.contains(&format!("source=\"{source}\""));
        let line = log.lines().find(of_source).unwrap_or_default();
        let named = line.contains("source failed") || line.contains("source degraded");
        assert!(named && line.contains("why="), "{source}: {log}");
    }
    assert!(log.contains(&proc.display().to_string()), "{log}");
    assert_eq!(daemon.stop()?.code(), Some(0));
    assert!(!daemon.log()?.contains("panicked"));
    Ok(())
}
