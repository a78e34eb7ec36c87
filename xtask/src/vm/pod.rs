//! A pod: its names, and where its cgroups and logs lie on a node.
//!
//! Layouts are those of the kubelet's systemd and cgroupfs drivers with containerd and CRI-O; the daemon reads the
//! same paths on its own.

use serde::{Deserialize, Serialize};

use crate::deaths::container_id;

/// Where pods are.
pub(super) const NAMESPACES: [&str; 5] = ["shop", "search", "billing", "mail", "team-7"];
/// The memory limit of the pod number `n`, in MiB: a few different ones.
const LIMITS_MIB: [u64; 3] = [16, 20, 24];

/// A pod with one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// The container's name in the pod.
    pub(super) container: String,
    pub(super) layout: Layout,
    pub(super) limit_bytes: u64,
    /// The kernel ends the whole container when one of its processes is out of memory: the default since 1.28.
    pub(super) kill_group: bool,
}

/// How a node lays out its cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Layout {
    BurstableContainerd,
    GuaranteedContainerd,
    BurstableCrio,
    BurstableCgroupfs,
}

impl Layout {
    /// All of them; containerd's most often, as on most nodes.
    const TURNS: [Self; 6] = [
        Self::BurstableContainerd,
        Self::GuaranteedContainerd,
        Self::BurstableContainerd,
        Self::BurstableCrio,
        Self::BurstableContainerd,
        Self::BurstableCgroupfs,
    ];
}

impl Pod {
    /// The pod number `n` of a series called `name`; its uid is its own.
    pub(super) fn new(name: &str, n: usize) -> Self {
        Self {
            namespace: NAMESPACES[n % NAMESPACES.len()].to_owned(),
            name: format!("{name}-{n:03}"),
            uid: uid(),
            container: "app".to_owned(),
            layout: Layout::TURNS[n % Layout::TURNS.len()],
            limit_bytes: LIMITS_MIB[n % LIMITS_MIB.len()] << 20,
            kill_group: !n.is_multiple_of(4),
        }
    }

    /// The pod's cgroup.
    pub(super) fn slice(&self) -> String {
        let escaped = self.uid.replace('-', "_");
        match self.layout {
            Layout::BurstableContainerd | Layout::BurstableCrio => {
                format!(
                    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{escaped}.slice"
                )
            }
            Layout::GuaranteedContainerd => format!("kubepods.slice/kubepods-pod{escaped}.slice"),
            Layout::BurstableCgroupfs => format!("kubepods/burstable/pod{}", self.uid),
        }
    }

    /// The cgroup of the container `id`, or of the sandbox.
    pub(super) fn scope(&self, id: &str) -> String {
        let slice = self.slice();
        match self.layout {
            Layout::BurstableContainerd | Layout::GuaranteedContainerd => {
                format!("{slice}/cri-containerd-{id}.scope")
            }
            Layout::BurstableCrio => format!("{slice}/crio-{id}.scope"),
            Layout::BurstableCgroupfs => format!("{slice}/{id}"),
        }
    }

    /// Where the kubelet has the pod's logs.
    pub(super) fn logs(&self) -> String {
        format!(
            "/var/log/pods/{}_{}_{}",
            self.namespace, self.name, self.uid
        )
    }

    /// The link to a container's log.
    pub(super) fn link(&self, id: &str) -> String {
        format!(
            "/var/log/containers/{}_{}_{}-{id}.log",
            self.name, self.namespace, self.container
        )
    }
}

/// A UUID such as the API server makes.
fn uid() -> String {
    let digits = container_id();
    let part = |from: usize, to: usize| &digits[from..to];
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_has_its_paths() {
        let mut pod = Pod::new("shop", 0);
        pod.uid = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0".to_owned();
        let escaped = "0f1e2d3c_4b5a_4978_8796_a5b4c3d2e1f0";
        let uid = &pod.uid.clone();
        for (layout, path) in [
            (
                Layout::BurstableContainerd,
                format!(
                    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{escaped}.slice/cri-containerd-ab.scope"
                ),
            ),
            (
                Layout::GuaranteedContainerd,
                format!("kubepods.slice/kubepods-pod{escaped}.slice/cri-containerd-ab.scope"),
            ),
            (
                Layout::BurstableCrio,
                format!(
                    "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{escaped}.slice/crio-ab.scope"
                ),
            ),
            (
                Layout::BurstableCgroupfs,
                format!("kubepods/burstable/pod{uid}/ab"),
            ),
        ] {
            pod.layout = layout;
            assert_eq!(pod.scope("ab"), path);
        }
    }

    #[test]
    fn uids_are_uuids_and_all_different() {
        let (one, other) = (uid(), uid());
        assert_ne!(one, other);
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
