//! The built daemon, started for a test or the demo: its log, its reports, its end.
//!
//! Everything it writes is under one directory: `daemon.log` and `reports/`. Nothing of our own `BLACKBOX_*`
//! environment reaches it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::exec;
use crate::timing::wait_for;

/// How long the daemon may take to drain after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What the log says once every hook is attached and the window fills.
const READY: &str = "recording";

/// What the log says when the daemon made a system call that its own filter denied.
const DENIED: &str = "the seccomp filter denied";

/// How to start the daemon.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// The built `blackbox-daemon`.
    pub binary: PathBuf,
    /// Where its log and reports go; made if it is missing.
    pub directory: PathBuf,
    /// Added to its environment, or in place of the defaults.
    pub env: Vec<(String, String)>,
    /// A command that starts it, e.g. `["setpriv", "--bounding-set", "-all"]`; empty for none.
    pub wrapper: Vec<String>,
}

/// A running daemon. Dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    command_line: String,
    directory: PathBuf,
    status: Option<ExitStatus>,
}

impl Daemon {
    /// Starts the daemon, without Kubernetes.
    ///
    /// # Errors
    /// The directory cannot be written or the program cannot be started.
    pub fn start(options: &DaemonOptions) -> Result<Self> {
        let directory = &options.directory;
        fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        let log_path = directory.join("daemon.log");
        let log =
            File::create(&log_path).with_context(|| format!("making {}", log_path.display()))?;

        let mut words = options
            .wrapper
            .iter()
            .map(AsRef::as_ref)
            .chain([options.binary.as_os_str()]);
        let mut command = Command::new(words.next().context("nothing to start")?);
        command.args(words).env_remove("NODE_NAME");
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("BLACKBOX_") {
                command.env_remove(key);
            }
        }
        command
            .env("BLACKBOX_KUBERNETES", "off")
            .env("BLACKBOX_OUTPUT_PATH", directory.join("reports"))
            .env("BLACKBOX_OUTPUT_FORMATTERS", "default,json,csv")
            .env("BLACKBOX_LOG_JSON", "false")
            // Its port is fixed: two daemons of two tests would want it.
            .env("BLACKBOX_METRICS_ENABLED", "false")
            .envs(options.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let command_line = exec::line(&command);
        let child = command.spawn().with_context(|| command_line.clone())?;
        Ok(Self {
            child,
            command_line,
            directory: directory.clone(),
            status: None,
        })
    }

    /// The pid of the daemon (or of its wrapper, if that stays).
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the log says that it is recording.
    ///
    /// # Errors
    /// It ended, or did not say so within `limit`: with the log.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<()> {
        self.wait(limit, "is not recording", |daemon| {
            Ok(daemon.log()?.contains(READY).then_some(()))
        })
    }

    /// Everything it has logged.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self) -> Result<String> {
        let path = self.directory.join("daemon.log");
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where its reports are.
    #[must_use]
    pub fn reports_directory(&self) -> PathBuf {
        self.directory.join("reports")
    }

    /// Every JSON report, sorted by file name.
    ///
    /// # Errors
    /// A report cannot be read or is not JSON: they are renamed into place whole.
    pub fn reports(&self) -> Result<Vec<Value>> {
        Ok(self
            .report_files()?
            .into_iter()
            .map(|(_path, report)| report)
            .collect())
    }

    /// Waits for the first report that fits.
    ///
    /// # Errors
    /// It ended, wrote a report that is not JSON, or none fits within `limit`: with the log.
    pub fn wait_report(
        &mut self,
        limit: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<(PathBuf, Value)> {
        self.wait(limit, "wrote no such report", |daemon| {
            Ok(daemon
                .report_files()?
                .into_iter()
                .find(|(_path, report)| fits(report)))
        })
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("the daemon has ended: {status}");
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a pid is positive")?, signal)
            .with_context(|| format!("sending {signal:?} to the daemon"))
    }

    /// Asks it to end (SIGTERM); kills it if it has not after 10 s.
    ///
    /// # Errors
    /// It cannot be waited for, or in its life it made a system call that it had denied itself: whatever is played with the
    /// daemon tests its filter too.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let status = self.end()?;
        let log = self.log()?;
        let denied: Vec<&str> = log.lines().filter(|line| line.contains(DENIED)).collect();
        match denied.is_empty() {
            true => Ok(status),
            false => bail!(
                "the daemon needed what its filter denies:\n{}",
                denied.join("\n")
            ),
        }
    }

    fn end(&mut self) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        if let Some(status) = wait_for(STOP_LIMIT, || self.ended())? {
            return Ok(status);
        }
        self.child.kill().context("killing the daemon")?;
        let status = self.child.wait().context("waiting for the daemon")?;
        self.status = Some(status);
        Ok(status)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().context("waiting for the daemon")?;
        }
        Ok(self.status)
    }

    fn wait<T>(
        &mut self,
        limit: Duration,
        complaint: &str,
        poll: impl Fn(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let answer = wait_for(limit, || {
            // Asked first: what it did before it ended still counts.
            let ended = self.ended()?;
            match (poll(self)?, ended) {
                (None, Some(status)) => bail!("the daemon ended: {status}\n{}", self.account()),
                (answer, _) => Ok(answer),
            }
        })?;
        answer.with_context(|| {
            format!(
                "the daemon {complaint} after {} s\n{}",
                limit.as_secs(),
                self.account()
            )
        })
    }

    /// What to show when it fails: how it was started, and the end of its log.
    fn account(&self) -> String {
        let log = self.log().unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        format!("{}\n{end}", self.command_line)
    }

    fn report_files(&self) -> Result<Vec<(PathBuf, Value)>> {
        let mut paths = json_files(&self.reports_directory())?;
        paths.sort();
        let read = |path: PathBuf| {
            let text = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            let report = serde_json::from_slice(&text)
                .with_context(|| format!("{} is not JSON", path.display()))?;
            Ok((path, report))
        };
        paths.into_iter().map(read).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.status.is_none() && self.child.kill().is_ok() {
            // Reaped or not, there is nobody to tell.
            self.child.wait().ok();
        }
    }
}

/// The `*.json` files below `folder`, hidden ones left out; none if it is not there yet.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("reading {}", folder.display()))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() {
            files.extend(json_files(&path)?);
        } else if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A daemon that is a shell script.
    fn daemon(script: &str) -> (tempfile::TempDir, Daemon) {
        let root = tempfile::tempdir().unwrap();
        let binary = root.path().join("script");
        fs::write(&binary, script).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o700)).unwrap();
        let options = DaemonOptions {
            binary,
            directory: root.path().join("run"),
            env: vec![("BLACKBOX_LOG_JSON".into(), "true".into())],
            wrapper: vec!["sh".into()],
        };
        let daemon = Daemon::start(&options).unwrap();
        (root, daemon)
    }

    #[test]
    fn it_is_started_followed_and_stopped() {
        let (_root, mut daemon) = daemon(
            r#"trap 'exit 4' TERM
            mkdir -p "$BLACKBOX_OUTPUT_PATH"
            echo '{"a":1}' > "$BLACKBOX_OUTPUT_PATH/one.json"
            echo "$BLACKBOX_LOG_JSON $BLACKBOX_KUBERNETES: recording" >&2
            while true; do sleep 0.05; done"#,
        );
        let limit = Duration::from_secs(10);
        daemon.wait_ready(limit).unwrap();
        assert_eq!(daemon.log().unwrap(), "true off: recording\n");
        let (path, report) = daemon
            .wait_report(limit, |report| report["a"] == 1)
            .unwrap();
        assert!(path.ends_with("reports/one.json"), "{}", path.display());
        assert_eq!(daemon.reports().unwrap(), [report]);
        assert_eq!(daemon.stop().unwrap().code(), Some(4));
        assert!(daemon.signal(Signal::HUP).is_err());
    }

    #[test]
    fn its_early_end_is_told_with_its_log() {
        let (_root, mut daemon) = daemon("echo no such hook; exit 3");
        let error = daemon
            .wait_ready(Duration::from_secs(10))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("no such hook"),
            "{error}"
        );
    }
}
