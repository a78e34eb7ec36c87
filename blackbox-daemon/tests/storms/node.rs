//! A node of many pods: their cgroups as a kubelet makes them, what an API server says of them, and processes that sleep in them.

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use xtask::stage::Cgroup;

use crate::lab::{Life, VICTIM};
use crate::server::Server;

/// Pods of one container each. The server is asked by the kubeconfig.
pub(crate) struct Node {
    _server: Server,
    pub(crate) kubeconfig: String,
    /// Dropped before the cgroups they live in.
    crowds: Vec<Life>,
    pub(crate) containers: Vec<Cgroup>,
    _folder: TempDir,
}

impl Node {
    pub(crate) fn of(pods: usize) -> Result<Self> {
        let (server, folder) = (Server::start(), tempfile::tempdir()?);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", server.port)}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, config.to_string())?;
        let own = std::process::id();
        let mut containers = Vec::new();
        for number in 0..pods {
            let uid = format!("{number:08x}-{:04x}-4000-8000-{own:012x}", own & 0xffff);
            let id = format!("{number:08x}{own:056x}");
            containers.push(Cgroup::create(&format!(
                "kubepods/burstable/pod{uid}/{id}"
            ))?);
            server.apply(json!({
                "kind": "Pod",
                "metadata": {"name": format!("checkout-7d9f8b6c5d-{number:05}"), "namespace": "shop", "uid": uid,
                    "labels": {"app": "checkout", "team": "payments", "pod-template-hash": "7d9f8b6c5d"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": "checkout-7d9f8b6c5d", "controller": true}]},
                "spec": {"nodeName": "n", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
                    "containers": [{"name": "app", "image": "registry.example.com/shop/checkout:1.2.3",
                        "resources": {"limits": {"memory": "256Mi"}, "requests": {"memory": "128Mi"}}}]},
                "status": {"phase": "Running", "qosClass": "Burstable", "containerStatuses": [
                    {"name": "app", "restartCount": 0, "containerID": format!("containerd://{id}"),
                     "state": {"running": {"startedAt": "2026-11-20T20:10:00Z"}}}]},
            }));
        }
        Ok(Self {
            _server: server,
            kubeconfig: path.to_string_lossy().into_owned(),
            crowds: Vec::new(),
            containers,
            _folder: folder,
        })
    }

    /// Has `processes` processes sleep in each container.
    pub(crate) fn populate(&mut self, processes: usize) -> Result<()> {
        let children = (processes - 1).to_string();
        for container in &self.containers {
            let mut crowd = Life::start(container, VICTIM, &["crowd", &children])?;
            crowd.wait_for_word("ready")?;
            self.crowds.push(crowd);
        }
        Ok(())
    }

    /// How many processes are in its containers.
    pub(crate) fn processes(&self) -> Result<usize> {
        let mut count = 0;
        for container in &self.containers {
            let processes = std::fs::read_to_string(container.folder().join("cgroup.procs"))?;
            count += processes.lines().count();
        }
        Ok(count)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.crowds.clear();
    }
}
