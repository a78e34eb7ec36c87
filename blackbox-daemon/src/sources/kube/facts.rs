//! A pod as the API server shows it → what is recorded of it: its facts, and how its containers ended. Pure.
//!
//! Texts are bounded here. Of a container's instances the API server shows two, the newest and the one before.

use jiff::Timestamp;

use super::object::{Annotations, Container, ContainerStatus, Meta, Pod, Requirements, Terminated};
use super::quantity;
use crate::record::{
    ContainerEnded, ContainerFacts, ContainerKind, ContainerState, Deletion, Disruption, End,
    Owner, Phase, PodFacts, PodName, Qos, Resources, RestartPolicy, Wishes,
};
use crate::sources::sidecar::claimed;

/// Longest termination message kept, bytes; the kubelet's own limit.
const LAST_WORDS: usize = 4096;
/// Longest other message kept, bytes.
pub(super) const MESSAGE: usize = 1024;
/// Longest name, reason or image kept, bytes; Kubernetes allows none that is longer, but servers are not trusted.
pub(super) const NAME: usize = 512;
/// Most containers of one pod kept.
const CONTAINERS: usize = 256;
/// Most owners kept.
const OWNERS: usize = 8;

/// What one look at a pod shows.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) facts: PodFacts,
    /// Every end that the statuses show, oldest first; `unseen` is 0.
    pub(super) ends: Vec<ContainerEnded>,
    /// Why containers wait, in words: (container, message).
    pub(super) waits: Vec<(String, String)>,
}

impl Look {
    pub(super) fn of(pod: &Pod) -> Self {
        let (meta, status) = (&pod.metadata, &pod.status);
        let disrupted = |condition: &&super::object::StatusCondition| {
            condition.kind == "DisruptionTarget" && condition.status == "True"
        };
        let mut look =
            Self {
                facts: PodFacts {
                    uid: cut(&meta.uid, NAME),
                    pod: PodName {
                        namespace: cut(&meta.namespace, NAME),
                        name: cut(&meta.name, NAME),
                    },
                    static_uid: kept(&meta.annotations.mirror, NAME),
                    node: kept(&pod.spec.node_name, NAME),
                    owners: owners(meta),
                    phase: phase(status.phase.as_deref()),
                    reason: kept(&status.reason, NAME),
                    message: kept(&status.message, MESSAGE),
                    qos: qos(status.qos_class.as_deref()),
                    restart_policy: restart_policy(pod.spec.restart_policy.as_deref()),
                    grace_seconds: pod.spec.termination_grace_period_seconds,
                    created: meta.creation_timestamp.map(claimed),
                    deletion: meta.deletion_timestamp.map(|deadline| Deletion {
                        deadline: claimed(deadline),
                        grace_seconds: meta.deletion_grace_period_seconds,
                    }),
                    disruption: status.conditions.iter().find(disrupted).map(|condition| {
                        Disruption {
                            reason: kept(&condition.reason, NAME).unwrap_or_default(),
                            message: kept(&condition.message, MESSAGE),
                        }
                    }),
                    wishes: wishes(&meta.annotations),
                    containers: Vec::new(),
                },
                ends: Vec::new(),
                waits: Vec::new(),
            };
        let (spec, status) = (&pod.spec, &pod.status);
        for (containers, statuses, kind) in [
            (
                &spec.init_containers,
                &status.init_container_statuses,
                ContainerKind::Init,
            ),
            (
                &spec.containers,
                &status.container_statuses,
                ContainerKind::Main,
            ),
            (
                &spec.ephemeral_containers,
                &status.ephemeral_container_statuses,
                ContainerKind::Ephemeral,
            ),
        ] {
            for container in containers {
                let status = statuses.iter().find(|status| status.name == container.name);
                look.add(container, status, kind);
            }
        }
        look.ends.sort_by_key(|ended| ended.end.finished);
        look
    }

    fn add(&mut self, spec: &Container, status: Option<&ContainerStatus>, kind: ContainerKind) {
        if self.facts.containers.len() >= CONTAINERS {
            return;
        }
        let kind = match (kind, spec.restart_policy.as_deref()) {
            (ContainerKind::Init, Some("Always")) => ContainerKind::Sidecar,
            _ => kind,
        };
        let name = cut(&spec.name, NAME);
        let nobody = ContainerStatus::default();
        let said = status.unwrap_or(&nobody);
        let terminated = [&said.last_state.terminated, &said.state.terminated];
        for ended in terminated.into_iter().flatten() {
            self.ends.push(ContainerEnded {
                pod: self.facts.identity(),
                container: name.clone(),
                kind,
                end: end(ended),
                message: kept(&ended.message, LAST_WORDS),
                restarts: said.restart_count.unwrap_or(0),
                unseen: 0,
            });
        }
        let waiting = said.state.waiting.as_ref();
        if let Some(message) = waiting.and_then(|waiting| kept(&waiting.message, MESSAGE)) {
            self.waits.push((name.clone(), message));
        }
        let image = said.image.as_ref().filter(|image| !image.is_empty());
        self.facts.containers.push(ContainerFacts {
            name,
            kind,
            id: said.container_id.as_deref().and_then(bare_id),
            // What the spec says: a status may name the same image by another of its tags.
            image: kept(&spec.image, NAME).or_else(|| image.map(|image| cut(image, NAME))),
            image_digest: said.image_id.as_deref().and_then(digest),
            limits: resources(&spec.resources, true),
            requests: resources(&spec.resources, false),
            restarts: said.restart_count,
            state: state(said),
            last_end: said.last_state.terminated.as_ref().map(end),
        });
    }

    /// The words beside a container's waiting reason.
    pub(super) fn wait_message(&self, container: &str) -> Option<String> {
        let mut waits = self.waits.iter();
        waits.find_map(|(name, message)| (name == container).then(|| message.clone()))
    }
}

fn state(said: &ContainerStatus) -> ContainerState {
    let state = &said.state;
    match (&state.terminated, &state.running, &state.waiting) {
        (Some(ended), _, _) => ContainerState::Ended(end(ended)),
        (_, Some(running), _) => ContainerState::Running {
            started: running.started_at.and_then(known),
        },
        (_, _, Some(waiting)) => ContainerState::Waiting {
            reason: kept(&waiting.reason, NAME),
        },
        (None, None, None) => ContainerState::Unknown,
    }
}

fn end(ended: &Terminated) -> End {
    End {
        container_id: ended.container_id.as_deref().and_then(bare_id),
        exit_code: ended.exit_code,
        signal: ended.signal.filter(|signal| *signal != 0),
        reason: kept(&ended.reason, NAME),
        started: ended.started_at.and_then(known),
        finished: ended.finished_at.and_then(known),
    }
}

/// Kubelets write 1970 for a time they do not know.
fn known(time: Timestamp) -> Option<i64> {
    (time.as_second() > 0).then(|| claimed(time))
}

/// `containerd://<id>` → `<id>`.
fn bare_id(id: &str) -> Option<String> {
    let bare = id.rsplit_once("://").map_or(id, |(_, bare)| bare);
    (!bare.is_empty()).then(|| cut(bare, NAME))
}

/// `registry/image@sha256:…`, `docker-pullable://…@sha256:…`, `sha256:…` → `sha256:…`.
fn digest(image_id: &str) -> Option<String> {
    let digest = image_id.rsplit(['@', '/']).next()?;
    let (algorithm, hex) = digest.split_once(':')?;
    let fits = algorithm.starts_with("sha") && hex.len() >= 32;
    (fits && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| cut(digest, NAME))
}

fn resources(requirements: &Requirements, limits: bool) -> Resources {
    let amounts = match limits {
        true => &requirements.limits,
        false => &requirements.requests,
    };
    Resources {
        cpu_millis: amounts.cpu.as_deref().and_then(quantity::millis),
        memory_bytes: amounts.memory.as_deref().and_then(quantity::units),
    }
}

/// The owners that the pod names, its controller first, and the Deployment behind a ReplicaSet.
fn owners(meta: &Meta) -> Vec<Owner> {
    let mut named: Vec<_> = meta.owner_references.iter().take(OWNERS).collect();
    named.sort_by_key(|owner| owner.controller != Some(true));
    let mut owners: Vec<Owner> = Vec::new();
    for owner in named {
        owners.push(Owner {
            kind: cut(&owner.kind, NAME),
            name: cut(&owner.name, NAME),
            uid: Some(cut(&owner.uid, NAME)),
        });
        let hash = meta.labels.template_hash.as_deref();
        // A Deployment calls its ReplicaSets `<name>-<hash of their template>`, and labels the pods with it.
        let deployment = hash
            .and_then(|hash| owner.name.strip_suffix(hash))
            .and_then(|name| name.strip_suffix('-'));
        if let (Some(name), "ReplicaSet") = (deployment, owner.kind.as_str()) {
            owners.push(Owner {
                kind: "Deployment".to_owned(),
                name: cut(name, NAME),
                uid: None,
            });
        }
    }
    owners
}

fn phase(phase: Option<&str>) -> Phase {
    match phase {
        Some("Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        _ => Phase::Unknown,
    }
}

fn qos(class: Option<&str>) -> Option<Qos> {
    match class? {
        "Guaranteed" => Some(Qos::Guaranteed),
        "Burstable" => Some(Qos::Burstable),
        "BestEffort" => Some(Qos::BestEffort),
        _ => None,
    }
}

fn restart_policy(policy: Option<&str>) -> Option<RestartPolicy> {
    match policy? {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

/// Text that says something, at most `most` bytes of it.
pub(super) fn kept(text: &Option<String>, most: usize) -> Option<String> {
    let text = text.as_deref().filter(|text| !text.is_empty())?;
    Some(cut(text, most))
}

/// The beginning of a text, `most` bytes at most, whole characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
/// Other values than these ask for nothing.
fn wishes(annotations: &Annotations) -> Wishes {
    let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
    Wishes {
        no_incidents: is(&annotations.incidents, "off"),
        no_last_words: is(&annotations.last_words, "off"),
        every_call: is(&annotations.calls, "on"),
    }
}
