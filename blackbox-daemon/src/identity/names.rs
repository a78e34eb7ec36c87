//! The names at one moment: what reports, rules and verdicts ask. Pure; made and kept up to date by [`Identities`].
//!
//! [`Identities`]: super::Identities

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Place;
use super::cluster::Cluster;
use super::pods::{Named, Pods};
use crate::record::{CgroupId, ContainerFacts, PodFacts, PodName, ProcessKey};

/// A cgroup that is or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Path in the watched hierarchy.
    pub path: String,
    pub place: Place,
}

/// The names at one moment; cheap to clone, and of no effect on later changes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    pub(super) cgroups: Arc<HashMap<CgroupId, Known>>,
    pub(super) exes: Arc<HashMap<ProcessKey, Arc<str>>>,
    /// What sidecars say …
    pub(super) pods: Arc<Pods>,
    /// … and what the API server says, which counts more.
    pub(super) cluster: Arc<Cluster>,
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
            Some(known) => self
                .container(id, &known.place)
                .unwrap_or_else(|| known.place.describe()),
            None => format!(
                "cgroup #{} (created and named before recording began)",
                id.0
            ),
        }
    }

    /// A container by the names people gave it and its pod, where both are known.
    fn container(&self, id: CgroupId, place: &Place) -> Option<String> {
        let (name, pod) = (self.container_name(id)?, self.pod_at(place)?.pod);
        Some(format!(
            "container {name} ({}) of pod {pod}",
            place.short_id()?
        ))
    }

    /// The cgroups of a container, known by the beginning of its id, and of the other containers of its pod.
    #[must_use]
    pub fn cgroups_of(&self, container: &str) -> Vec<CgroupId> {
        let own = |place: &Place| place.is_container(container);
        let uids: Vec<&str> = self
            .places()
            .filter(|(_, place)| own(place))
            .filter_map(|(_, place)| place.pod_uid())
            .collect();
        self.cgroups_where(|place| {
            own(place) || place.pod_uid().is_some_and(|uid| uids.contains(&uid))
        })
    }

    /// The cgroups of a pod's containers, as far as the API server has told, or its sidecars have proven or named them.
    #[must_use]
    pub fn cgroups_of_pod(&self, pod: &PodName) -> Vec<CgroupId> {
        self.cgroups_where(|place| self.pod_at(place).is_some_and(|named| named.pod == pod))
    }

    /// What the API server says of the pod that a cgroup belongs to.
    #[must_use]
    pub fn pod_facts(&self, id: CgroupId) -> Option<&PodFacts> {
        let facts = self.cluster.of(&self.cgroup(id)?.place);
        facts.map(AsRef::as_ref)
    }

    /// What the API server says of the pod with this uid: the API's, or the one in its cgroups' paths.
    #[must_use]
    pub fn pod_by_uid(&self, uid: &str) -> Option<&PodFacts> {
        self.cluster.pod(uid).map(AsRef::as_ref)
    }

    /// What the API server says of the pods with this name: the present one, and those before it that are remembered.
    pub fn pods_named<'a>(&'a self, pod: &'a PodName) -> impl Iterator<Item = &'a PodFacts> {
        self.cluster.named(pod).map(AsRef::as_ref)
    }

    /// What the API server says of a container, with its pod. The container may have been restarted since: then its
    /// facts are those of its newest instance.
    #[must_use]
    pub fn container_facts(&self, id: CgroupId) -> Option<(&PodFacts, &ContainerFacts)> {
        self.container_by_id(self.cgroup(id)?.place.container_id()?)
    }

    /// The same, by the container's id.
    #[must_use]
    pub fn container_by_id(&self, container: &str) -> Option<(&PodFacts, &ContainerFacts)> {
        self.cluster.container(container)
    }

    /// The pod at a place: the API server's word first, then the kubelet's log directories.
    fn pod_at(&self, place: &Place) -> Option<Named<'_>> {
        let told = self.cluster.of(place);
        let told = told.map(|facts| Named {
            pod: &facts.pod,
            proven: true,
        });
        let logged = || {
            let logged = self.cluster.logged(place);
            logged.map(|logged| Named {
                pod: &logged.pod.pod,
                proven: true,
            })
        };
        told.or_else(logged).or_else(|| self.pods.of(place))
    }

    /// The name of a container: by the API server's word, else by its log.
    #[must_use]
    pub fn container_name(&self, id: CgroupId) -> Option<&str> {
        let place = &self.cgroup(id)?.place;
        let container = place.container_id()?;
        if let Some((_, told)) = self.cluster.container(container) {
            return Some(&told.name);
        }
        let mut logged = self.cluster.logged(place)?.containers.iter();
        logged.find_map(|(own, name)| (own == container).then_some(&**name))
    }

    /// The pod that a cgroup belongs to, if the API server has told, a sidecar of it has proven it, or named the
    /// container or another one of the pod.
    #[must_use]
    pub fn pod_of(&self, id: CgroupId) -> Option<Named<'_>> {
        let place = &self.cgroup(id)?.place;
        self.pod_at(place).or_else(|| {
            let uid = place.pod_uid()?;
            let mut siblings = self
                .places()
                .filter(|(_, other)| other.pod_uid() == Some(uid));
            siblings.find_map(|(_, other)| self.pod_at(other))
        })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (CgroupId, &Place)> {
        self.cgroups.iter().map(|(id, known)| (*id, &known.place))
    }

    /// The cgroups whose place is wanted, by id.
    #[must_use]
    pub fn cgroups_where(&self, wanted: impl Fn(&Place) -> bool) -> Vec<CgroupId> {
        let wanted = self.places().filter(|(_, place)| wanted(place));
        let mut cgroups: Vec<CgroupId> = wanted.map(|(id, _)| id).collect();
        cgroups.sort_unstable();
        cgroups
    }

    /// The path given to the process's last `execve`, if recording saw it.
    #[must_use]
    pub fn exe(&self, key: ProcessKey) -> Option<&str> {
        self.exes.get(&key).map(AsRef::as_ref)
    }
}
