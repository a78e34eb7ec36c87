//! Which runs are alike: those of one image in one container of a namespace; outside of Kubernetes, those of one program in
//! cgroups of one name.

use super::step::steady;
use crate::identity::{Names, Place};
use crate::record::CgroupId;

/// What makes the run in `cgroup` like others, in words. `None`: not known (yet).
///
/// Never across namespaces: a report must not tell one tenant what another one's program does.
pub(super) fn of(cgroup: CgroupId, program: Option<&str>, names: &Names) -> Option<String> {
    let place = &names.cgroup(cgroup)?.place;
    if place.pod_uid().is_some() {
        let (pod, container) = names.container_facts(cgroup)?;
        let digest = container.image_digest.as_deref()?;
        let (name, namespace) = (&container.name, &pod.pod.namespace);
        return Some(format!(
            "image {digest} as container {name} in namespace {namespace}"
        ));
    }
    let program = steady(program?);
    match place {
        Place::Container { .. } => Some(format!("program {program} in a container")),
        Place::Unit(unit) => Some(format!("program {program} in unit {unit}")),
        Place::Plain(path) => Some(format!("program {program} in cgroup {}", steady(path))),
        Place::Root => None,
    }
}
