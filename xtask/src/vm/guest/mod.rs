//! Inside the machine: takes the host's orders, and does them as a node's container runtime would.
//!
//! Reads orders from one virtio serial port and answers there; the reports go out by a second one, as an archive.
//! Runs in the cgroup of a containerd, and starts the daemon in one of its own.

mod reports;
mod runtime;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use self::runtime::Runtime;
use super::protocol::{self, News, Order};
use crate::stage::{Cgroup, Daemon, DaemonOptions};
use crate::timing::wait_for;

const WORDS: &str = "/dev/vport0p1";
const DAEMON: &str = "/bin/blackbox-daemon";
pub(super) const DIRECTORY: &str = "/run/blackbox";
const PORT_LIMIT: Duration = Duration::from_secs(10);
const READY_LIMIT: Duration = Duration::from_secs(120);

/// The way to the host.
#[derive(Clone, Debug)]
struct Host(Arc<Mutex<File>>);

impl Host {
    /// Tells it. With the host gone the machine is about to end.
    fn tell(&self, news: &News) {
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        protocol::say(&mut *port, news).ok();
    }

    fn tell_failure(&self, error: &anyhow::Error) {
        self.tell(&News::Failed {
            why: format!("{error:#}"),
        });
    }
}

/// Serves the host until it says that this was all.
///
/// # Errors
/// There is no port: this is not the machine.
pub(super) fn run() -> Result<ExitCode> {
    // It appears a moment after the driver is there.
    let there = wait_for(PORT_LIMIT, || {
        std::io::Result::Ok(Path::new(WORDS).exists().then_some(()))
    })?;
    there.with_context(|| format!("there is no {WORDS}: this is for the virtual machine"))?;
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(WORDS)
        .context(WORDS)?;
    let orders = BufReader::new(port.try_clone()?);
    let host = Host(Arc::new(Mutex::new(port)));
    match serve(orders, &host) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            host.tell_failure(&error);
            Err(error)
        }
    }
}

fn serve(orders: BufReader<File>, host: &Host) -> Result<()> {
    // The parts of a node's tree that stay when their last pod goes.
    let _tree = [
        Cgroup::create("kubepods.slice/kubepods-burstable.slice")?,
        Cgroup::create("kubepods/burstable")?,
    ];
    let of_daemon = Cgroup::create("system.slice/blackbox.service")?;
    let of_runtime = Cgroup::create("system.slice/containerd.service")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    host.tell(&News::Up {
        kernel: kernel.trim().to_owned(),
    });
    let runtime = Runtime::new(host.clone());
    let mut daemon = None;
    for line in orders.lines() {
        match protocol::understand(&line?)? {
            Order::Record { env } => {
                enter(&of_daemon)?;
                daemon = Some(record(env)?);
                enter(&of_runtime)?;
                rustix::thread::set_name(c"containerd-shim")?;
                host.tell(&News::Recording);
            }
            Order::Run {
                pod,
                container,
                life,
            } => runtime.run(pod, container, life),
            Order::Stop { container } => runtime.stop(&container)?,
            Order::Remove { uid } => runtime.remove(&uid)?,
            Order::Finish { reports } => {
                let mut daemon = daemon.context("the daemon was never started")?;
                return reports::send(&mut daemon, reports, host);
            }
        }
    }
    bail!("the host is gone")
}

/// Moves this process.
fn enter(cgroup: &Cgroup) -> Result<()> {
    let path = cgroup.folder().join("cgroup.procs");
    fs::write(&path, std::process::id().to_string()).with_context(|| path.display().to_string())
}

fn record(env: Vec<(String, String)>) -> Result<Daemon> {
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: PathBuf::from(DAEMON),
        directory: PathBuf::from(DIRECTORY),
        env,
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(READY_LIMIT)?;
    Ok(daemon)
}
