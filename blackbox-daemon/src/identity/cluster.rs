//! The pods that the API server has told of: by uid, and by the ids of their containers. This is proof. Where it could
//! not be asked, the kubelet's log directories name pods and containers.
//!
//! A pod is known until it is gone and the window cannot speak of it any more; a container that was replaced, until
//! then too.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::Place;
use serde::{Deserialize, Serialize};

use crate::record::{
    BootTime, Condition, ContainerFacts, Event, LoggedPod, PodFacts, PodName, Record,
};

/// Most pods known at once.
const MAX_PODS: usize = 16_384;

/// A container by name, in its pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Instance {
    uid: String,
    name: String,
}

/// The pods, and their containers' instances by id. Clones share the facts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Cluster {
    pods: HashMap<String, Arc<PodFacts>>,
    /// Static pods, by the uid in their cgroups' paths → the uid the API server gives.
    statics: HashMap<String, String>,
    containers: HashMap<String, Instance>,
    /// Names by the uid in cgroups' paths, as log directories give them.
    logged: HashMap<String, Arc<LoggedPod>>,
}

impl Cluster {
    /// The name of the pod at a place, by its log directory.
    pub(super) fn logged(&self, place: &Place) -> Option<&LoggedPod> {
        self.logged.get(place.pod_uid()?).map(AsRef::as_ref)
    }

    /// Log directories come and go with their pods; what is known of the present ones is all there is to know, and it is
    /// bounded like pods.
    fn learn_logged(&mut self, logged: &LoggedPod) {
        if self.logged.len() < MAX_PODS || self.logged.contains_key(&logged.pod.uid) {
            let uid = logged.pod.uid.clone();
            self.logged.insert(uid, Arc::new(logged.clone()));
        }
    }

    /// The pod a cgroup's place is in.
    pub(super) fn of(&self, place: &Place) -> Option<&Arc<PodFacts>> {
        let by_uid = place.pod_uid().and_then(|uid| self.pod(uid));
        by_uid.or_else(|| {
            let instance = self.containers.get(place.container_id()?)?;
            self.pods.get(&instance.uid)
        })
    }

    /// The pod of a uid, as the API server gives it or as its cgroups' paths do.
    pub(super) fn pod(&self, uid: &str) -> Option<&Arc<PodFacts>> {
        let known = self.pods.get(uid);
        known.or_else(|| self.pods.get(self.statics.get(uid)?))
    }

    /// The container of an id, also one that was replaced.
    pub(super) fn container(&self, id: &str) -> Option<(&PodFacts, &ContainerFacts)> {
        let instance = self.containers.get(id)?;
        let pod = self.pods.get(&instance.uid)?;
        Some((pod, pod.container(&instance.name)?))
    }

    /// The uids of the pods of that name: the present one, and former ones that are remembered.
    pub(super) fn named<'a>(&'a self, pod: &'a PodName) -> impl Iterator<Item = &'a Arc<PodFacts>> {
        self.pods.values().filter(move |facts| facts.pod == *pod)
    }

    fn learn(&mut self, facts: &PodFacts) {
        if !self.pods.contains_key(&facts.uid) && self.pods.len() >= MAX_PODS {
            return;
        }
        if let Some(uid) = &facts.static_uid {
            self.statics.insert(uid.clone(), facts.uid.clone());
        }
        for (id, name) in ids(facts) {
            let instance = Instance {
                uid: facts.uid.clone(),
                name: name.to_owned(),
            };
            self.containers.insert(id.to_owned(), instance);
        }
        self.pods.insert(facts.uid.clone(), Arc::new(facts.clone()));
    }

    fn forget_pod(&mut self, uid: &str) {
        self.pods.remove(uid);
        self.statics.retain(|_, known| known != uid);
        self.containers.retain(|_, instance| instance.uid != uid);
    }
}

/// The ids of a pod's containers that its statuses show, with the containers' names.
fn ids(facts: &PodFacts) -> impl Iterator<Item = (&str, &str)> {
    facts.containers.iter().flat_map(|container| {
        let ended = container
            .last_end
            .as_ref()
            .and_then(|end| end.container_id.as_deref());
        let ids = [container.id.as_deref(), ended].into_iter().flatten();
        ids.map(|id| (id, &*container.name))
    })
}

/// What is gone, and since when.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Leavings {
    pods: VecDeque<(BootTime, String)>,
    /// Ids that their pods do not show any more.
    containers: VecDeque<(BootTime, String)>,
}

impl Leavings {
    /// Learns from a statement of the API server.
    pub(super) fn observe(&mut self, cluster: &mut Arc<Cluster>, record: &Record) {
        match &record.event {
            Event::Pod(facts) => {
                self.pods.retain(|(_, gone)| *gone != facts.uid);
                if let Some(before) = cluster.pods.get(&facts.uid) {
                    let replaced = ids(before)
                        .filter(|(id, _)| ids(facts).all(|(shown, _)| shown != *id))
                        .map(|(id, _)| (record.at, id.to_owned()));
                    self.containers.extend(replaced);
                }
                Arc::make_mut(cluster).learn(facts);
            }
            Event::LoggedPod(logged) => Arc::make_mut(cluster).learn_logged(logged),
            Event::PodCondition(condition) => {
                if let Condition::Gone { .. } = condition.what {
                    self.pods.push_back((record.at, condition.pod.uid.clone()));
                }
            }
            _ => {}
        }
    }

    /// Forgets what was gone before `horizon`.
    pub(super) fn forget_before(&mut self, cluster: &mut Arc<Cluster>, horizon: BootTime) {
        while let Some(uid) = before(&mut self.pods, horizon) {
            Arc::make_mut(cluster).forget_pod(&uid);
        }
        while let Some(id) = before(&mut self.containers, horizon) {
            // It may be shown again: a list can be older than what it follows.
            let shown = cluster.containers.get(&id).is_some_and(|instance| {
                let pod = cluster.pods.get(&instance.uid);
                pod.is_some_and(|facts| ids(facts).any(|(shown, _)| shown == id))
            });
            if !shown {
                Arc::make_mut(cluster).containers.remove(&id);
            }
        }
    }
}

/// Takes the first that is older than `horizon`.
fn before(gone: &mut VecDeque<(BootTime, String)>, horizon: BootTime) -> Option<String> {
    gone.front().filter(|(at, _)| *at < horizon)?;
    gone.pop_front().map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identities;
    use crate::record::{
        CgroupId, ContainerKind, ContainerState, Phase, PodCondition, Resources, Subject, Wishes,
    };

    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
    const MIRROR: &str = "11112222-3333-4444-5555-666677778888";

    fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn facts(container: char) -> PodFacts {
        PodFacts {
            uid: UID.to_owned(),
            pod: PodName {
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
            },
            static_uid: None,
            node: None,
            owners: Vec::new(),
            phase: Phase::Running,
            reason: None,
            message: None,
            qos: None,
            restart_policy: None,
            grace_seconds: None,
            created: None,
            deletion: None,
            disruption: None,
            wishes: Wishes::default(),
            containers: vec![ContainerFacts {
                name: "app".to_owned(),
                kind: ContainerKind::Main,
                id: Some(id(container)),
                image: Some("registry/web:1".to_owned()),
                image_digest: None,
                limits: Resources::default(),
                requests: Resources::default(),
                restarts: Some(0),
                state: ContainerState::Running { started: None },
                last_end: None,
            }],
        }
    }

    fn told(seconds: u64, event: Event) -> Record {
        Record {
            at: BootTime(seconds),
            subject: Subject::Pod,
            event,
        }
    }

    fn pod(seconds: u64, facts: PodFacts) -> Record {
        told(seconds, Event::Pod(Box::new(facts)))
    }

    #[test]
    fn the_api_server_names_cgroups_by_uid_and_by_container() {
        let mut identities = Identities::default();
        let by_uid = format!("/kubepods/pod{UID}/{}", id('a'));
        identities.add(CgroupId(1), &by_uid);
        // CRI-O and docker layouts may name no pod.
        identities.add(
            CgroupId(2),
            &format!("/system.slice/docker-{}.scope", id('a')),
        );
        identities.add(CgroupId(3), &format!("/docker/{}", id('c')));
        identities.observe(&pod(1, facts('a')));
        let names = identities.names();
        for cgroup in [1, 2].map(CgroupId) {
            let named = names.pod_of(cgroup).unwrap();
            assert_eq!((named.pod.name.as_str(), named.proven), ("web", true));
            let (_, container) = names.container_facts(cgroup).unwrap();
            assert_eq!(container.name, "app");
        }
        assert!(names.pod_of(CgroupId(3)).is_none());
        assert_eq!(names.cgroups_of_pod(&facts('a').pod), [1, 2].map(CgroupId));
    }

    #[test]
    fn a_static_pod_is_known_by_the_uid_in_its_cgroups() {
        let mut identities = Identities::default();
        identities.add(CgroupId(1), &format!("/kubepods/pod{MIRROR}/{}", id('f')));
        identities.observe(&pod(
            1,
            PodFacts {
                static_uid: Some(MIRROR.to_owned()),
                ..facts('a')
            },
        ));
        let facts = identities.names().pod_facts(CgroupId(1)).unwrap();
        assert_eq!(facts.uid, UID);
    }

    #[test]
    fn what_is_gone_is_known_until_the_horizon() {
        let mut identities = Identities::default();
        identities.observe(&pod(1, facts('a')));
        identities.observe(&pod(10, facts('b')));
        identities.forget_before(BootTime(10));
        assert!(identities.names().container_by_id(&id('a')).is_some());
        identities.forget_before(BootTime(11));
        assert!(identities.names().container_by_id(&id('a')).is_none());
        assert!(identities.names().container_by_id(&id('b')).is_some());
        let gone = PodCondition {
            pod: facts('b').identity(),
            what: Condition::Gone { unseen: false },
            message: None,
            again: false,
        };
        identities.observe(&told(20, Event::PodCondition(Box::new(gone))));
        identities.forget_before(BootTime(20));
        assert!(identities.names().pod_by_uid(UID).is_some());
        identities.forget_before(BootTime(21));
        assert!(identities.names().pod_by_uid(UID).is_none());
        assert!(identities.names().container_by_id(&id('b')).is_none());
    }
}
