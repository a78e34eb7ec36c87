//! The API server's word on a token: a TokenReview, which is how the token of a deleted pod is found out.
//!
//! Asks only for tokens whose signature and claims are right, [`AT_ONCE`] at a time. Answers are kept for seconds,
//! by the token's digest: at most [`YES`] passes between the end of a pod and the end of its token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Refusal;
use super::server::{ApiServer, Unreachable};
use crate::api::auth::ProvenPod;
use crate::api::auth::keys::Digest;
use crate::clock;
use crate::record::BootTime;

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
/// Where a review names the pod (Kubernetes `apiserver/pkg/authentication/serviceaccount`).
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// How long a yes is kept …
const YES: Duration = Duration::from_secs(10);
/// … and a no.
const NO: Duration = Duration::from_secs(5);
/// Most answers kept: more tokens than pods fit on a node.
const KEPT: usize = 4096;
/// Most reviews in flight.
const AT_ONCE: usize = 8;
/// Longest wait for a turn.
const TURN: Duration = Duration::from_secs(5);

/// Why the API server says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the API server does not accept the token; was its pod deleted?")]
    NotAuthentic,
    #[error("the API server accepts the token for other audiences only")]
    Audience,
    #[error("the API server knows the token as another pod's")]
    OtherPod,
}

type Answer = Result<(), Denied>;

/// Reviews and their answers.
pub(super) struct Reviews {
    kept: Mutex<Kept>,
    turns: Semaphore,
}

impl Reviews {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::new(Kept::default()),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Whether `token`, whose digest is `digest`, is `pod`'s for `audience` by the API server's word.
    pub(super) async fn ask(
        &self,
        token: &str,
        digest: &Digest,
        pod: &ProvenPod,
        audience: &str,
        server: &ApiServer,
    ) -> Result<(), Refusal> {
        if let Some(answer) = self.kept(digest) {
            return Ok(answer?);
        }
        let turn = tokio::time::timeout(TURN, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(Unreachable::Busy.into());
        };
        // Whoever had the turn before may have asked the same.
        if let Some(answer) = self.kept(digest) {
            return Ok(answer?);
        }
        // Kept from the moment of asking: the answer is not newer than that.
        let asked = clock::boot_now();
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        });
        let answer = read(&server.post(PATH, review.to_string()).await?)?.judge(pod, audience);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(*digest, answer, asked);
        Ok(answer?)
    }

    fn kept(&self, digest: &Digest) -> Option<Answer> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(digest, clock::boot_now())
    }
}

/// Answers that still count, with their ends.
#[derive(Default)]
struct Kept(HashMap<Digest, (BootTime, Answer)>);

impl Kept {
    fn get(&self, digest: &Digest, now: BootTime) -> Option<Answer> {
        let (end, answer) = self.0.get(digest)?;
        (now < *end).then_some(*answer)
    }

    fn put(&mut self, digest: Digest, answer: Answer, asked: BootTime) {
        if self.0.len() >= KEPT {
            self.0.retain(|_, (end, _)| asked < *end);
        }
        // Full of answers that count: this one is asked again.
        if self.0.len() < KEPT {
            let life = if answer.is_ok() { YES } else { NO };
            let life = u64::try_from(life.as_nanos()).unwrap_or(u64::MAX);
            let end = BootTime(asked.0.saturating_add(life));
            self.0.insert(digest, (end, answer));
        }
    }
}

#[derive(Deserialize)]
struct Review {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    audiences: Vec<String>,
    user: User,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    extra: HashMap<String, Vec<String>>,
}

fn read(body: &[u8]) -> Result<Status, Unreachable> {
    let review: Review =
        serde_json::from_slice(body).map_err(|source| Unreachable::Json { path: PATH, source })?;
    Ok(review.status)
}

impl Status {
    fn judge(&self, pod: &ProvenPod, audience: &str) -> Answer {
        if !self.authenticated {
            return Err(Denied::NotAuthentic);
        }
        // A server that knows no audiences answers none, and has not checked ours.
        if !self.audiences.iter().any(|one| one == audience) {
            return Err(Denied::Audience);
        }
        match self.user.extra.get(POD_UID).map(Vec::as_slice) {
            Some([uid]) if *uid == pod.uid => Ok(()),
            _ => Err(Denied::OtherPod),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Denied, KEPT, Kept, NO, YES};
    use crate::api::auth::keys::Digest;
    use crate::record::BootTime;

    const ASKED: BootTime = BootTime(7_000_000_000);

    fn after(life: std::time::Duration) -> BootTime {
        BootTime(ASKED.0 + u64::try_from(life.as_nanos()).unwrap())
    }

    fn digest(number: usize) -> Digest {
        let mut digest = Digest::default();
        digest[..8].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn a_yes_ends_after_ten_seconds_and_a_no_after_five() {
        for (answer, life) in [(Ok(()), YES), (Err(Denied::NotAuthentic), NO)] {
            let mut kept = Kept::default();
            kept.put(digest(1), answer, ASKED);
            assert_eq!(kept.get(&digest(1), ASKED), Some(answer));
            assert_eq!(
                kept.get(&digest(1), BootTime(after(life).0 - 1)),
                Some(answer)
            );
            assert_eq!(kept.get(&digest(1), after(life)), None);
            assert_eq!(kept.get(&digest(2), ASKED), None);
        }
    }

    #[test]
    fn answers_are_bounded_and_the_ended_make_room() {
        let mut kept = Kept::default();
        for number in 0..KEPT + 100 {
            kept.put(digest(number), Ok(()), ASKED);
        }
        assert_eq!(kept.0.len(), KEPT);
        kept.put(digest(KEPT + 100), Ok(()), after(YES));
        assert_eq!(kept.0.len(), 1);
    }
}
