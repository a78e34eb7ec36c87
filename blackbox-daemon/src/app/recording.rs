//! Starts recorder and reporter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::former::{Kept, boot_text, keeper, wall_now};
use super::thread;
use crate::clock::{self, WallOffset};
use crate::config::{Config, Kubernetes};
use crate::destinations::Destinations;
use crate::durability::Durability;
use crate::evidence::{self, Finder};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::privileges::State;
use crate::record::CgroupId;
use crate::recorder::status::Handle;
use crate::recorder::{self, Core, Hands, MAX_CASES, Recorder};
use crate::report::NodeInfo;
use crate::report::case::Case;
use crate::reporter::{self, Aids, Told};
use crate::sources::Intake;
use crate::sources::cgroup::{Hierarchies, Survey};

/// Where containerd has the containers of Kubernetes.
const CONTAINERS: [&str; 1] = ["/run/containerd/io.containerd.runtime.v2.task/k8s.io"];

/// The running recorder and reporter. `stop` ends the recorder, and its end the reporter.
pub(super) struct Recording {
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) handle: Handle,
    pub(super) told: Told,
}

/// What recorder and reporter work with.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) hierarchies: &'a Result<Hierarchies, String>,
    pub(super) destinations: &'a Destinations,
    pub(super) durability: &'a Durability,
    pub(super) metrics: &'a Metrics,
    pub(super) node: &'a NodeInfo,
    pub(super) privileges: &'a State,
    pub(super) memory: &'a Memory,
}

impl Recording {
    pub(super) fn start(
        parts: &Parts<'_>,
        intake: Intake,
        hands: Option<Hands>,
        kept: Kept,
    ) -> io::Result<Self> {
        let Parts {
            config,
            hierarchies,
            destinations,
            durability,
            metrics,
            node,
            ..
        } = *parts;
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
            node: node.clone(),
        };
        let cgroups = cgroups.into_iter().map(|found| (found.id, found.path));
        let (mut core, cases_left) = core(recorder, cgroups.collect(), &kept);
        if kept.kernel_kept && !(kept.same_boot && kept.former.is_some()) {
            core.take_over();
        }
        let slots = match (&hands, &config.kernel) {
            (Some(_), Some(limits)) => limits.tails as usize,
            _ => 0,
        };
        let core = core.arming_up_to(slots);
        let (cases, waiting) = mpsc::channel(MAX_CASES);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let recorder = Recorder::new(core, intake, cases)
            .with_backlog(cases_left)
            .sparing(parts.memory.clone());
        let keeper = kept
            .journal
            .as_ref()
            .and_then(|journal| keeper(config, journal));
        let recorder = match keeper {
            Some(keeper) => recorder.with_keeper(keeper),
            None => recorder,
        };
        let recorder = match hands {
            Some(hands) => recorder.with_hands(hands),
            None => recorder,
        };
        let (handle, told) = (recorder.handle(), Told::default());
        let until = stop.clone();
        thread::run(&tasks, "recorder", || recorder.run(until))?;
        let destinations = Arc::new(destinations.clone());
        tasks.spawn(reporter::run(
            waiting,
            destinations,
            told.clone(),
            Aids {
                metrics: Some(metrics.clone()),
                finder: Some(finder(config)),
                options: config.options,
                journal: kept.journal,
                durability: durability.clone(),
            },
        ));
        tasks.close();
        Ok(Self {
            tasks,
            stop,
            handle,
            told,
        })
    }
}

/// The recorder's state: a new one, or that of the life before, as far as its journal tells; and the cases that life left.
fn core(
    config: recorder::Config,
    cgroups: Vec<(CgroupId, String)>,
    kept: &Kept,
) -> (Core, Vec<Case>) {
    let now = clock::boot_now();
    match &kept.former {
        Some(former) if kept.same_boot => {
            let mut core = Core::new(config, []);
            let cases = core.resume(former, cgroups, (now, WallOffset::now()));
            (core, cases)
        }
        Some(former) => {
            let mut theirs = config.clone();
            theirs.node.boot_id = Some(boot_text(former.recovered.boot));
            let cases = Core::new(theirs, []).autopsy(former, wall_now());
            (Core::new(config, cgroups), cases)
        }
        None => (Core::new(config, cgroups), Vec::new()),
    }
}

/// Who looks for the logs of pods, where there are pods, and for the names in stacks.
fn finder(config: &Config) -> Finder {
    let cluster = &config.cluster;
    let logs = match config.kubernetes {
        Kubernetes::On => usize::try_from(cluster.log_bytes).unwrap_or(usize::MAX),
        _ => 0,
    };
    Finder::new(evidence::Config {
        pod_logs: cluster.logs.pods.clone(),
        log_bytes: logs,
        root: PathBuf::from("/"),
        containers: CONTAINERS.map(PathBuf::from).to_vec(),
    })
    .redacting(config.redactor.clone())
}

/// What reports say of the machine.
pub(super) fn node(config: &Config) -> NodeInfo {
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
