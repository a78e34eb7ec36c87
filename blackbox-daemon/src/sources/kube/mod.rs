//! The kube source: what the API server says of this node's pods becomes records. Never fatal, never waited for.
//!
//! ```text
//!  pods of this node ─┐
//!  events of pods ────┼─ follow: list, watch, go on ──► one task: pods, edges, seen ──► Feed
//!  events of the node ┘                                    └─ seen in the state directory
//! ```
//!
//! Reads pods (`spec.nodeName` is this node) and core/v1 events; makes pod facts when they change, each container's end
//! once, conditions when they begin, events as they come. An API server that is down, or credentials that are refused,
//! are the source's state by name; it is tried again with growing pauses. Records carry the time of their arrival. While
//! the API server is not heard, the kubelet's log directories name the pods (`logs`).

mod client;
mod counts;
mod edges;
mod events;
mod facts;
mod follow;
mod health;
mod logs;
mod object;
mod pods;
mod quantity;
mod seen;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::client::Server;
use self::follow::{Ear, Follower, Patience, Update, What};
use self::health::Troubles;
use self::logs::Logs;
use self::object::{ClusterEvent, Object, Pod};
use self::pods::{Moment, Pods};
use self::seen::Store;
use super::feed::BATCH;
use super::{Feed, announce};
use crate::clock::{self, WallOffset};
use crate::record::{Event, Health, LaneName, Record, SourceName, Subject};
pub use client::{Access, Error, connect};
pub use counts::{Counted, Counts};
pub use logs::Directories;

/// Who we are, in Events that we write; they are no news to us.
pub const COMPONENT: &str = "blackbox-daemon";
/// Changes that may wait for the one task; those behind wait in the API server.
const WAITING: usize = 64;
/// How often pods that are pending are looked at, and what was seen is saved.
const TICK: Duration = Duration::from_secs(1);

/// What is followed, and how.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_name: String,
    pub access: Access,
    /// First pause before another attempt.
    pub retry: Duration,
    /// Longest time without a sign of life; longer than any pause between two.
    pub silence: Duration,
    /// How long a pod may be pending before that is recorded.
    pub pending: Duration,
    /// Where what was recorded is remembered; `None`: in memory only.
    pub state_dir: Option<PathBuf>,
    /// The kubelet's log directories, which have names too.
    pub logs: Directories,
}

impl Config {
    /// [`Config::silence`] by default: a connection that is open at one end only shows in less than 65 s.
    pub const SILENCE: Duration = Duration::from_secs(60);
    /// [`Config::pending`] by default.
    pub const PENDING: Duration = Duration::from_secs(300);
}

/// What the followers tell.
enum Told {
    Pods(Update<Pod>),
    PodEvents(Update<ClusterEvent>),
    NodeEvents(Update<ClusterEvent>),
}

/// Follows the API server until `stop`.
pub async fn run(config: Config, feed: Feed, counts: Counts, stop: CancellationToken) {
    let (to, mut told) = mpsc::channel(WAITING);
    let mut source = Kube::new(config, feed, counts).await;
    let mut followers = source.follow(to);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(told) = told.recv() => {
                if source.hear(told) {
                    source.save().await;
                }
            }
            _ = tick.tick() => {
                let mut records = source.pods.tick(moment());
                records.extend(source.named_by_logs().await);
                source.offer(records);
                source.save().await;
            }
        }
        source.tell_health();
    }
    followers.shutdown().await;
    source.save().await;
}

/// The one task's state.
struct Kube {
    config: Config,
    feed: Feed,
    counts: Counts,
    pods: Pods,
    store: Option<Store>,
    troubles: Troubles,
    told: Option<Health>,
    /// `None` while they are read, and after a scan that failed.
    logs: Option<Logs>,
}

impl Kube {
    async fn new(config: Config, feed: Feed, counts: Counts) -> Self {
        let store = config.state_dir.as_deref().map(Store::new);
        let mut troubles = Troubles::default();
        let mut seen = None;
        if let Some(store) = store.clone() {
            match tokio::task::spawn_blocking(move || store.load()).await {
                Ok(Ok(loaded)) => seen = loaded,
                Ok(Err(error)) => troubles.store = Some(error.to_string()),
                Err(error) => troubles.store = Some(error.to_string()),
            }
        }
        let node = config.node_name.clone();
        let logs = Some(Logs::new(config.logs.clone()));
        Self {
            logs,
            pods: Pods::new(node, config.pending, seen, moment()),
            config,
            feed,
            counts,
            store,
            troubles,
            told: None,
        }
    }

    /// Starts the followers; they end with the set.
    fn follow(&self, to: mpsc::Sender<Told>) -> JoinSet<()> {
        let node = self.config.node_name.clone();
        let mut followers = JoinSet::new();
        let pods = What {
            name: "pods",
            path: "/api/v1/pods",
            fields: vec![("spec.nodeName", node.clone())],
            news_only: false,
        };
        let events = |fields| What {
            name: "events",
            path: "/api/v1/events",
            fields,
            news_only: true,
        };
        let of = |kind: &str| ("involvedObject.kind", kind.to_owned());
        // No selector names a node's pods; events of other pods are dropped here.
        let of_pods = events(vec![of("Pod")]);
        let of_node = events(vec![of("Node"), ("involvedObject.name", node)]);
        followers.spawn(self.follower(pods, Told::Pods, to.clone()).run());
        followers.spawn(self.follower(of_pods, Told::PodEvents, to.clone()).run());
        followers.spawn(self.follower(of_node, Told::NodeEvents, to).run());
        followers
    }

    fn follower<T: Object>(
        &self,
        what: What,
        as_told: fn(Update<T>) -> Told,
        to: mpsc::Sender<Told>,
    ) -> Follower<T, Told> {
        let patience = Patience {
            silence: self.config.silence,
            retry: self.config.retry,
        };
        let server = Server::new(self.config.access.clone(), self.counts.clone());
        Follower::new(
            what,
            patience,
            server,
            self.counts.clone(),
            Ear { as_told, to },
        )
    }

    /// Takes what a follower tells. Whether a container ended, which must be remembered at once.
    fn hear(&mut self, told: Told) -> bool {
        let at = moment();
        match told {
            Told::Pods(update) => {
                let records = match update {
                    Update::Listed(pods) => {
                        self.troubles.listed = true;
                        self.pods.listed(&pods, at)
                    }
                    Update::Applied(pod) => self.pods.applied(&pod, at),
                    Update::Deleted(pod) => self.pods.deleted(&pod, at),
                    Update::Up => {
                        self.troubles.pods = Some(Ok(()));
                        Vec::new()
                    }
                    Update::Down(why) => {
                        self.troubles.pods = Some(Err(why));
                        Vec::new()
                    }
                };
                let ended = self.offer(records);
                if self.troubles.listed {
                    self.counts.pods(self.pods.len());
                }
                return ended;
            }
            Told::PodEvents(update) => {
                let trouble = self.hear_event(update, at);
                self.troubles.pod_events = trouble.or(self.troubles.pod_events.take());
            }
            Told::NodeEvents(update) => {
                let trouble = self.hear_event(update, at);
                self.troubles.node_events = trouble.or(self.troubles.node_events.take());
            }
        }
        false
    }

    /// Takes an event; gives how its follower fares, if that is what it said.
    fn hear_event(&self, update: Update<ClusterEvent>, at: Moment) -> Option<Result<(), String>> {
        match update {
            Update::Applied(event) => {
                let node = &self.config.node_name;
                let record = events::record(&event, node, &self.pods, at);
                self.offer(record.into_iter().collect());
                None
            }
            // An event ends when its time to live is over: nothing happened.
            Update::Deleted(_) | Update::Listed(_) => None,
            Update::Up => Some(Ok(())),
            Update::Down(why) => Some(Err(why)),
        }
    }

    /// The pods that log directories name, while the API server does not.
    async fn named_by_logs(&mut self) -> Vec<Record> {
        if let Some(Ok(())) = self.troubles.pods {
            return Vec::new();
        }
        let Some(mut logs) = self.logs.take() else {
            return Vec::new();
        };
        let scanned = tokio::task::spawn_blocking(move || (logs.scan(), logs)).await;
        let Ok((found, logs)) = scanned else {
            return Vec::new();
        };
        self.logs = Some(logs);
        let at = clock::boot_now();
        let record = |logged| Record {
            at,
            subject: Subject::Pod,
            event: Event::LoggedPod(Box::new(logged)),
        };
        found.into_iter().map(record).collect()
    }

    /// Hands records to the recorder. Whether ends of containers are among them.
    fn offer(&self, mut records: Vec<Record>) -> bool {
        let ended = |record: &&Record| matches!(record.event, Event::ContainerEnded(_));
        let ends = records.iter().filter(ended).count();
        self.counts.ended(ends);
        while records.len() > BATCH {
            let rest = records.split_off(BATCH);
            self.feed.offer(LaneName::Decisive, records);
            records = rest;
        }
        self.feed.offer(LaneName::Decisive, records);
        ends > 0
    }

    /// Writes down what was recorded since the last time.
    async fn save(&mut self) {
        let (Some(store), Some(text)) = (self.store.clone(), self.pods.seen.take_changes()) else {
            return;
        };
        let saved = tokio::task::spawn_blocking(move || store.save(&text)).await;
        let saved = saved.map_err(|error| error.to_string());
        let saved = saved.and_then(|saved| saved.map_err(|error| error.to_string()));
        if saved.is_err() {
            self.pods.seen.save_again();
        }
        self.troubles.store = saved.err();
    }

    fn tell_health(&mut self) {
        let health = self.troubles.health();
        if self.told.as_ref() != Some(&health) {
            announce(
                SourceName::Kube,
                clock::boot_now(),
                health.clone(),
                &self.feed,
            );
            self.told = Some(health);
        }
    }
}

fn moment() -> Moment {
    Moment {
        now: clock::boot_now(),
        wall: WallOffset::now(),
    }
}
