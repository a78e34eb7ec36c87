//! Evidence from the node that no record holds: looked for when an incident has closed, before its report is made.
//!
//! Reads the kubelet's log directories; makes the parts of a [`Case`] that are files of the node. Never fails: what cannot
//! be read is said in the report. Off the recorder's loop; a report is still a function of its case alone.

pub mod logs;

use std::path::PathBuf;

use crate::incident::trigger::{About, Trigger};
use crate::record::{Condition, PodName};
use crate::redact::Redactor;
use crate::report::case::Case;

/// Where the node keeps it, and how much of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The kubelet's directory of logs, `/var/log/pods`.
    pub pod_logs: PathBuf,
    /// Most bytes of a log that are kept; 0 for none.
    pub log_bytes: usize,
}

/// Whose log is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub pod: PodName,
    /// The uid in the names of directories: a static pod's is not the API server's.
    pub uid: String,
    pub container: String,
    /// When it ended, wall time, ns.
    pub ended: i64,
}

/// Looks for evidence.
#[derive(Clone, Debug)]
pub struct Finder {
    config: Config,
    redactor: Redactor,
}

impl Finder {
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            redactor: Redactor::default(),
        }
    }

    /// Hides secrets with `redactor`; by default, with the built-in rules.
    #[must_use]
    pub fn redacting(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// Adds to the case what the node has of it.
    pub fn look(&self, case: &mut Case) {
        if self.config.log_bytes == 0 {
            return;
        }
        if let Some(instance) = instance(case) {
            let mut found = logs::tail(&self.config, &instance);
            if let Ok(log) = &mut found {
                logs::redact(log, &self.redactor);
            }
            case.log = Some(found.map_err(|error| error.to_string()));
        }
    }
}

/// The container whose end, or whose waiting, the incident is about. `None`: it is about none in a pod of a known name.
fn instance(case: &Case) -> Option<Instance> {
    let first = &case.incident.first;
    let container = container(case, first)?;
    let uid = first.location.pod_uid.as_deref()?;
    let facts = case.names.pod_by_uid(uid);
    let directory = facts.and_then(|facts| facts.static_uid.as_deref());
    let finished = case
        .incident
        .triggers()
        .find_map(|trigger| trigger.about.ended()?.end.finished);
    let seen = case.wall.wall(first.at).as_nanosecond();
    let seen = i64::try_from(seen).unwrap_or(i64::MAX);
    Some(Instance {
        pod: first.location.pod.clone()?,
        uid: directory.unwrap_or(uid).to_owned(),
        container,
        ended: match first.about.process() {
            Some(_) => seen,
            // The kubelet's seconds are whole: the log may end within this one.
            None => finished.map_or(seen, |at| at.saturating_add(1_000_000_000)),
        },
    })
}

fn container(case: &Case, first: &Trigger) -> Option<String> {
    match &first.about {
        About::Process(process) => case.names.container_name(process.cgroup).map(str::to_owned),
        About::Container(ended) => Some(ended.container.clone()),
        About::Pod(condition) => match &condition.what {
            Condition::Waiting { container, .. } => Some(container.clone()),
            _ => None,
        },
        About::Node(_) | About::Reported(_) => None,
    }
}
