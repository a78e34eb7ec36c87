//! Where the node's memory was: pods by what they used above what they had asked for. The kubelet evicts in that order
//! (Kubernetes documentation, "Node-pressure Eviction"), and the OOM killer's scores follow it.

use std::collections::{BTreeMap, HashMap};

use super::Neighbour;
use super::case::Case;
use crate::record::{CgroupId, Event, LaneName, PodName, RecordId};
use crate::verdict::Cause;

/// Pods shown.
const MOST: usize = 10;

/// The pods, if the cause is one of the whole node.
pub(super) fn of(case: &Case, cause: Cause) -> Vec<Neighbour> {
    match cause {
        Cause::NodeOom | Cause::Evicted | Cause::NodePressure => all(case),
        _ => Vec::new(),
    }
}

fn all(case: &Case) -> Vec<Neighbour> {
    let mut latest: HashMap<CgroupId, (RecordId, u64)> = HashMap::new();
    for (id, record) in case.slice.records(LaneName::Bulk) {
        if let (Event::Cgroup(sample), Some(cgroup)) = (&record.event, record.subject.cgroup())
            && let Some(memory) = sample.memory.filter(|_| !sample.inner)
        {
            latest.insert(cgroup, (id, memory.current));
        }
    }
    let mut pods: BTreeMap<PodName, (Neighbour, u64)> = BTreeMap::new();
    for (cgroup, (id, used)) in latest {
        let container = case.names.cgroup(cgroup);
        let is_container = container.is_some_and(|it| it.place.container_id().is_some());
        let Some(named) = case.names.pod_of(cgroup).filter(|_| is_container) else {
            continue;
        };
        let facts = case.names.pod_facts(cgroup);
        let requests = facts.into_iter().flat_map(|facts| &facts.containers);
        let requested = requests
            .filter_map(|container| container.requests.memory_bytes)
            .sum();
        let fresh = || Neighbour {
            namespace: named.pod.namespace.clone(),
            pod: named.pod.name.clone(),
            memory_bytes: 0,
            requested_bytes: requested,
            cites: Vec::new(),
        };
        let (pod, largest) = pods
            .entry(named.pod.clone())
            .or_insert_with(|| (fresh(), 0));
        pod.memory_bytes += used;
        if used >= *largest {
            *largest = used;
            pod.cites = vec![id];
        }
    }
    let mut pods: Vec<Neighbour> = pods.into_values().map(|(pod, _)| pod).collect();
    pods.sort_by_key(|pod| {
        let over = pod.memory_bytes.saturating_sub(pod.requested_bytes);
        (std::cmp::Reverse(over), std::cmp::Reverse(pod.memory_bytes))
    });
    pods.truncate(MOST);
    pods
}
