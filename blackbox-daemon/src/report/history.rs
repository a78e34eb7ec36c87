//! How the earlier instances of the subject's container ended, as a report shows it. Pure.

use super::case::Case;
use super::{ContainerInfo, HistoryRow, Role};
use crate::identity::Names;
use crate::incident::ends::PastEnd;
use crate::incident::trigger::About;
use crate::record::Signal;
use crate::words;

/// The ends of the containers that play the subject's part, or of all in the pod where that is not known.
pub(super) fn rows(case: &Case, containers: &[ContainerInfo]) -> Vec<HistoryRow> {
    let first = &case.incident.first;
    let named =
        |info: &ContainerInfo| (info.role == Role::Subject).then(|| info.container_name.clone())?;
    let name = match &first.about {
        About::Container(ended) => Some(ended.container.clone()),
        _ => containers.iter().find_map(named),
    };
    let same = |end: &&PastEnd| match (&name, &end.told) {
        (Some(name), Some(told)) => told.container == *name,
        (Some(name), None) => {
            let known = case.names.container_by_id(&end.container_id);
            known.is_none_or(|(_, container)| container.name == *name)
        }
        (None, _) => true,
    };
    let rows = case.ends.iter().filter(same).map(|end| HistoryRow {
        timestamp: case.wall.wall(end.at),
        container_id: end.container_id.clone(),
        end: in_words(end, &case.names),
        reason: end.told.as_ref().and_then(|told| told.end.reason.clone()),
        exit_code: end.told.as_ref().map(|told| told.end.exit_code),
    });
    rows.collect()
}

fn in_words(end: &PastEnd, names: &Names) -> String {
    let Some(exit) = &end.seen else {
        let code = end.told.as_ref().map_or(0, |told| told.end.exit_code);
        return format!("ended with exit code {code}, by the kubelet's word");
    };
    let how = words::ending(exit.status);
    if exit.oom_victim {
        return format!("{how}, chosen by the OOM killer");
    }
    match exit.killer.filter(Signal::from_user) {
        Some(signal) => format!(
            "{how}, sent by {} in {}",
            words::process(&signal.sender),
            names.describe(signal.sender.cgroup)
        ),
        None => how,
    }
}
