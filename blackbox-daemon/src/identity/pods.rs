//! Which pod a container belongs to, as sidecars tell: by the uid that a token has proven, or by the container id that
//! they name. Proof beats a claim, and a claim that contradicts proof counts for nothing.

use std::collections::HashMap;

use super::Place;
use serde::{Deserialize, Serialize};

use crate::record::{BootTime, PodName, Telemetry, same_container};

/// Most sidecars remembered; more than a node can run (110 pods by default).
const MAX_SIDECARS: usize = 4096;

/// A pod's name, and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    pub pod: &'a PodName,
    /// A token proved it; else a sidecar said so.
    pub proven: bool,
}

/// What one submission says of its pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pod: &'a PodName,
    /// The pod's uid, proven by a token.
    uid: Option<&'a str>,
    pub(super) container: Option<&'a str>,
}

impl<'a> Claim<'a> {
    pub(super) fn of(telemetry: &'a Telemetry) -> Self {
        Self {
            pod: &telemetry.pod,
            uid: telemetry.submission.proven_uid.as_deref(),
            container: telemetry.container_id.as_deref(),
        }
    }

    /// Whether the container it names is known to be in another pod, `uid`, than the sidecar proved to be.
    pub(super) fn contradicts(&self, uid: Option<&str>) -> bool {
        self.uid
            .zip(uid)
            .is_some_and(|(proven, known)| proven != known)
    }

    /// What it is remembered by: the uid if there is one.
    fn key(&self) -> Option<&'a str> {
        self.uid.or(self.container)
    }
}

/// The pods that sidecars have told of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Pods {
    by_uid: HashMap<String, PodName>,
    by_container: HashMap<String, PodName>,
}

impl Pods {
    pub(super) fn of(&self, place: &Place) -> Option<Named<'_>> {
        let proven = place.pod_uid().and_then(|uid| self.by_uid.get(uid));
        if let Some(pod) = proven {
            return Some(Named { pod, proven: true });
        }
        let id = place.container_id()?;
        let said = self.by_container.get(id).or_else(|| {
            let mut said = self.by_container.iter();
            said.find_map(|(other, pod)| same_container(id, other).then_some(pod))
        });
        said.map(|pod| Named { pod, proven: false })
    }

    pub(super) fn has(&self, claim: &Claim<'_>) -> bool {
        let known = match claim.uid {
            Some(uid) => self.by_uid.get(uid),
            None => claim.container.and_then(|id| self.by_container.get(id)),
        };
        known == Some(claim.pod)
    }

    pub(super) fn learn(&mut self, claim: &Claim<'_>) {
        let (table, key) = match (claim.uid, claim.container) {
            (Some(uid), _) => (&mut self.by_uid, uid),
            (None, Some(container)) => (&mut self.by_container, container),
            (None, None) => return,
        };
        table.insert(key.to_owned(), claim.pod.clone());
    }

    /// Forgets those who are not in `seen` any more.
    pub(super) fn retain(&mut self, seen: &Seen) {
        for table in [&mut self.by_uid, &mut self.by_container] {
            table.retain(|key, _| seen.0.contains_key(key));
        }
    }
}

/// When each sidecar was last heard of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen(HashMap<String, BootTime>);

impl Seen {
    /// Whether there is room to remember it, and something to remember it by.
    pub(super) fn note(&mut self, claim: &Claim<'_>, at: BootTime) -> bool {
        let Some(key) = claim.key() else {
            return false;
        };
        if let Some(last) = self.0.get_mut(key) {
            *last = at.max(*last);
            return true;
        }
        let room = self.0.len() < MAX_SIDECARS;
        if room {
            self.0.insert(key.to_owned(), at);
        }
        room
    }

    /// Drops those who were last heard of before `horizon`; says whether there were any.
    pub(super) fn take_silent(&mut self, horizon: BootTime) -> bool {
        let before = self.0.len();
        self.0.retain(|_, at| *at >= horizon);
        self.0.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d53f2a91b0c4d5abcd";
    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    fn pod(name: &str) -> PodName {
        PodName {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        }
    }

    fn claim<'a>(pod: &'a PodName, uid: Option<&'a str>, container: Option<&'a str>) -> Claim<'a> {
        Claim {
            pod,
            uid,
            container,
        }
    }

    #[test]
    fn proof_beats_a_claim() {
        let place = Place::of(&format!("/kubepods/pod{UID}/{ID}"));
        let (honest, liar) = (pod("honest"), pod("liar"));
        let mut pods = Pods::default();
        pods.learn(&claim(&liar, None, Some(&ID[..12])));
        let said = pods.of(&place).unwrap();
        assert_eq!((said.pod, said.proven), (&liar, false));
        pods.learn(&claim(&honest, Some(UID), None));
        let proven = pods.of(&place).unwrap();
        assert_eq!((proven.pod, proven.proven), (&honest, true));
    }

    #[test]
    fn a_claim_against_proof_contradicts() {
        let me = pod("me");
        assert!(claim(&me, Some("other"), Some(ID)).contradicts(Some(UID)));
        assert!(!claim(&me, Some(UID), Some(ID)).contradicts(Some(UID)));
        assert!(!claim(&me, None, Some(ID)).contradicts(Some(UID)));
        assert!(!claim(&me, Some(UID), Some(ID)).contradicts(None));
    }

    #[test]
    fn those_who_fall_silent_are_forgotten() {
        let me = pod("me");
        let (mut pods, mut seen) = (Pods::default(), Seen::default());
        let claim = claim(&me, Some(UID), None);
        assert!(seen.note(&claim, BootTime(5)));
        pods.learn(&claim);
        assert!(pods.has(&claim) && !seen.take_silent(BootTime(5)));
        assert!(seen.take_silent(BootTime(6)));
        pods.retain(&seen);
        assert!(!pods.has(&claim));
    }
}
