//! The whole daemon: builds every part, wires the queues, runs, and drains with a deadline.
//!
//! Two steps, because capabilities must be gone before the runtime's threads start: [`App::build`] loads the
//! kernel programs and drops capabilities on the only thread there is; [`App::run`] is the rest.
//! A part that fails is degraded by name; only a wrong configuration and unusable destinations end the start.

mod former;
mod recording;
mod serve;
mod sources;
mod thread;

use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::recording::{Parts, Recording};
use self::serve::Serving;
use self::sources::Sources;
use crate::clock::{self, WallOffset};
use crate::config::Config;
use crate::destinations::{Destinations, kubernetes};
use crate::durability::Durability;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::privileges::seccomp::{Role, denied};
use crate::privileges::standing::{Hands, NotAllowed, Standing};
use crate::privileges::{State, Vow};
use crate::record::Health;
use crate::sources::cgroup::Hierarchies;
use crate::sources::ebpf::load::{self, Programs};
use crate::sources::feed;
use crate::{allocator, descriptors, privileges};

/// From SIGTERM to the end: sources, recorder and reports have this long …
const DRAIN: Duration = Duration::from_secs(2);
/// … and destinations this long after them. Together below the 5 s that are promised.
const DESTINATIONS_DRAIN: Duration = Duration::from_secs(2);

/// The journal then has this long to write its end.
const JOURNAL_END: Duration = Duration::from_millis(500);

/// A daemon that is ready to run.
pub struct App {
    config: Config,
    kernel: Result<Programs, Health>,
    hierarchies: Result<Hierarchies, String>,
    privileges: State,
}

impl App {
    /// Finds the cgroups, loads the kernel programs, takes its open files, and gives up what it needs no more.
    ///
    /// # Errors
    /// A user was asked for whom this process cannot become.
    pub fn build(config: Config) -> Result<Self, NotAllowed> {
        allocator::keep_little();
        let standing = Standing::decide(&config, Hands::Give)?;
        let vow = Vow::of(config.privileges, &standing);
        let hierarchies = Hierarchies::discover(&config.proc_root).map_err(|e| e.to_string());
        let kernel = match (&config.kernel, &hierarchies) {
            (None, _) => Err(Health::Disabled("BLACKBOX_EBPF=off".to_owned())),
            (Some(_), Err(error)) => Err(Health::Failed(format!(
                "cgroups are needed to name processes: {error}"
            ))),
            (Some(limits), Ok(found)) => load::load(limits, found, vow).map_err(|error| {
                let missing = privileges::missing();
                let hint = match missing.is_empty() {
                    true => String::new(),
                    false => format!("; this process lacks {}", missing.join(" and ")),
                };
                Health::Failed(format!("{error}{hint}"))
            }),
        };
        allocator::give_back();
        match descriptors::raise() {
            Ok(limit) => tracing::debug!(limit, "open files are limited"),
            Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
        }
        if let Err(error) = privileges::hide_memory() {
            tracing::warn!(%error, "core dumps of this process are possible");
        }
        let attaching = kernel.as_ref().map(|programs| programs.kept().clone());
        let privileges = State::new(config.privileges, standing, vow.take(Role::Most))
            .with_attaching(attaching.unwrap_or_default());
        privileges.tell();
        Ok(Self {
            config,
            kernel,
            hierarchies,
            privileges,
        })
    }

    /// Records until SIGTERM or SIGINT; then closes every incident and writes its report.
    ///
    /// # Errors
    /// When a destination cannot be used, the process cannot wait for signals, or the recorder panicked: a daemon that records
    /// nothing must not look alive, and whoever starts it again loses little.
    pub async fn run(self) -> anyhow::Result<()> {
        let Self {
            config,
            kernel,
            hierarchies,
            privileges,
        } = self;
        let mut ends = Ends::new().context("cannot wait for signals")?;
        let durability = Durability::default();
        let (configs, formats) = (config.destinations.clone(), &config.formats);
        let destinations = Destinations::start(configs, formats, &durability)?;
        let (feed, intake) = feed::feed();
        let feed = feed.redacting(config.redactor.clone());
        let node = recording::node(&config);
        let metrics = Metrics::new(node.clone(), &config.proc_root)?;
        metrics.read_redactor(config.redactor.clone());
        metrics.read_privileges(privileges.clone());
        let kernel_kept = kernel.as_ref().is_ok_and(|programs| programs.taken_over);
        let memory = Memory::new(config.memory);
        metrics.read_memory(memory.clone());
        let sources = Sources::start(&config, kernel, &hierarchies, &feed, (&metrics, &node));
        let parts = Parts {
            config: &config,
            hierarchies: &hierarchies,
            destinations: &destinations,
            durability: &durability,
            metrics: &metrics,
            node: &node,
            privileges: &privileges,
            memory: &memory,
        };
        let kept = former::open(&config, node.boot_id.as_deref(), kernel_kept, &durability);
        let journal = kept.journal.clone();
        if let Some(journal) = &journal {
            metrics.read_journal(journal.clone());
        }
        let recording = Recording::start(&parts, intake, sources.hands.clone(), kept)
            .context("cannot start the recorder")?;
        metrics.read_recorder(recording.handle.clone());
        metrics.read_destinations(destinations.clone());
        metrics.read_durability(durability.clone());
        let serving = Serving::default();
        serving.start(&parts, &recording, &feed)?;
        tracing::info!(
            window_seconds = config.window.as_secs_f64(),
            destinations = ?config.destinations.iter().map(|d| d.name()).collect::<Vec<_>>(),
            formats = ?config.formats.iter().map(|f| f.name()).collect::<Vec<_>>(),
            "recording"
        );
        let events = CancellationToken::new();
        let watching = tokio::spawn(denied::watch(events.clone()));
        tokio::spawn(
            memory
                .clone()
                .watch(config.proc_root.clone(), events.clone()),
        );
        let writing = events_on_pods(&parts, &recording, &sources, &events);
        let asked = tokio::select! {
            () = ends.wait() => true,
            // Both end before they are asked to only if the recorder panicked: the reporter then waits for nobody.
            () = recording.tasks.wait() => false,
        };
        match asked {
            true => tracing::info!("stopping: open incidents are closed and written"),
            false => tracing::error!("stopping: the recorder panicked, and nothing is recorded"),
        }
        let drained = tokio::time::timeout(DRAIN, async {
            // The ports first: what they still accept is still recorded.
            serving.stop().await;
            sources.stop().await;
            recording.stop.cancel();
            recording.tasks.wait().await;
        });
        if drained.await.is_err() {
            tracing::error!("some records or reports were not finished in time");
        }
        events.cancel();
        writing.wait().await;
        // What could not be written is logged by the drain itself.
        destinations.drain(DESTINATIONS_DRAIN).await;
        // Whoever begins after a panic takes over from a daemon that died.
        if let Some(journal) = journal.filter(|_| asked) {
            let end = move || journal.end((clock::boot_now(), WallOffset::now()), JOURNAL_END);
            if let Err(error) = tokio::task::spawn_blocking(end).await {
                tracing::error!(%error, "the journal's end was not written");
            }
        }
        watching.await.unwrap_or_default().tell();
        anyhow::ensure!(asked, "the recorder panicked (see the log)");
        Ok(())
    }
}

/// Starts writing an Event on the pod for each incident, if that is wanted.
fn events_on_pods(
    parts: &Parts<'_>,
    recording: &Recording,
    sources: &Sources,
    stop: &CancellationToken,
) -> TaskTracker {
    let tasks = TaskTracker::new();
    tasks.close();
    let cluster = &parts.config.cluster;
    if let Some(counts) = sources.kube.clone().filter(|_| cluster.events) {
        let (told, node) = (recording.told.clone(), parts.node.name.clone());
        let access = cluster.access.clone();
        tasks.spawn(kubernetes::run(told, access, node, counts, stop.clone()));
    }
    tasks
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
