//! Who plays a part in a death (by cgroup and role), and so which records belong in its report.

use std::collections::BTreeSet;

use super::case::Case;
use super::{ContainerInfo, OwnerInfo, PodInfo, Role};
use crate::identity::{Names, Place};
use crate::record::{
    CgroupId, ContainerEnded, Event, LaneName, Oom, PodFacts, PodIdentity, PodName, Record,
    Reported, Subject, Submission, same_container,
};
use crate::verdict::Scene;

/// The cgroups and the pod that play a part.
pub(super) struct Cast {
    /// Where the incident happened: the victim's cgroup, or those of a reported container.
    pub(super) subjects: BTreeSet<CgroupId>,
    ids: BTreeSet<CgroupId>,
    /// The pod it is about, by name.
    pub(super) pod: Option<PodName>,
    /// Its uid, as the API server gives it or its cgroups' paths do.
    uid: Option<String>,
    /// That it is this pod is only what its sidecar says.
    pub(super) pod_is_claimed: bool,
    pub(super) containers: Vec<ContainerInfo>,
    /// The whole node plays a part: everything decisive belongs in the report.
    whole_node: bool,
}

impl Cast {
    /// Who plays a part in a death.
    pub(super) fn of_death(case: &Case, scene: &Scene<'_>) -> Self {
        let subject = scene.victim.cgroup;
        let mut roles = vec![(Role::Subject, subject)];
        if let Some((_, _, exit)) = scene.exit() {
            roles.extend(
                exit.killer
                    .map(|killer| (Role::Sender, killer.sender.cgroup)),
            );
        }
        for oom in scene.records.iter().filter_map(|(_, r)| oom_of(r, scene)) {
            roles.push((Role::Allocator, oom.allocator.cgroup));
            roles.extend(
                oom.levels
                    .iter()
                    .filter_map(|l| l.limit.map(|_| (Role::Limit, l.cgroup))),
            );
        }
        let mut cast = Self::new(roles, &case.names);
        if let Some(named) = case.names.pod_of(subject) {
            cast.pod = Some(named.pod.clone());
            cast.pod_is_claimed = !named.proven;
        }
        cast
    }

    /// Whom a report of a sidecar is about: the container it names, or those its pod's sidecars have named; and
    /// beside them the other containers of that pod.
    pub(super) fn of_report(case: &Case, reported: &Reported) -> Self {
        let mut roles = Vec::new();
        if let Some(container) = &reported.container_id {
            for id in case.names.cgroups_of(container) {
                let known = case.names.cgroup(id);
                let own = known.is_some_and(|known| known.place.is_container(container));
                roles.push((if own { Role::Subject } else { Role::Pod }, id));
            }
        } else if let Some(pod) = &reported.pod {
            let cgroups = case.names.cgroups_of_pod(pod).into_iter();
            roles.extend(cgroups.map(|id| (Role::Subject, id)));
        }
        roles.sort_by_key(|(role, _)| *role != Role::Subject);
        let mut cast = Self::new(roles, &case.names);
        cast.pod.clone_from(&reported.pod);
        cast
    }

    /// Who plays a part in the end of a container that the kubelet told.
    pub(super) fn of_container(case: &Case, ended: &ContainerEnded) -> Self {
        let id = ended.end.container_id.as_deref();
        let own = |cgroup: &CgroupId| {
            let known = case.names.cgroup(*cgroup);
            known.is_some_and(|known| known.place.container_id() == id)
        };
        let cgroups = case.names.cgroups_of_pod(&ended.pod.pod);
        let (own, others): (Vec<_>, _) = cgroups.into_iter().partition(own);
        let roles = own.into_iter().map(|id| (Role::Subject, id));
        let others = others.into_iter().map(|id| (Role::Pod, id));
        Self::in_pod(roles.chain(others).collect(), &ended.pod, &case.names)
    }

    /// The containers of a pod with which something is wrong.
    pub(super) fn of_pod(case: &Case, pod: &PodIdentity) -> Self {
        let cgroups = case.names.cgroups_of_pod(&pod.pod).into_iter();
        let roles = cgroups.map(|id| (Role::Subject, id)).collect();
        Self::in_pod(roles, pod, &case.names)
    }

    /// Nobody but the node.
    pub(super) fn of_node() -> Self {
        Self::new(Vec::new(), &Names::default())
    }

    /// Everybody: the recorder or the node itself ended.
    pub(super) fn of_whole_node() -> Self {
        Self {
            whole_node: true,
            ..Self::of_node()
        }
    }

    fn in_pod(roles: Vec<(Role, CgroupId)>, pod: &PodIdentity, names: &Names) -> Self {
        // A former pod of the same name is another pod.
        let of_pod = |(_, id): &(Role, CgroupId)| {
            names
                .pod_facts(*id)
                .is_none_or(|facts| facts.uid == pod.uid)
        };
        let roles = roles.into_iter().filter(of_pod).collect();
        let mut cast = Self::new(roles, names);
        cast.pod = Some(pod.pod.clone());
        cast.uid = Some(pod.uid.clone());
        cast
    }

    fn new(roles: Vec<(Role, CgroupId)>, names: &Names) -> Self {
        let mut containers: Vec<ContainerInfo> = Vec::new();
        for (role, id) in roles {
            let info = container(role, id, names);
            if !containers.contains(&info) {
                containers.push(info);
            }
        }
        let first = containers.first().and_then(|info| info.pod_uid.as_deref());
        let told = first.and_then(|uid| names.pod_by_uid(uid));
        let uid = told.map(|facts| facts.uid.as_str()).or(first);
        let uid = uid.map(str::to_owned);
        let ids = |wanted: &dyn Fn(&ContainerInfo) -> bool| {
            let wanted = containers.iter().filter(|info| wanted(info));
            wanted.map(|info| CgroupId(info.cgroup_id)).collect()
        };
        Self {
            subjects: ids(&|info| info.role == Role::Subject),
            ids: ids(&|_| true),
            pod: None,
            uid,
            pod_is_claimed: false,
            containers,
            whole_node: false,
        }
    }

    /// Whether a bulk record about this subject can belong in this report: those about processes are calls, which
    /// [`concerns`](Self::concerns) takes of the subject's cgroups alone.
    pub(super) fn may_concern(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Process(process) => self.subjects.contains(&process.cgroup),
            Subject::Node | Subject::Cgroup(_) | Subject::Pod => true,
        }
    }

    /// Whether a record belongs in this report.
    pub(super) fn concerns(&self, record: &Record) -> bool {
        let own = |id| self.subjects.contains(&id);
        if self.whole_node && record.event.class().lane() == LaneName::Decisive {
            return !matches!(record.event, Event::KernelTally(_));
        }
        match (&record.event, record.subject.cgroup()) {
            (Event::KernelTally(_), _) => false,
            (Event::Telemetry(telemetry), _) => match &self.pod {
                Some(pod) => telemetry.pod == *pod,
                None => self.speaks_of(telemetry.container_id.as_deref(), &telemetry.submission),
            },
            (Event::Reported(reported), _) => match &self.pod {
                Some(pod) => reported.pod.as_ref() == Some(pod),
                None => self.speaks_of(reported.container_id.as_deref(), &reported.submission),
            },
            (event, _) if event.kube_pod().is_some() => self.is_told_of(event),
            (_, None) => true,
            // The other players' lives matter, their calls do not.
            (
                Event::FailedCall(_)
                | Event::Call(_)
                | Event::LastCall(_)
                | Event::TailRead(_)
                | Event::CallCounts(_),
                Some(id),
            ) => own(id),
            (Event::Signal(sent), Some(id)) => own(id) || own(sent.signal.sender.cgroup),
            (
                Event::Exec(_)
                | Event::Exit(_)
                | Event::Oom(_)
                | Event::Words(_)
                | Event::CrashStack(_),
                Some(id),
            ) => own(id),
            (_, Some(id)) => self.ids.contains(&id),
        }
    }

    /// Whether a container that a sidecar names is where the incident happened. One that proved to be another pod
    /// may name what it likes.
    fn speaks_of(&self, container: Option<&str>, submission: &Submission) -> bool {
        let Some(named) = container else {
            return false;
        };
        let proven = submission.proven_uid.as_ref();
        let fits = |info: &ContainerInfo| {
            let id = info.container_id.as_deref();
            let other = proven
                .zip(info.pod_uid.as_ref())
                .is_some_and(|(a, b)| a != b);
            info.role == Role::Subject && !other && id.is_some_and(|id| same_container(id, named))
        };
        self.containers.iter().any(fits)
    }

    /// Whether the cluster's word is about the pod: by uid where both are known, for a name may come again.
    fn is_told_of(&self, event: &Event) -> bool {
        match (&self.uid, event.kube_uid()) {
            (Some(own), Some(uid)) => uid == own,
            _ => self.pod.is_some() && self.pod.as_ref() == event.kube_pod(),
        }
    }

    pub(super) fn pod(&self, names: &Names) -> Option<PodInfo> {
        let uid = self.uid.clone();
        let facts = match (&uid, &self.pod) {
            (Some(uid), _) => names.pod_by_uid(uid),
            (None, Some(pod)) => names.pods_named(pod).find(|facts| facts.deletion.is_none()),
            (None, None) => None,
        };
        (uid.is_some() || self.pod.is_some()).then(|| PodInfo {
            uid,
            name: self.pod.as_ref().map(|pod| pod.name.clone()),
            namespace: self.pod.as_ref().map(|pod| pod.namespace.clone()),
            owners: facts.map(owners).unwrap_or_default(),
            qos: facts
                .and_then(|facts| facts.qos)
                .map(|qos| qos.name().to_owned()),
        })
    }
}

fn owners(facts: &PodFacts) -> Vec<OwnerInfo> {
    let owners = facts.owners.iter().map(|owner| OwnerInfo {
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        inferred: owner.uid.is_none(),
    });
    owners.collect()
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

fn container(role: Role, id: CgroupId, names: &Names) -> ContainerInfo {
    let known = names.cgroup(id);
    let told = names.container_facts(id).map(|(_, container)| container);
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
        container_name: names.container_name(id).map(str::to_owned),
        // A restarted container may have another image by now; the pod's spec is then another one too.
        image: told.and_then(|told| told.image.clone()),
        image_digest: told.and_then(|told| told.image_digest.clone()),
        memory_limit_bytes: told.and_then(|told| told.limits.memory_bytes),
        memory_request_bytes: told.and_then(|told| told.requests.memory_bytes),
        cpu_limit_millis: told.and_then(|told| told.limits.cpu_millis),
        cpu_request_millis: told.and_then(|told| told.requests.cpu_millis),
        restarts: told.and_then(|told| told.restarts),
    }
}
