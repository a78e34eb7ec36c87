//! Inside the machine: takes the host's orders, and does them as a node's container runtime would.
//!
//! Reads orders from one virtio serial port and answers there; the reports go out by a second one, as an archive.
//! Runs in the cgroup of a containerd, and starts the daemon in one of its own.

mod load;
mod look;
mod measure;
mod reports;
mod runtime;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use self::runtime::Runtime;
use super::matrix::{self, exam};
use super::protocol::{self, News, Order};
use crate::stage::{Cgroup, Daemon, DaemonOptions};
use crate::timing::wait_for;

const WORDS: &str = "/dev/vport0p1";
const DAEMON: &str = "/bin/blackbox-daemon";
pub(super) const DIRECTORY: &str = "/run/blackbox";
const OUTPUT_PATH: &str = "BLACKBOX_OUTPUT_PATH";
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
    let mut guest = Guest {
        of_daemon: Cgroup::create("system.slice/blackbox.service")?,
        of_runtime: Cgroup::create("system.slice/containerd.service")?,
        runtime: Runtime::new(host.clone()),
        host: host.clone(),
        daemon: None,
        env: Vec::new(),
        reports: PathBuf::new(),
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    host.tell(&News::Up {
        kernel: kernel.trim().to_owned(),
        boot: boot.trim().to_owned(),
    });
    for line in orders.lines() {
        match protocol::understand(&line?)? {
            Order::Finish { reports } => {
                let daemon = guest.daemon.as_mut();
                let daemon = daemon.context("the daemon was never started")?;
                return reports::send(daemon, reports, host);
            }
            order => guest.obey(order)?,
        }
    }
    bail!("the host is gone")
}

/// What orders are about.
struct Guest {
    host: Host,
    of_daemon: Cgroup,
    of_runtime: Cgroup,
    runtime: Runtime,
    daemon: Option<Daemon>,
    /// The daemon's environment.
    env: Vec<(String, String)>,
    /// Where the daemon writes reports.
    reports: PathBuf,
}

impl Guest {
    fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Record { env } => self.record(env)?,
            Order::Run {
                pod,
                container,
                life,
            } => self.runtime.run(pod, container, life),
            Order::Stop { container } => self.runtime.stop(&container)?,
            Order::Remove { uid } => self.runtime.remove(&uid)?,
            Order::LimitMemory { bytes } => self.of_daemon.set_memory_limit(bytes)?,
            Order::LimitCpu { percent } => measure::limit_cpu(&self.of_daemon, percent)?,
            Order::Storm { seconds, floods } => load::storm(seconds, floods, &self.host),
            Order::Examine => {
                let place = matrix::in_the_machine(DIRECTORY.into());
                let answers = exam::examine(&place);
                self.host.tell(&News::Examined { answers });
            }
            Order::SetClock { nanos } => load::set_clock(nanos)?,
            Order::Restart => {
                let mut daemon = self.daemon.take().context("the daemon was never started")?;
                daemon.signal(Signal::KILL)?;
                drop(daemon);
                self.start()?;
                let log = self
                    .daemon
                    .as_ref()
                    .map_or(Ok(String::new()), Daemon::log)?;
                let read = log.lines().find(|line| line.contains("of a former life"));
                let read = read.unwrap_or_default().to_owned();
                self.host.tell(&News::Restarted { read });
            }
            Order::Measure => {
                thread::sleep(measure::COUNTED);
                let measured = measure::measure(&self.of_daemon)?;
                self.host.tell(&News::Measured(measured));
            }
            Order::Load { every_ms } => load::start(Duration::from_millis(every_ms), &self.host),
            Order::Stage { death } => load::stage(death, &self.host),
            Order::Look { wanted } => self.host.tell(&look::look(&wanted, &self.reports)?),
            Order::Finish { .. } => bail!("there is more to do"),
        }
        Ok(())
    }

    fn record(&mut self, env: Vec<(String, String)>) -> Result<()> {
        let path = env.iter().find(|(key, _)| key == OUTPUT_PATH);
        self.reports = path.map_or_else(
            || PathBuf::from(DIRECTORY).join("reports"),
            |(_, path)| path.into(),
        );
        self.env = env;
        self.start()?;
        rustix::thread::set_name(c"containerd-shim")?;
        self.host.tell(&News::Recording);
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        enter(&self.of_daemon)?;
        self.daemon = Some(record(self.env.clone())?);
        enter(&self.of_runtime)
    }
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
