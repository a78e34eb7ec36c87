//! How containers ended so far: a ledger for each pod. Pure.
//!
//! Fed by the same records as everything else: what the kernel saw of a container's first process, and what the kubelet
//! said of its end; the two meet by the container's id. Bounded in pods and in ends of each.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::identity::Names;
use crate::record::{BootTime, ContainerEnded, Event, Exit, Record};

/// Ends remembered for each pod's containers.
const MAX_ENDS: usize = 32;
/// Pods with ends that are remembered; beyond, the pod whose first end is oldest is forgotten.
const MAX_PODS: usize = 1024;

/// One end of an instance, by what was seen and told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PastEnd {
    pub at: BootTime,
    /// Whole id.
    pub container_id: String,
    /// What the kernel saw.
    pub seen: Option<Exit>,
    /// What the kubelet said.
    pub told: Option<ContainerEnded>,
}

/// The ends of every pod's containers, by the pod's uid.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ends {
    pods: HashMap<String, VecDeque<PastEnd>>,
    /// Pods in the order of their first end.
    order: VecDeque<String>,
}

impl Ends {
    /// Learns from a record.
    pub fn observe(&mut self, record: &Record, names: &Names) {
        match &record.event {
            Event::Exit(exit) if exit.ns_pid == 1 && exit.ns_level > 0 => {
                let cgroup = record.subject.cgroup();
                let place = cgroup
                    .and_then(|id| names.cgroup(id))
                    .map(|known| &known.place);
                let Some((id, path_uid)) = place.and_then(|it| it.container_id().zip(it.pod_uid()))
                else {
                    return;
                };
                let uid = names
                    .pod_by_uid(path_uid)
                    .map_or(path_uid, |facts| &facts.uid);
                let end = self.end(uid, id, record.at);
                end.at = record.at;
                end.seen = Some(exit.clone());
            }
            Event::ContainerEnded(ended) => {
                if let Some(id) = &ended.end.container_id {
                    self.end(&ended.pod.uid, id, record.at).told = Some((**ended).clone());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, uid: &str, id: &str, at: BootTime) -> &mut PastEnd {
        if !self.pods.contains_key(uid) {
            if self.order.len() >= MAX_PODS
                && let Some(oldest) = self.order.pop_front()
            {
                self.pods.remove(&oldest);
            }
            self.order.push_back(uid.to_owned());
        }
        let ends = self.pods.entry(uid.to_owned()).or_default();
        let known = ends.iter().position(|end| end.container_id == id);
        let index = known.unwrap_or_else(|| {
            ends.push_back(PastEnd {
                at,
                container_id: id.to_owned(),
                seen: None,
                told: None,
            });
            let excess = ends.len().saturating_sub(MAX_ENDS);
            ends.drain(..excess);
            ends.len() - 1
        });
        &mut ends[index]
    }

    /// The ends of a pod's containers, oldest first.
    #[must_use]
    pub fn of(&self, uid: &str) -> Vec<PastEnd> {
        self.pods.get(uid).into_iter().flatten().cloned().collect()
    }
}
