//! The whole daemon: builds every part, wires the queues, runs, and drains with a deadline.
//!
//! Two steps, because capabilities must be gone before the runtime's threads start: [`App::build`] loads the
//! kernel programs and drops capabilities on the only thread there is; [`App::run`] is the rest.
//! A part that fails is degraded by name; only a wrong configuration and unusable destinations end the start.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::config::{Config, Kubernetes};
use crate::destinations::Destinations;
use crate::privileges;
use crate::record::{Health, SourceName};
use crate::recorder::{self, Core, MAX_CASES, Recorder};
use crate::report::NodeInfo;
use crate::reporter::{self, Told};
use crate::sources::cgroup::{CgroupSampler, Hierarchies, Survey};
use crate::sources::ebpf::load::{self, Programs};
use crate::sources::ebpf::{Reader, hooks_health};
use crate::sources::procfs::ProcfsSampler;
use crate::sources::{Feed, Intake, announce, feed, sample_each};

/// From SIGTERM to the end: sources, recorder and reports have this long …
const DRAIN: Duration = Duration::from_secs(2);
/// … and destinations this long after them. Together below the 5 s that are promised.
const DESTINATIONS_DRAIN: Duration = Duration::from_secs(2);

/// A daemon that is ready to run.
pub struct App {
    config: Config,
    kernel: Result<Programs, Health>,
    hierarchies: Result<Hierarchies, String>,
}

impl App {
    /// Finds the cgroups, loads the kernel programs, gives up all capabilities.
    #[must_use]
    pub fn build(config: Config) -> Self {
        let hierarchies = Hierarchies::discover(&config.proc_root).map_err(|e| e.to_string());
        let kernel = match (&config.kernel, &hierarchies) {
            (None, _) => Err(Health::Disabled("BLACKBOX_EBPF=off".to_owned())),
            (Some(_), Err(error)) => Err(Health::Failed(format!(
                "cgroups are needed to name processes: {error}"
            ))),
            (Some(limits), Ok(found)) => load::load(limits, found).map_err(|error| {
                let missing = privileges::missing();
                let hint = match missing.is_empty() {
                    true => String::new(),
                    false => format!("; this process lacks {}", missing.join(" and ")),
                };
                Health::Failed(format!("{error}{hint}"))
            }),
        };
        if let Err(error) = privileges::drop_all() {
            tracing::warn!(%error, "capabilities could not be dropped");
        }
        Self {
            config,
            kernel,
            hierarchies,
        }
    }

    /// Records until SIGTERM or SIGINT; then closes every incident and writes its report.
    ///
    /// # Errors
    /// When a destination cannot be used or the process cannot wait for signals.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self {
            config,
            kernel,
            hierarchies,
        } = self;
        let mut ends = Ends::new().context("cannot wait for signals")?;
        let destinations = Destinations::start(config.destinations.clone(), &config.formats)?;
        let (feed, intake) = feed::feed();
        let sources = Sources::start(&config, kernel, &hierarchies, &feed);
        let (parts, recording) = start_recorder(&config, &hierarchies, intake, &destinations);
        tracing::info!(
            window_seconds = config.window.as_secs_f64(),
            destinations = ?config.destinations.iter().map(|d| d.name()).collect::<Vec<_>>(),
            formats = ?config.formats.iter().map(|f| f.name()).collect::<Vec<_>>(),
            "recording"
        );
        if config.api_wanted {
            tracing::warn!("this version serves neither the REST API nor metrics");
        }
        ends.wait().await;
        tracing::info!("stopping: open incidents are closed and written");
        let drained = tokio::time::timeout(DRAIN, async {
            sources.stop().await;
            recording.cancel();
            parts.wait().await;
        });
        if drained.await.is_err() {
            tracing::error!("some records or reports were not finished in time");
        }
        // What could not be written is logged by the drain itself.
        destinations.drain(DESTINATIONS_DRAIN).await;
        Ok(())
    }
}

/// The two signals that end the daemon.
struct Ends {
    term: Signal,
    int: Signal,
}

impl Ends {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// The running sources.
struct Sources {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sources {
    fn start(
        config: &Config,
        kernel: Result<Programs, Health>,
        hierarchies: &Result<Hierarchies, String>,
        feed: &Feed,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let now = clock::boot_now();
        match kernel {
            Ok(programs) => {
                let health = hooks_health(&programs.hooks);
                match spawn_reader(&tasks, programs, stop.clone(), feed) {
                    Ok(()) => announce(SourceName::Ebpf, now, health, feed),
                    Err(error) => {
                        let why = format!("its reader could not start: {error}");
                        announce(SourceName::Ebpf, now, Health::Failed(why), feed);
                    }
                }
            }
            Err(health) => announce(SourceName::Ebpf, now, health, feed),
        }
        let procfs = ProcfsSampler::new(config.proc_root.clone());
        tasks.spawn(sample_each(
            procfs,
            config.interval,
            feed.clone(),
            stop.clone(),
        ));
        match hierarchies {
            Ok(found) => {
                let cgroups = CgroupSampler::new(found.clone());
                tasks.spawn(sample_each(
                    cgroups,
                    config.interval,
                    feed.clone(),
                    stop.clone(),
                ));
            }
            Err(error) => announce(SourceName::Cgroup, now, Health::Failed(error.clone()), feed),
        }
        let kube = match &config.kubernetes {
            Kubernetes::Off(why) => Health::Disabled((*why).to_owned()),
            Kubernetes::On => Health::Failed(
                "this version does not ask the API server; names come from cgroup paths".to_owned(),
            ),
        };
        announce(SourceName::Kube, now, kube, feed);
        tasks.close();
        Self { tasks, stop }
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// The ring reader has a thread of its own; the tracker waits for it through a channel it drops at its end.
fn spawn_reader(
    tasks: &TaskTracker,
    programs: Programs,
    stop: CancellationToken,
    feed: &Feed,
) -> std::io::Result<()> {
    let reader = Reader::new(programs, feed.clone())?;
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("rings".to_owned())
        .spawn(move || {
            reader.run(&stop);
            drop(done);
        })?;
    tasks.spawn(async move {
        // An error is the sender's end, which is what is waited for.
        ended.await.unwrap_or_default();
    });
    Ok(())
}

/// Starts recorder and reporter; the token ends the recorder, and its end the reporter.
fn start_recorder(
    config: &Config,
    hierarchies: &Result<Hierarchies, String>,
    intake: Intake,
    destinations: &Destinations,
) -> (TaskTracker, CancellationToken) {
    let cgroups = match hierarchies {
        Ok(found) => found.survey().map_or_else(
            |error| {
                tracing::warn!(%error, "cgroups that exist already have no names");
                Vec::new()
            },
            |Survey { found, .. }| found,
        ),
        Err(_) => Vec::new(),
    };
    let recorder = recorder::Config {
        window: config.window,
        storage: config.storage.clone(),
        incidents: config.incidents,
        rules: config.rules.clone(),
        node: node(config),
    };
    let core = Core::new(
        recorder,
        cgroups.into_iter().map(|found| (found.id, found.path)),
    );
    let (cases, waiting) = mpsc::channel(MAX_CASES);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(Recorder::new(core, intake, cases).run(stop.clone()));
    let destinations = Arc::new(destinations.clone());
    tasks.spawn(reporter::run(waiting, destinations, Told::default(), None));
    tasks.close();
    (tasks, stop)
}

/// What reports say of the machine.
fn node(config: &Config) -> NodeInfo {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let boot_id = config.proc_root.join("sys/kernel/random/boot_id");
    NodeInfo {
        name: config
            .node_name
            .clone()
            .unwrap_or_else(|| text(uname.nodename())),
        kernel: text(uname.release()),
        arch: text(uname.machine()),
        boot_id: std::fs::read_to_string(boot_id)
            .ok()
            .map(|id| id.trim().to_owned()),
    }
}
