//! A daemon for one test, cgroups and processes of its own, and what its reports say of them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use xtask::stage::{Cgroup, Daemon, DaemonOptions};
use xtask::timing::wait_for;

/// How long a daemon, a process or a report may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The built daemon.
pub(crate) const DAEMON: &str = env!("CARGO_BIN_EXE_blackbox-daemon");
/// Names another build of the daemon to be tested, e.g. of the release profile.
const OTHER: &str = "TESTED_DAEMON";
/// The built victim.
pub(crate) const VICTIM: &str = env!("CARGO_BIN_EXE_blackbox-victim");
/// The victim's name, whole as the kernel keeps it.
pub(crate) const VICTIM_COMM: &str = "blackbox-victim";

/// Watched beside [`xtask::deaths::WATCH_CGROUPS`]; the test's cgroups are below.
const WATCH: &str = "/blackbox-demo-*,/blackbox-test-*";

/// A recording daemon. Dropped, it is stopped and its files are removed; a system call that its filter denied fails the test.
pub(crate) struct Lab {
    pub(crate) daemon: Daemon,
    _directory: TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let ended = self.daemon.stop();
            assert!(ended.is_ok(), "{ended:?}");
        }
    }
}

impl Lab {
    /// Starts a daemon that settles soon and reports each death, unless `env` says otherwise; waits until it records.
    pub(crate) fn start(env: &[(&str, &str)]) -> Result<Self> {
        Self::start_below(&[], env)
    }

    /// Likewise, started by `wrapper`.
    pub(crate) fn start_below(wrapper: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, wrapper, env)
    }

    /// Likewise, in a directory of this mode.
    pub(crate) fn start_in_mode(mode: u32, wrapper: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode))?;
        Self::start_in(directory, wrapper, env)
    }

    fn start_in(directory: TempDir, wrapper: &[&str], env: &[(&str, &str)]) -> Result<Self> {
        let defaults = [
            ("BLACKBOX_WATCH_CGROUPS", WATCH),
            ("BLACKBOX_SETTLE_TIME", "500ms"),
            ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
            // A debug build takes more than the recorder may.
            ("BLACKBOX_CPU_BUDGET_PERCENT", "100"),
        ];
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut daemon = Daemon::start(&DaemonOptions {
            binary: std::env::var_os(OTHER)
                .unwrap_or_else(|| DAEMON.into())
                .into(),
            directory: directory.path().to_owned(),
            env: defaults.iter().chain(env).map(owned).collect(),
            wrapper: wrapper.iter().map(|word| (*word).to_owned()).collect(),
        })?;
        daemon.wait_ready(LIMIT)?;
        Ok(Self {
            daemon,
            _directory: directory,
        })
    }

    /// Waits for the report about a process.
    pub(crate) fn report(&mut self, pid: u32) -> Result<Value> {
        let (_path, report) = self
            .daemon
            .wait_report(LIMIT, |report| is_about(report, pid))?;
        Ok(report)
    }

    /// Ends a life in `cgroup` by SIGKILL and waits for the report: what the daemon knows of that cgroup by then.
    pub(crate) fn report_on(&mut self, cgroup: &Cgroup) -> Result<Value> {
        let pid = Life::start(cgroup, VICTIM, &["sleep"])?.kill()?;
        self.report(pid)
    }

    /// Stops the daemon in an orderly way, which writes every report, and returns those about a process.
    pub(crate) fn reports_at_the_end(&mut self, pid: u32) -> Result<Vec<Value>> {
        let status = self.daemon.stop()?;
        assert_eq!(status.code(), Some(0), "{}", self.daemon.log()?);
        let mut reports = self.daemon.reports()?;
        reports.retain(|report| is_about(report, pid));
        Ok(reports)
    }
}

/// Whether a report is about this process.
pub(crate) fn is_about(report: &Value, pid: u32) -> bool {
    report["verdict"]["facts"]["pid"] == pid
}

/// A cgroup that no other test and no other run has.
pub(crate) fn cgroup(name: &str) -> Result<Cgroup> {
    Cgroup::create(&format!("blackbox-test-{}/{name}", std::process::id()))
}

/// The telemetry entries of this name in `cgroup`.
pub(crate) fn entries<'a>(report: &'a Value, cgroup: &Cgroup, name: &str) -> Vec<&'a Value> {
    let place = format!("cgroup {}", cgroup.path());
    let all = report["telemetry"].as_array().into_iter().flatten();
    all.filter(|entry| entry["name"] == name && entry["tags"]["cgroup"] == place.as_str())
        .collect()
}

/// Everything a report concludes or shows as evidence, as text: without the raw telemetry.
pub(crate) fn said(report: &Value) -> String {
    ["incident", "verdict", "evidence"]
        .map(|part| report[part].to_string())
        .join("\n")
}

/// A process in a cgroup, with its standard output kept. Dropped, it is killed.
pub(crate) struct Life {
    child: Option<Child>,
    pid: u32,
}

impl Life {
    /// Starts `program` in `cgroup` and waits until it is that program and no longer a copy of this one.
    pub(crate) fn start(cgroup: &Cgroup, program: &str, args: &[&str]) -> Result<Self> {
        let mut command = cgroup.command(program)?;
        command.args(args).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).spawn().context("spawning")?;
        let life = Self {
            pid: child.id(),
            child: Some(child),
        };
        let own = std::fs::read_to_string("/proc/self/comm")?;
        let comm = PathBuf::from(format!("/proc/{}/comm", life.pid));
        // A thread other than the main one may have started it: then it bore that thread's name.
        let thread = std::fs::read_to_string("/proc/thread-self/comm")?;
        let became = wait_for(LIMIT, || {
            let name = std::fs::read_to_string(&comm)?;
            anyhow::Ok((name != own && name != thread).then_some(()))
        })?;
        became.with_context(|| format!("{program} did not start"))?;
        Ok(life)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it by SIGKILL from this process, reaps it, and returns the pid it had.
    pub(crate) fn kill(mut self) -> Result<u32> {
        let mut child = self.child.take().context("it has ended")?;
        child.kill()?;
        child.wait()?;
        Ok(self.pid)
    }

    /// Waits until it says `word` on a line of its own.
    pub(crate) fn wait_for_word(&mut self, word: &str) -> Result<()> {
        use std::io::Read as _;
        let stdout = self.child.as_mut().and_then(|child| child.stdout.as_mut());
        let mut heard = vec![0; word.len() + 1];
        stdout.context("no output")?.read_exact(&mut heard)?;
        assert_eq!(heard, format!("{word}\n").into_bytes());
        Ok(())
    }

    /// Waits for its own end; returns how that was and what it wrote.
    pub(crate) fn end(mut self) -> Result<(ExitStatus, String)> {
        let mut child = self.child.take().context("it has ended")?;
        if wait_for(LIMIT, || child.try_wait())?.is_none() {
            child.kill()?;
            child.wait()?;
            bail!("process {} did not end by itself", self.pid);
        }
        let output = child.wait_with_output()?;
        Ok((output.status, String::from_utf8(output.stdout)?))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already or reaped by nobody: a failed test has told its reason.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Runs the victim in `cgroup` to its own end.
pub(crate) fn run(cgroup: &Cgroup, args: &[&str]) -> Result<(u32, ExitStatus, String)> {
    run_as(cgroup, VICTIM, args)
}

/// Runs `program` likewise.
pub(crate) fn run_as(
    cgroup: &Cgroup,
    program: &str,
    args: &[&str],
) -> Result<(u32, ExitStatus, String)> {
    let mut command = cgroup.command(program)?;
    command.args(args).stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).spawn()?;
    let life = Life {
        pid: child.id(),
        child: Some(child),
    };
    let pid = life.pid;
    let (status, output) = life.end()?;
    Ok((pid, status, output))
}

/// Sends `signal` to `pid` from a process named `blackbox-killer` in `cgroup`; returns the pid of that process.
pub(crate) fn send(cgroup: &Cgroup, pid: u32, signal: &str) -> Result<u32> {
    let (killer, status, _) = run(cgroup, &["kill", &pid.to_string(), signal])?;
    assert!(status.success(), "the signal could not be sent: {status}");
    Ok(killer)
}

/// Values of `key` in `/proc/PID/task/*/status`, one for each thread.
pub(crate) fn of_each_thread(pid: u32, key: &str) -> Result<Vec<String>> {
    let mut values = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path().join("status");
        let status = std::fs::read_to_string(&path)?;
        let value = status.lines().find_map(|line| line.strip_prefix(key));
        values.push(value.context("no such key")?.trim().to_owned());
    }
    Ok(values)
}

/// Every thread has this value of `key` in its `/proc/PID/task/*/status`.
pub(crate) fn each_thread(pid: u32, key: &str, value: &str) -> Result<()> {
    let values = of_each_thread(pid, key)?;
    assert!(values.len() > 2, "{values:?}");
    assert!(values.iter().all(|one| one == value), "{key} {values:?}");
    Ok(())
}
