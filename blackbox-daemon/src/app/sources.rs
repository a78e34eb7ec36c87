//! Starts the sources and stops them. One that cannot start says so by name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::thread;
use crate::clock;
use crate::config::{Config, Kubernetes};
use crate::metrics::Metrics;
use crate::record::{Health, SourceName};
use crate::recorder::Hands;
use crate::report::NodeInfo;
use crate::sources::cgroup::closely::{Armed, sample_armed};
use crate::sources::cgroup::killed::Looker;
use crate::sources::cgroup::{CgroupSampler, Hierarchies};
use crate::sources::ebpf::load::Programs;
use crate::sources::ebpf::{Reader, hooks_health};
use crate::sources::kube::{self, Counts};
use crate::sources::procfs::ProcfsSampler;
use crate::sources::{Feed, Sampler, announce, sample_each};

/// The running sources.
pub(super) struct Sources {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// What the kube source counts, if there is one.
    pub(super) kube: Option<Counts>,
    /// By which containers are armed, if the kernel programs run.
    pub(super) hands: Option<Hands>,
}

/// What every source is started with.
struct Starter<'a> {
    config: &'a Config,
    feed: &'a Feed,
    metrics: &'a Metrics,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sources {
    pub(super) fn start(
        config: &Config,
        kernel: Result<Programs, Health>,
        hierarchies: &Result<Hierarchies, String>,
        feed: &Feed,
        (metrics, node): (&Metrics, &NodeInfo),
    ) -> Self {
        let starter = Starter {
            config,
            feed,
            metrics,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let hands = starter.kernel(kernel, hierarchies);
        starter.samplers(hierarchies);
        let kube = starter.kube(node);
        if config.api.is_none() {
            let why = "no REST API: neither BLACKBOX_API_KEY nor BLACKBOX_API_KEYS_FILE is set";
            starter.say(SourceName::Sidecar, Health::Disabled(why.to_owned()));
        }
        starter.tasks.close();
        Self {
            tasks: starter.tasks,
            stop: starter.stop,
            kube,
            hands,
        }
    }

    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Starter<'_> {
    fn say(&self, source: SourceName, health: Health) {
        announce(source, clock::boot_now(), health, self.feed);
    }

    /// The ring reader, and what follows from what it reads.
    fn kernel(
        &self,
        kernel: Result<Programs, Health>,
        hierarchies: &Result<Hierarchies, String>,
    ) -> Option<Hands> {
        let started = match (kernel, hierarchies) {
            (Ok(programs), Ok(found)) => {
                let health = hooks_health(&programs.hooks);
                self.reader(programs, found)
                    .map(|hands| (hands, health))
                    .map_err(|error| Health::Failed(format!("its reader could not start: {error}")))
            }
            (Ok(_), Err(error)) => Err(Health::Failed(error.clone())),
            (Err(health), _) => Err(health),
        };
        let (hands, health) = match started {
            Ok((hands, health)) => (Some(hands), health),
            Err(health) => (None, health),
        };
        self.say(SourceName::Ebpf, health);
        hands
    }

    fn reader(&self, mut programs: Programs, found: &Hierarchies) -> std::io::Result<Hands> {
        self.metrics.read_programs(programs.take_descriptors());
        self.metrics.read_spending(programs.spending());
        let (proc_root, feed) = (&self.config.proc_root, self.feed);
        let (kills, looker) = Looker::new(found.clone(), proc_root.clone(), feed.clone());
        self.tasks.spawn(looker.run(self.stop.clone()));
        let (armed, listed) = watch::channel(Armed::default());
        let closely = CgroupSampler::new(found.clone(), proc_root.clone());
        let pace = (self.config.interval, feed.clone());
        self.tasks
            .spawn(sample_armed(closely, listed, pace, self.stop.clone()));
        let (reader, orders) = Reader::new(programs, feed.clone(), kills)?;
        spawn_reader(&self.tasks, reader, self.stop.clone(), feed)?;
        let (stop, waker) = (self.stop.clone(), orders.clone());
        self.tasks.spawn(async move {
            stop.cancelled().await;
            waker.wake();
        });
        Ok(Hands { orders, armed })
    }

    fn samplers(&self, hierarchies: &Result<Hierarchies, String>) {
        let proc_root = &self.config.proc_root;
        self.sampler(ProcfsSampler::new(proc_root.clone()));
        match hierarchies {
            Ok(found) => self.sampler(CgroupSampler::new(found.clone(), proc_root.clone())),
            Err(error) => self.say(SourceName::Cgroup, Health::Failed(error.clone())),
        }
    }

    /// A sampler has a thread of its own.
    fn sampler<S: Sampler>(&self, sampler: S) {
        let (sampler, interval) = (self.metrics.timed(sampler), self.config.interval);
        let (feed, stop) = (self.feed.clone(), self.stop.clone());
        let each = move || sample_each(sampler, interval, feed, stop);
        if let Err(error) = thread::run(&self.tasks, S::NAME.name(), each) {
            let why = format!("its thread could not be started: {error}");
            self.say(S::NAME, Health::Failed(why));
        }
    }

    fn kube(&self, node: &NodeInfo) -> Option<Counts> {
        if let Kubernetes::Off(why) = &self.config.kubernetes {
            self.say(SourceName::Kube, Health::Disabled((*why).to_owned()));
            return None;
        }
        let counts = Counts::default();
        self.metrics.read_kube(counts.clone());
        let following = kube::run(
            kube(self.config, node),
            self.feed.clone(),
            counts.clone(),
            self.stop.clone(),
        );
        self.tasks.spawn(following);
        Some(counts)
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

/// The ring reader has a thread of its own.
fn spawn_reader(
    tasks: &TaskTracker,
    reader: Reader,
    stop: CancellationToken,
    feed: &Feed,
) -> std::io::Result<()> {
    let feed = feed.clone();
    thread::spawn(tasks, "rings", move || {
        // Its end is told: else reports would go on to say that the kernel is heard.
        let ran = catch_unwind(AssertUnwindSafe(|| reader.run(&stop)));
        if ran.is_err() {
            let why =
                "its reader panicked (see the log): nothing of the kernel is recorded any more";
            let health = Health::Failed(why.to_owned());
            announce(SourceName::Ebpf, clock::boot_now(), health, &feed);
        }
    })
}
