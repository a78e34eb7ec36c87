//! The daemon of a soak: its reports on a disk of its own, its API open, a quiet container and a sidecar beside it.
//!
//! The disk is a tmpfs in a mount namespace of the thread that plays: when that ends, so does the mount.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::stage::{Cgroup, Daemon, DaemonOptions};
use xtask::timing::wait_for;

use crate::lab::{self, DAEMON, LIMIT, Life, VICTIM};

const KEY: &str = "the key of this test";
/// Rounds of the quiet container: five seconds of calls that fail and children that end.
const ROUNDS: &str = "100";

pub(crate) struct Ground {
    daemon: Daemon,
    pub(crate) port: u16,
    pub(crate) cgroup: Cgroup,
    /// Files that were read, while they exist, and how many there were.
    read: BTreeSet<PathBuf>,
    pub(crate) verified: usize,
    /// What was told of each process that nobody asked for yet.
    told: BTreeMap<u32, Value>,
    stop: Arc<AtomicBool>,
    beside: Vec<JoinHandle<Result<()>>>,
    folder: TempDir,
}

/// Runs a program to its end; it must end well.
pub(crate) fn run(program: &str, words: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = output.with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words:?}: {said}");
    Ok(())
}

impl Ground {
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let disk = folder.path().join("disk");
        fs::create_dir(&disk)?;
        #[expect(unsafe_code, reason = "what is mounted here ends with this thread")]
        // SAFETY: another view of the file systems changes no memory and no descriptor.
        unsafe {
            rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)?;
        }
        run("mount", &["--make-rprivate", "/"])?;
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                "size=160m,mode=755",
                "tmpfs",
                text(&disk)?,
            ],
        )?;
        let (reports, state) = (disk.join("reports"), folder.path().join("state"));
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let env = [
            ("BLACKBOX_OUTPUT_PATH", text(&reports)?),
            ("BLACKBOX_OUTPUT_FORMATTERS", "json"),
            // Less than the disk has, and reached: the oldest go all the time. Forty reports with their bundles have room, also
            // on a busy machine: what went before it was read would seem untold.
            ("BLACKBOX_OUTPUT_MAX_BYTES", "96MiB"),
            ("BLACKBOX_STATE_DIR", text(&state)?),
            ("BLACKBOX_WATCH_CGROUPS", "/blackbox-test-*"),
            ("BLACKBOX_SETTLE_TIME", "500ms"),
            ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
            ("BLACKBOX_API_KEY", KEY),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_API_PORT", &port.to_string()),
        ];
        let mut daemon = Daemon::start(&DaemonOptions {
            binary: std::env::var_os("TESTED_DAEMON")
                .unwrap_or_else(|| DAEMON.into())
                .into(),
            directory: folder.path().to_owned(),
            env: env
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            wrapper: Vec::new(),
        })?;
        daemon.wait_ready(LIMIT)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut ground = Self {
            daemon,
            port,
            cgroup: lab::cgroup("soak")?,
            read: BTreeSet::new(),
            verified: 0,
            told: BTreeMap::new(),
            stop,
            beside: Vec::new(),
            folder,
        };
        ground.beside(|_port| {
            let quiet = lab::cgroup("quiet")?;
            let (status, output) = Life::start(&quiet, VICTIM, &["quiet", ROUNDS])?.end()?;
            ensure!(status.success(), "{status}: {output}");
            Ok(())
        });
        ground.beside(|port| {
            thread::sleep(Duration::from_millis(100));
            let body = json!({"pod_name": "p", "namespace": "n", "runtime": "go", "timestamp": jiff::Timestamp::now().to_string(),
                "data": {"heap": 1}});
            // The fault may be that it takes none.
            ask(port, "POST", "/api/v1/telemetry", body.to_string().as_bytes()).ok();
            Ok(())
        });
        Ok(ground)
    }

    /// Does `what` over and over beside the faults.
    fn beside(&mut self, what: impl Fn(u16) -> Result<()> + Send + 'static) {
        let (port, stop) = (self.port, Arc::clone(&self.stop));
        let run = move || {
            while !stop.load(Ordering::Relaxed) {
                what(port)?;
            }
            Ok(())
        };
        self.beside.push(thread::spawn(run));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.daemon.signal(signal)
    }

    /// Where the reports are mounted.
    pub(crate) fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Lets a process be killed, and waits for the proof of that in its report.
    pub(crate) fn death(&mut self) -> Result<()> {
        let pid = Life::start(&self.cgroup, VICTIM, &["sleep"])?.kill()?;
        self.proven(pid)
    }

    /// Waits for the report on `pid`, which must prove why it died.
    pub(crate) fn proven(&mut self, pid: u32) -> Result<()> {
        let told = wait_for(LIMIT * 2, || {
            self.read_new()?;
            anyhow::Ok(self.told.remove(&pid))
        })?;
        let verdict = told.with_context(|| {
            let log = self.daemon.log().unwrap_or_default();
            format!("no report on {pid}; the daemon says: {log}")
        })?;
        ensure!(verdict["grade"] == "proven", "{verdict:#}");
        Ok(())
    }

    /// Reads every report that has appeared since, and has each bundle verified. The oldest go while we look.
    pub(crate) fn read_new(&mut self) -> Result<()> {
        let files = match fs::read_dir(self.disk().join("reports")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        for file in files {
            let path = file?.path();
            let kind = path.extension().and_then(|kind| kind.to_str());
            if !matches!(kind, Some("json" | "zst")) || self.read.contains(&path) {
                continue;
            }
            let read = match kind {
                Some("json") => self.read_report(&path),
                _ => run(DAEMON, &["verify", text(&path)?]),
            };
            match read {
                Err(_) if !path.exists() => continue,
                read => read.with_context(|| path.display().to_string())?,
            }
            self.verified += 1;
            self.read.insert(path);
        }
        self.read.retain(|path| path.exists());
        Ok(())
    }

    fn read_report(&mut self, path: &Path) -> Result<()> {
        let mut report: Value = serde_json::from_slice(&fs::read(path)?)?;
        let verdict = report["verdict"].take();
        if let Some(pid) = verdict["facts"]["pid"].as_u64() {
            self.told.insert(u32::try_from(pid)?, verdict);
        }
        Ok(())
    }

    /// Waits until health says that everything is kept on disk, or that it is not.
    pub(crate) fn wait_durable(&self, durable: bool) -> Result<()> {
        let word = if durable {
            "\"durability\":\"healthy\""
        } else {
            "\"durability\":\"degraded\""
        };
        let said = wait_for(LIMIT * 2, || {
            let answer = ask(self.port, "GET", "/api/v1/health", b"")?;
            anyhow::Ok(answer.contains(word).then_some(()))
        })?;
        said.with_context(|| format!("health never says {word}"))
    }

    /// Ends everything; the daemon must have lived until here.
    pub(crate) fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.beside.drain(..) {
            thread.join().ok().context("it panicked")??;
        }
        let status = self.daemon.stop()?;
        ensure!(status.code() == Some(0), "{status}: {}", self.daemon.log()?);
        Ok(())
    }
}

/// Asks the API on a connection of its own; gives all of the answer.
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: n\r\nconnection: close\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
