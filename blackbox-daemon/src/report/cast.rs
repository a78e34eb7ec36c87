//! Who plays a part in a death (by cgroup and role), and so which records belong in its report.

use std::collections::BTreeSet;

use super::case::Case;
use super::{ContainerInfo, PodInfo};
use crate::identity::{Names, Place};
use crate::record::{CgroupId, Event, Oom, Record, RecordId};
use crate::verdict::Scene;

/// The cgroups that play a part, by role.
pub(super) struct Cast {
    subject: CgroupId,
    ids: BTreeSet<CgroupId>,
    pub(super) containers: Vec<ContainerInfo>,
}

impl Cast {
    pub(super) fn of(case: &Case, decisive: &[(RecordId, Record)], scene: &Scene<'_>) -> Self {
        let subject = case.incident.first.process.cgroup;
        let mut roles = vec![("subject", subject)];
        if let Some((_, _, exit)) = scene.exit() {
            roles.extend(exit.killer.map(|killer| ("sender", killer.sender.cgroup)));
        }
        for oom in decisive
            .iter()
            .filter_map(|(_, record)| oom_of(record, scene))
        {
            roles.push(("allocator", oom.allocator.cgroup));
            roles.extend(
                oom.levels
                    .iter()
                    .filter_map(|l| l.limit.map(|_| ("limit", l.cgroup))),
            );
        }
        let mut containers: Vec<ContainerInfo> = Vec::new();
        for (role, id) in roles {
            let info = container(role, id, &case.names);
            if !containers.contains(&info) {
                containers.push(info);
            }
        }
        let ids = containers
            .iter()
            .map(|info| CgroupId(info.cgroup_id))
            .collect();
        Self {
            subject,
            ids,
            containers,
        }
    }

    /// Whether a record belongs in this report.
    pub(super) fn concerns(&self, record: &Record) -> bool {
        match (&record.event, record.subject.cgroup()) {
            (Event::KernelTally(_), _) => false,
            (_, None) => true,
            // The other players' lives matter, their calls do not.
            (Event::FailedCall(_) | Event::CallCounts(_), Some(id)) => id == self.subject,
            (Event::Signal(sent), Some(id)) => {
                id == self.subject || sent.signal.sender.cgroup == self.subject
            }
            (Event::Exec(_) | Event::Exit(_) | Event::Oom(_), Some(id)) => id == self.subject,
            (_, Some(id)) => self.ids.contains(&id),
        }
    }

    pub(super) fn pod(&self) -> Option<PodInfo> {
        let uid = self.containers.first()?.pod_uid.clone()?;
        Some(PodInfo {
            uid: Some(uid),
            name: None,
            namespace: None,
        })
    }
}

fn oom_of<'a>(record: &'a Record, scene: &Scene<'_>) -> Option<&'a Oom> {
    match &record.event {
        Event::Oom(oom)
            if record
                .subject
                .process()
                .is_some_and(|p| p.key == scene.victim.key) =>
        {
            Some(oom)
        }
        _ => None,
    }
}

fn container(role: &'static str, id: CgroupId, names: &Names) -> ContainerInfo {
    let known = names.cgroup(id);
    let (container_id, pod_uid, unit) = match known.map(|known| &known.place) {
        Some(Place::Container { id, pod_uid }) => (Some(id.clone()), pod_uid.clone(), None),
        Some(Place::Unit(unit)) => (None, None, Some(unit.clone())),
        Some(Place::Root | Place::Plain(_)) | None => (None, None, None),
    };
    ContainerInfo {
        role,
        name: names.describe(id),
        container_id,
        pod_uid,
        unit,
        cgroup_path: known.map(|known| known.path.clone()),
        cgroup_id: id.0,
    }
}
