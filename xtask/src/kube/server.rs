//! A process of a cluster: started with a log of its own, killed when dropped, or left to run on.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::exec;
use crate::timing::wait_for;

/// How long a server may take to be ready on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// Lines of its log that are shown when it fails.
const SHOWN: usize = 20;

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Server {
    child: Option<Child>,
    log: PathBuf,
    line: String,
}

impl Server {
    /// Starts `command`. `stays`: a terminal's interrupt does not reach it.
    ///
    /// # Errors
    /// It cannot be started, or its log cannot be written.
    pub(super) fn start(mut command: Command, log: PathBuf, stays: bool) -> Result<Self> {
        let open = || File::options().create(true).append(true).open(&log);
        let file = open().with_context(|| log.display().to_string())?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        if stays {
            command.process_group(0);
        }
        let line = exec::line(&command);
        let child = command.spawn().with_context(|| line.clone())?;
        Ok(Self {
            child: Some(child),
            log,
            line,
        })
    }

    /// Its pid; `None` once it was left.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// It ended or took too long: with the end of its log.
    pub(super) fn wait_ready(&mut self, ready: impl Fn() -> bool) -> Result<()> {
        let is_ready = wait_for(READY_LIMIT, || {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?,
                None => None,
            };
            if let Some(status) = ended {
                bail!("it ended: {status}");
            }
            Ok(ready().then_some(()))
        });
        let failed = match is_ready {
            Ok(Some(())) => return Ok(()),
            Ok(None) => format!("not ready after {} s", READY_LIMIT.as_secs()),
            Err(error) => format!("{error:#}"),
        };
        bail!("{failed}: {}\n{}", self.line, tail(&self.log))
    }

    /// Lets it run on after us.
    pub(super) fn leave(mut self) {
        self.child = None;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && child.kill().is_ok()
        {
            // Reaped or not, there is nobody to tell.
            child.wait().ok();
        }
    }
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// A port of loopback that nobody has: below those the kernel gives to clients, and no other of this process's.
pub(super) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 100)? * 100;
    for _ in 0..100 {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port of loopback is free from {first} on")
}
