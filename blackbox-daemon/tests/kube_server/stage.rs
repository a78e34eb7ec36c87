//! A cluster with what `deployments/kubernetes/blackbox.yaml` installs, and the daemon as its service account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use xtask::kube::{Cluster, User, find};

use crate::running::Running;

/// The daemon's namespace and account, as the manifest names them.
pub(crate) const NAMESPACE: &str = "blackbox";
pub(crate) const ACCOUNT: &str = "blackbox-daemon";
/// The node the daemon is on, and another one.
pub(crate) const NODE: &str = "here";
pub(crate) const ELSEWHERE: &str = "elsewhere";
const LIMIT: Duration = Duration::from_secs(60);

/// Fields of the manifest that a server of 1.20 does not know yet: kind, pointer, name.
pub(crate) const NEWER: [(&str, &str, &str); 1] = [("Service", "/spec", "internalTrafficPolicy")];

/// A cluster with BlackBox installed.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let programs = find().expect("the API server");
        let cluster = Cluster::start(&programs, &[NODE, ELSEWHERE]).expect("a cluster");
        let stage = Self { cluster };
        stage.admin_applies(&["apply", "-f", "-"], &without_newer(manifest()));
        stage
    }

    /// What kubectl says when the administrator applies these objects.
    pub(crate) fn admin_applies(&self, words: &[&str], objects: &[Value]) -> String {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let admin = self.cluster.admin();
        admin.feed(words, &list.to_string()).expect("applied")
    }

    /// The daemon's account, with a new token.
    pub(crate) fn account(&self) -> User {
        let account = self.cluster.account(NAMESPACE, ACCOUNT);
        account.expect("the daemon's account")
    }

    /// Starts the daemon on [`NODE`] as this user; what it must remember is in `state`.
    pub(crate) async fn daemon(&self, user: &User, state: &Path) -> Running {
        self.daemon_with(user, state, &[]).await
    }

    /// The same, with more in its environment.
    pub(crate) async fn daemon_with(
        &self,
        user: &User,
        state: &Path,
        more: &[(&str, &str)],
    ) -> Running {
        let mut env = vec![
            ("BLACKBOX_KUBERNETES", "on"),
            ("KUBECONFIG", user.kubeconfig().to_str().expect("UTF-8")),
            ("NODE_NAME", NODE),
            ("BLACKBOX_K8S_RETRY_INTERVAL", "200ms"),
            ("BLACKBOX_STATE_DIR", state.to_str().expect("UTF-8")),
            // What is remembered of the kubelet's word is tried, not the window on disk, which would bring it back.
            ("BLACKBOX_JOURNAL", "off"),
            // Every incident is told.
            ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
        ];
        env.extend(more);
        let daemon = Running::start(&env).await;
        until_metric(&daemon, UP).await;
        daemon
    }
}

/// What the metrics say while the API server is followed, and when it is not.
pub(crate) const UP: &str = "blackbox_source_state{source=\"kube\",state=\"ok\"} 1";
pub(crate) const DOWN: &str = "blackbox_source_state{source=\"kube\",state=\"failed\"} 1";

/// Waits until the metrics have this line.
pub(crate) async fn until_metric(daemon: &Running, line: &str) {
    let waiting = async {
        while !daemon.metrics().await.lines().any(|it| it == line) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(LIMIT, waiting).await.is_err() {
        let log = daemon.daemon.log().expect("a log");
        panic!("{line} not in:\n{}\n{log}", daemon.metrics().await);
    }
}

/// The objects of the plain manifest, in its order.
pub(crate) fn manifest() -> Vec<Value> {
    objects("kubernetes/blackbox.yaml")
}

/// The objects of a file of `deployments/`.
pub(crate) fn objects(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path: PathBuf = path.join("../deployments").join(file);
    let text = std::fs::read_to_string(path).expect("the manifest");
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    objects.into_iter().filter(|it| !it.is_null()).collect()
}

/// Leaves out what this server does not know.
pub(crate) fn without_newer(mut objects: Vec<Value>) -> Vec<Value> {
    for object in &mut objects {
        for (kind, place, field) in NEWER {
            if object["kind"] == kind
                && let Some(Value::Object(fields)) = object.pointer_mut(place)
            {
                fields.remove(field);
            }
        }
    }
    objects
}
