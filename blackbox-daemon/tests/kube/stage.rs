//! The kube source on a feed of its own, following a scripted API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use blackbox_daemon::record::{Event, Health, Record};
use blackbox_daemon::sources::kube::{Access, Config, Counts};
use blackbox_daemon::sources::{Intake, feed, kube};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// More than anything takes here.
const LIMIT: Duration = Duration::from_secs(20);
/// As long as a watch may be silent in these tests.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// How patient the source is: much less than by default.
pub(crate) const IMPATIENT: Patience = Patience {
    timeout: Duration::from_secs(2),
    retry: Duration::from_millis(100),
    silence: SILENCE,
};

/// Of the source's configuration, what the tests of its patience vary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) timeout: Duration,
    pub(crate) retry: Duration,
    pub(crate) silence: Duration,
}

pub(crate) struct Stage {
    intake: Intake,
    pub(crate) records: Vec<Record>,
    pub(crate) counts: Counts,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// A kubeconfig for a server, with a token.
pub(crate) fn kubeconfig(directory: &Path, port: u16, token: &str) -> PathBuf {
    let path = directory.join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

impl Stage {
    /// Starts the source; what it remembers is in `directory`, if it shall remember.
    pub(crate) fn start(server: &Server, directory: &TempDir, remembers: bool) -> Self {
        let path = kubeconfig(directory.path(), server.port, "right");
        Self::start_with(path, remembers.then(|| directory.path().join("state")))
    }

    pub(crate) fn start_with(kubeconfig: PathBuf, state_dir: Option<PathBuf>) -> Self {
        Self::start_on("n", kubeconfig, state_dir)
    }

    pub(crate) fn start_on(node: &str, kubeconfig: PathBuf, state_dir: Option<PathBuf>) -> Self {
        Self::start_patient(node, kubeconfig, state_dir, IMPATIENT)
    }

    pub(crate) fn start_patient(
        node: &str,
        kubeconfig: PathBuf,
        state_dir: Option<PathBuf>,
        patience: Patience,
    ) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let config = Config {
            node_name: node.to_owned(),
            access: Access {
                kubeconfig: Some(kubeconfig),
                timeout: patience.timeout,
            },
            retry: patience.retry,
            silence: patience.silence,
            pending: Duration::from_secs(300),
            state_dir,
            logs: kube::Directories {
                pods: "/nonexistent".into(),
                containers: "/nonexistent".into(),
            },
        };
        let (feed, intake) = feed::feed();
        let (counts, stop) = (Counts::default(), CancellationToken::new());
        let task = tokio::spawn(kube::run(config, feed, counts.clone(), stop.clone()));
        Self {
            intake,
            records: Vec::new(),
            counts,
            stop,
            task,
        }
    }

    /// Waits until what was recorded fits.
    pub(crate) async fn until(&mut self, fits: impl Fn(&[Record]) -> bool) {
        let waiting = async {
            while !fits(&self.records) {
                self.listen(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(LIMIT, waiting).await.is_err() {
            panic!("{:#?}", self.said());
        }
    }

    /// Waits until this was said as often as that.
    pub(crate) async fn until_said(&mut self, what: &str, times: usize) {
        let fits = |records: &[Record]| {
            records
                .iter()
                .map(say)
                .filter(|said| said.contains(what))
                .count()
                >= times
        };
        self.until(fits).await;
    }

    /// Takes what comes for a while, though nothing is waited for.
    pub(crate) async fn listen(&mut self, time: Duration) {
        let listening = async {
            while let Some(batch) = self.intake.decisive.recv().await {
                self.records.extend(batch);
            }
        };
        tokio::time::timeout(time, listening).await.ok();
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.records.iter().map(say).collect()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.said()
            .iter()
            .filter(|said| said.contains(what))
            .count()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// What a record says, in short.
fn say(record: &Record) -> String {
    match &record.event {
        Event::Pod(facts) => format!("pod {} {:?}", facts.uid, facts.phase),
        Event::ContainerEnded(ended) => {
            format!("ended {} {:?}", ended.pod.uid, ended.end.container_id)
        }
        Event::PodCondition(condition) => format!("{} {:?}", condition.pod.uid, condition.what),
        Event::KubeEvent(event) => {
            let pod = event.pod.as_ref().map_or("node", |pod| &pod.uid);
            format!("event {pod} {} by {}", event.reason, event.component)
        }
        Event::Source(state) => match &state.health {
            Health::Ok => "ok".to_owned(),
            other => format!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A pod with one container that runs.
pub(crate) fn running(uid: &str) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": format!("web-{uid}"), "namespace": "shop", "uid": uid,
            "labels": {"pod-template-hash": "5d9"}, "managedFields": [{"manager": "m"}],
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9", "uid": "r", "controller": true}]},
        "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "registry/web:1",
            "env": [{"name": "PASSWORD", "value": "hunter2"}],
            "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}]},
        "status": {"phase": "Running", "qosClass": "Burstable", "containerStatuses": [
            {"name": "app", "restartCount": 0, "containerID": id(uid, 0),
             "imageID": format!("registry/web@sha256:{}", "ab".repeat(32)),
             "state": {"running": {"startedAt": "2026-11-20T20:10:00Z"}}}]},
    })
}

/// The same, after its container has died this often; it has been started again.
pub(crate) fn restarted(uid: &str, deaths: u32) -> Value {
    let mut pod = running(uid);
    let status = &mut pod["status"]["containerStatuses"][0];
    status["restartCount"] = json!(deaths);
    status["containerID"] = json!(id(uid, deaths));
    status["lastState"] = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled",
        "containerID": id(uid, deaths - 1), "finishedAt": "2026-11-20T20:10:35Z"}});
    pod
}

/// The id of a container's instance.
pub(crate) fn id(uid: &str, instance: u32) -> String {
    let byte = uid.bytes().next().unwrap();
    format!("containerd://{}{byte:02x}{instance:02x}", "ce".repeat(30))
}
