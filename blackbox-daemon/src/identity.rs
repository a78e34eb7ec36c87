//! Who is who: cgroup id → container, systemd unit or plain cgroup; process → executable. Kept past death.
//!
//! Fed by the walk at start and by lifecycle records, so a name is known before anything runs inside and
//! stays known as long as the window can speak of it. Pure: no file is read here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::record::{BootTime, CgroupId, Event, PodName, ProcessKey, Record, same_container};

/// Most executables remembered; on a node with more live programs, later ones have none.
const MAX_EXES: usize = 65_536;
/// Most containers whose pod's name is remembered; more than a node can run (110 pods by default).
const MAX_PODS: usize = 4096;
/// Length of a container id: a SHA-256 in hex (OCI runtimes, docker, containerd, CRI-O).
const CONTAINER_ID_LEN: usize = 64;
/// As many digits of a container id are enough to show.
const SHORT_ID_LEN: usize = 12;

/// What a cgroup is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

/// A cgroup that is or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Path in the watched hierarchy.
    pub path: String,
    pub place: Place,
}

/// The names at one moment; cheap to clone, and of no effect on later changes.
#[derive(Clone, Debug, Default)]
pub struct Names {
    cgroups: Arc<HashMap<CgroupId, Known>>,
    exes: Arc<HashMap<ProcessKey, String>>,
    /// Pods by container id, as their sidecars name them.
    pods: Arc<HashMap<String, PodName>>,
}

impl Names {
    #[must_use]
    pub fn cgroup(&self, id: CgroupId) -> Option<&Known> {
        self.cgroups.get(&id)
    }

    /// The cgroup in words; an unknown one by its id.
    #[must_use]
    pub fn describe(&self, id: CgroupId) -> String {
        match self.cgroup(id) {
            Some(known) => known.place.describe(),
            None => format!(
                "cgroup #{} (created and named before recording began)",
                id.0
            ),
        }
    }

    /// The cgroups of a container, known by the beginning of its id, and of the other containers of its pod.
    #[must_use]
    pub fn cgroups_of(&self, container: &str) -> Vec<CgroupId> {
        let places = || self.cgroups.iter().map(|(id, known)| (*id, &known.place));
        let own = |place: &Place| matches!(place, Place::Container { id, .. } if same_container(id, container));
        let pods: Vec<&str> = places()
            .filter(|(_, place)| own(place))
            .filter_map(|(_, place)| place.pod_uid())
            .collect();
        let same_pod = |place: &Place| place.pod_uid().is_some_and(|uid| pods.contains(&uid));
        let mut cgroups: Vec<CgroupId> = places()
            .filter(|(_, place)| own(place) || same_pod(place))
            .map(|(id, _)| id)
            .collect();
        cgroups.sort_unstable();
        cgroups
    }

    /// The pod a container belongs to, if a sidecar has named it.
    #[must_use]
    pub fn pod_of(&self, container: &str) -> Option<&PodName> {
        let exact = self.pods.get(container);
        exact.or_else(|| {
            let mut pods = self.pods.iter();
            pods.find_map(|(id, pod)| same_container(id, container).then_some(pod))
        })
    }

    /// The pod that a cgroup belongs to, if a sidecar of it has named its own container or another of the pod.
    #[must_use]
    pub fn pod_of_cgroup(&self, id: CgroupId) -> Option<&PodName> {
        let place = &self.cgroup(id)?.place;
        let own = self.pod_of(place.container_id()?);
        own.or_else(|| {
            let uid = place.pod_uid()?;
            let known = self.cgroups.values().map(|known| &known.place);
            let mut siblings = known.filter(|place| place.pod_uid() == Some(uid));
            siblings.find_map(|place| self.pod_of(place.container_id()?))
        })
    }

    /// The containers that a pod's sidecars have named, in order.
    #[must_use]
    pub fn containers_of(&self, pod: &PodName) -> Vec<&str> {
        let pods = self.pods.iter().filter(|(_, named)| *named == pod);
        let mut containers: Vec<&str> = pods.map(|(id, _)| id.as_str()).collect();
        containers.sort_unstable();
        containers
    }

    /// The path given to the process's last `execve`, if recording saw it.
    #[must_use]
    pub fn exe(&self, key: ProcessKey) -> Option<&str> {
        self.exes.get(&key).map(String::as_str)
    }
}

/// The names, kept up to date.
#[derive(Debug, Default)]
pub struct Identities {
    names: Names,
    /// What is gone, and since when.
    cgroups_gone: VecDeque<(BootTime, CgroupId)>,
    processes_gone: VecDeque<(BootTime, ProcessKey)>,
    /// When each container's sidecar was last heard of.
    pods_seen: HashMap<String, BootTime>,
}

impl Identities {
    /// Adds a cgroup found by the walk at start.
    pub fn add(&mut self, id: CgroupId, path: &str) {
        let known = Known {
            path: path.to_owned(),
            place: Place::of(path),
        };
        Arc::make_mut(&mut self.names.cgroups).insert(id, known);
    }

    /// Learns from a record.
    pub fn observe(&mut self, record: &Record) {
        match (
            &record.event,
            record.subject.cgroup(),
            record.subject.process(),
        ) {
            (Event::CgroupCreated { path }, Some(id), _) => self.add(id, path),
            (Event::CgroupRemoved { path }, Some(id), _) => {
                if self.names.cgroup(id).is_none() {
                    self.add(id, path);
                }
                self.cgroups_gone.push_back((record.at, id));
            }
            (Event::Exec(exec), _, Some(process)) if self.names.exes.len() < MAX_EXES => {
                Arc::make_mut(&mut self.names.exes).insert(process.key, exec.exe.clone());
            }
            (Event::Telemetry(telemetry), ..) => {
                if let Some(id) = &telemetry.container_id {
                    self.name_pod(id, &telemetry.pod, record.at);
                }
            }
            (Event::Exit(_), _, Some(process)) if self.names.exes.contains_key(&process.key) => {
                self.processes_gone.push_back((record.at, process.key));
            }
            _ => {}
        }
    }

    /// Learns a container's pod. Copies the table only when it changes: reports may hold it.
    fn name_pod(&mut self, container: &str, pod: &PodName, at: BootTime) {
        if self.names.pods.len() >= MAX_PODS && !self.names.pods.contains_key(container) {
            return;
        }
        self.pods_seen.insert(container.to_owned(), at);
        if self.names.pods.get(container) != Some(pod) {
            Arc::make_mut(&mut self.names.pods).insert(container.to_owned(), pod.clone());
        }
    }

    /// Forgets what was gone, or last heard of, before `horizon`.
    pub fn forget_before(&mut self, horizon: BootTime) {
        if self.pods_seen.values().any(|at| *at < horizon) {
            self.pods_seen.retain(|_, at| *at >= horizon);
            let seen = &self.pods_seen;
            Arc::make_mut(&mut self.names.pods).retain(|id, _| seen.contains_key(id));
        }
        while self
            .cgroups_gone
            .front()
            .is_some_and(|(at, _)| *at < horizon)
        {
            if let Some((_, id)) = self.cgroups_gone.pop_front() {
                Arc::make_mut(&mut self.names.cgroups).remove(&id);
            }
        }
        while self
            .processes_gone
            .front()
            .is_some_and(|(at, _)| *at < horizon)
        {
            if let Some((_, key)) = self.processes_gone.pop_front() {
                Arc::make_mut(&mut self.names.exes).remove(&key);
            }
        }
    }

    /// The names as they are now.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }
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

    #[test]
    fn names_outlive_their_cgroup_until_the_horizon() {
        let mut identities = Identities::default();
        let id = CgroupId(7);
        let record = |at, event| Record {
            at: BootTime(at),
            subject: crate::record::Subject::Cgroup(id),
            event,
        };
        identities.observe(&record(
            10,
            Event::CgroupCreated {
                path: "/a".to_owned(),
            },
        ));
        identities.observe(&record(
            20,
            Event::CgroupRemoved {
                path: "/a".to_owned(),
            },
        ));
        identities.forget_before(BootTime(20));
        assert_eq!(identities.names().describe(id), "cgroup /a");
        let kept = identities.names().clone();
        identities.forget_before(BootTime(21));
        assert!(identities.names().cgroup(id).is_none());
        assert_eq!(kept.describe(id), "cgroup /a");
    }
}
