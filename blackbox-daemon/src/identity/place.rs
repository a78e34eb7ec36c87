//! What a cgroup is, from its path: a container, a systemd unit, or a plain one.

use serde::{Deserialize, Serialize};

use crate::record::same_container;

/// Length of a container id: a SHA-256 in hex (OCI runtimes, docker, containerd, CRI-O).
const CONTAINER_ID_LEN: usize = 64;
/// As many digits of a container id are enough to show.
const SHORT_ID_LEN: usize = 12;

/// What a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// The root of the hierarchy: the host itself.
    Root,
    Container {
        id: String,
        pod_uid: Option<String>,
    },
    /// A systemd service or scope, by name.
    Unit(String),
    /// Any other cgroup, by path.
    Plain(String),
}

impl Place {
    /// Understands a path of the watched hierarchy: `kubepods` trees of both cgroup drivers, docker, podman
    /// and CRI-O scopes, systemd units (layouts as in the containerd, CRI-O and systemd documentation).
    #[must_use]
    pub fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Self::Root;
        }
        let pod_uid = parts.iter().rev().find_map(|part| pod_uid(part));
        if let Some(id) = parts.iter().rev().find_map(|part| container_id(part)) {
            return Self::Container {
                id: id.to_owned(),
                pod_uid,
            };
        }
        let unit = |part: &&&str| part.ends_with(".service") || part.ends_with(".scope");
        match parts.iter().rev().find(unit) {
            Some(unit) => Self::Unit((*unit).to_owned()),
            None => Self::Plain(path.to_owned()),
        }
    }

    /// The id, of a container.
    #[must_use]
    pub fn container_id(&self) -> Option<&str> {
        match self {
            Self::Container { id, .. } => Some(id),
            _ => None,
        }
    }

    /// As many digits of a container's id as tools show.
    #[must_use]
    pub fn short_id(&self) -> Option<&str> {
        self.container_id().map(short)
    }

    /// Whether it is the container of this id, or of one that begins like it.
    #[must_use]
    pub fn is_container(&self, container: &str) -> bool {
        self.container_id()
            .is_some_and(|id| same_container(id, container))
    }

    /// The pod's UID, of a container in a pod.
    #[must_use]
    pub fn pod_uid(&self) -> Option<&str> {
        match self {
            Self::Container { pod_uid, .. } => pod_uid.as_deref(),
            _ => None,
        }
    }

    /// In words, as reports show it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Root => "the host (root cgroup)".to_owned(),
            Self::Container { id, pod_uid: None } => format!("container {}", short(id)),
            Self::Container {
                id,
                pod_uid: Some(uid),
            } => {
                format!("container {} of pod {uid}", short(id))
            }
            Self::Unit(unit) => format!("host unit {unit}"),
            Self::Plain(path) => format!("cgroup {path}"),
        }
    }
}

fn short(id: &str) -> &str {
    id.get(..SHORT_ID_LEN).unwrap_or(id)
}

/// `<64 hex>`, or that behind a runtime's prefix and before `.scope`.
fn container_id(part: &str) -> Option<&str> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit('-').next()?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (id.len() == CONTAINER_ID_LEN && id.bytes().all(hex)).then_some(id)
}

/// `pod<uid>` (cgroupfs driver) or `kubepods-…-pod<uid with _>.slice` (systemd driver).
fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let (before, uid) = part.rsplit_once("pod")?;
    let kube = before.is_empty() || before.starts_with("kubepods");
    (kube && uid.len() >= 32).then(|| uid.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d5abcd";
    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    fn container(path: &str) -> (String, Option<String>) {
        match Place::of(path) {
            Place::Container { id, pod_uid } => (id, pod_uid),
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn containers_of_every_layout() {
        let uid = Some(UID.to_owned());
        let escaped = UID.replace('-', "_");
        let systemd = format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{escaped}.slice/cri-containerd-{ID}.scope"
        );
        let guaranteed = format!("/kubepods.slice/kubepods-pod{escaped}.slice/crio-{ID}.scope");
        for (path, pod) in [
            (systemd, uid.clone()),
            (guaranteed, uid.clone()),
            (format!("/kubepods/besteffort/pod{UID}/{ID}"), uid),
            (format!("/system.slice/docker-{ID}.scope"), None),
            (format!("/docker/{ID}"), None),
            (format!("/machine.slice/libpod-{ID}.scope/container"), None),
        ] {
            assert_eq!(container(&path), (ID.to_owned(), pod), "{path}");
        }
    }

    #[test]
    fn units_and_plain_cgroups() {
        assert_eq!(Place::of("/"), Place::Root);
        assert_eq!(
            Place::of("/system.slice/nginx.service"),
            Place::Unit("nginx.service".to_owned())
        );
        assert_eq!(
            Place::of("/blackbox/podium"),
            Place::Plain("/blackbox/podium".to_owned())
        );
    }
}
