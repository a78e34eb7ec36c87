//! What a kubelet tells the API server, told on purpose: its node, statuses of pods, events, the end of a pod.
//!
//! Speaks as `system:node:NAME`, with a kubelet's rights. Pods are bound to the node when they are made, as a scheduler
//! would have done.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::user::User;

/// A node's kubelet.
#[derive(Clone, Debug)]
pub struct Kubelet {
    user: User,
    admin: User,
    node: String,
}

impl Kubelet {
    /// Makes the Node object.
    pub(super) fn register(user: User, admin: User, node: &str) -> Result<Self> {
        let object = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node,
            "labels": {"kubernetes.io/hostname": node, "kubernetes.io/os": "linux"}}});
        user.create("/api/v1/nodes", &object)?;
        Ok(Self {
            user,
            admin,
            node: node.to_owned(),
        })
    }

    /// Makes a pod of this spec on the node; gives it as the API server has it.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn bind(&self, namespace: &str, name: &str, spec: &Value) -> Result<Value> {
        let mut spec = spec.clone();
        spec["nodeName"] = json!(self.node);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": spec,
            "metadata": {"name": name, "namespace": namespace}});
        self.admin
            .create(&format!("/api/v1/namespaces/{namespace}/pods"), &pod)
    }

    /// Writes a pod's status, all of it.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn write_status(&self, pod: &Value, status: &Value) -> Result<Value> {
        let mut pod = pod.clone();
        pod["status"] = status.clone();
        // What is written counts, whatever happened meanwhile.
        if let Some(metadata) = pod["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        let path = format!("{}/status", path(&pod)?);
        self.user.replace(&path, &pod)
    }

    /// Says an event about a pod, or about one of its containers.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn event(&self, pod: &Value, container: Option<&str>, event: &Value) -> Result<Value> {
        let metadata = &pod["metadata"];
        let mut event = event.clone();
        event["apiVersion"] = json!("v1");
        event["kind"] = json!("Event");
        event["metadata"] = json!({"generateName": "told-", "namespace": metadata["namespace"]});
        event["source"] = json!({"component": "kubelet", "host": self.node});
        event["involvedObject"] = json!({"apiVersion": "v1", "kind": "Pod",
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]});
        if let Some(container) = container {
            event["involvedObject"]["fieldPath"] = json!(format!("spec.containers{{{container}}}"));
        }
        let namespace = text(metadata, "namespace")?;
        let path = format!("/api/v1/namespaces/{namespace}/events");
        self.user.create(&path, &event)
    }

    /// Asks for a pod's deletion, as `kubectl delete` does; it ends when the kubelet says so.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn ask_to_delete(&self, pod: &Value, grace_seconds: u32) -> Result<()> {
        delete(
            &self.admin,
            pod,
            &[&format!("--grace-period={grace_seconds}")],
        )
    }

    /// The kubelet's last word on a pod that is being deleted: it is gone.
    ///
    /// # Errors
    /// The API server refuses it.
    pub fn remove(&self, pod: &Value) -> Result<()> {
        delete(&self.user, pod, &["--grace-period=0", "--force"])
    }
}

fn delete(user: &User, pod: &Value, how: &[&str]) -> Result<()> {
    let metadata = &pod["metadata"];
    let (namespace, name) = (text(metadata, "namespace")?, text(metadata, "name")?);
    let mut words = vec![
        "delete",
        "pod",
        name,
        "--namespace",
        namespace,
        "--wait=false",
    ];
    words.extend(how);
    user.kubectl(&words).map(drop)
}

fn path(pod: &Value) -> Result<String> {
    let metadata = &pod["metadata"];
    let (namespace, name) = (text(metadata, "namespace")?, text(metadata, "name")?);
    Ok(format!("/api/v1/namespaces/{namespace}/pods/{name}"))
}

fn text<'a>(metadata: &'a Value, key: &str) -> Result<&'a str> {
    metadata[key]
        .as_str()
        .with_context(|| format!("a pod without {key}"))
}
