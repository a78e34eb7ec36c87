//! Starts the sources and stops them. One that cannot start says so by name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::arming::Order;
use crate::clock;
use crate::config::{Config, Kubernetes};
use crate::metrics::Metrics;
use crate::record::{Health, SourceName};
use crate::report::NodeInfo;
use crate::sources::cgroup::killed::Looker;
use crate::sources::cgroup::{CgroupSampler, Hierarchies};
use crate::sources::ebpf::load::Programs;
use crate::sources::ebpf::{Reader, hooks_health};
use crate::sources::kube::{self, Counts};
use crate::sources::procfs::ProcfsSampler;
use crate::sources::{Feed, announce, sample_each};

/// Orders that may wait for the ring reader.
const ORDERS: usize = 256;

/// The running sources.
pub(super) struct Sources {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// What the kube source counts, if there is one.
    pub(super) kube: Option<Counts>,
    /// Where containers are armed, if the kernel programs run.
    pub(super) orders: Option<SyncSender<Order>>,
}

impl Sources {
    pub(super) fn start(
        config: &Config,
        kernel: Result<Programs, Health>,
        hierarchies: &Result<Hierarchies, String>,
        feed: &Feed,
        (metrics, node): (&Metrics, &NodeInfo),
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let now = clock::boot_now();
        let mut orders = None;
        match (kernel, hierarchies) {
            (Ok(mut programs), Ok(found)) => {
                metrics.read_programs(programs.take_descriptors());
                let health = hooks_health(&programs.hooks);
                let (kills, looker) =
                    Looker::new(found.clone(), config.proc_root.clone(), feed.clone());
                tasks.spawn(looker.run(stop.clone()));
                let (wishes, taken) = sync_channel(ORDERS);
                let reader = Reader::new(programs, feed.clone(), (kills, taken));
                let spawned = reader.and_then(|it| spawn_reader(&tasks, it, stop.clone(), feed));
                let health = match spawned {
                    Ok(()) => {
                        orders = Some(wishes);
                        health
                    }
                    Err(error) => Health::Failed(format!("its reader could not start: {error}")),
                };
                announce(SourceName::Ebpf, now, health, feed);
            }
            (Ok(_), Err(error)) => {
                announce(SourceName::Ebpf, now, Health::Failed(error.clone()), feed);
            }
            (Err(health), _) => announce(SourceName::Ebpf, now, health, feed),
        }
        let procfs = ProcfsSampler::new(config.proc_root.clone());
        tasks.spawn(sample_each(
            metrics.timed(procfs),
            config.interval,
            feed.clone(),
            stop.clone(),
        ));
        match hierarchies {
            Ok(found) => {
                let cgroups = CgroupSampler::new(found.clone(), config.proc_root.clone());
                tasks.spawn(sample_each(
                    metrics.timed(cgroups),
                    config.interval,
                    feed.clone(),
                    stop.clone(),
                ));
            }
            Err(error) => announce(SourceName::Cgroup, now, Health::Failed(error.clone()), feed),
        }
        let counts = match &config.kubernetes {
            Kubernetes::Off(why) => {
                let health = Health::Disabled((*why).to_owned());
                announce(SourceName::Kube, now, health, feed);
                None
            }
            Kubernetes::On => {
                let counts = Counts::default();
                metrics.read_kube(counts.clone());
                let config = kube(config, node);
                tasks.spawn(kube::run(
                    config,
                    feed.clone(),
                    counts.clone(),
                    stop.clone(),
                ));
                Some(counts)
            }
        };
        if config.api.is_none() {
            let why = "no REST API: neither BLACKBOX_API_KEY nor BLACKBOX_API_KEYS_FILE is set";
            announce(
                SourceName::Sidecar,
                now,
                Health::Disabled(why.to_owned()),
                feed,
            );
        }
        tasks.close();
        Self {
            orders,
            tasks,
            stop,
            kube: counts,
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn kube(config: &Config, node: &NodeInfo) -> kube::Config {
    kube::Config {
        node_name: node.name.clone(),
        access: config.cluster.access.clone(),
        retry: config.cluster.retry,
        silence: kube::Config::SILENCE,
        pending: config.cluster.pending,
        state_dir: config.cluster.state_dir.clone(),
        logs: config.cluster.logs.clone(),
    }
}

/// The ring reader has a thread of its own; the tracker waits for it through a channel it drops at its end.
fn spawn_reader(
    tasks: &TaskTracker,
    reader: Reader,
    stop: CancellationToken,
    feed: &Feed,
) -> std::io::Result<()> {
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let feed = feed.clone();
    std::thread::Builder::new()
        .name("rings".to_owned())
        .spawn(move || {
            // Its end is told: else reports would go on to say that the kernel is heard.
            let ran = catch_unwind(AssertUnwindSafe(|| reader.run(&stop)));
            if ran.is_err() {
                let why =
                    "its reader panicked (see the log): nothing of the kernel is recorded any more";
                let health = Health::Failed(why.to_owned());
                announce(SourceName::Ebpf, clock::boot_now(), health, &feed);
            }
            drop(done);
        })?;
    tasks.spawn(async move {
        // An error is the sender's end, which is what is waited for.
        ended.await.unwrap_or_default();
    });
    Ok(())
}
