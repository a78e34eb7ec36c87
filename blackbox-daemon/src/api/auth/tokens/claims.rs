//! What a pod's service-account token says, and whether that fits this daemon.
//!
//! Reads the claims that a kubelet asks the API server for (Kubernetes `pkg/serviceaccount/claims.go`), makes a
//! [`ProvenPod`] or an [`Unfit`]. Pure: time, audience and node are arguments. Call it on signed claims only.

use jiff::Timestamp;
use serde::Deserialize;

use crate::api::auth::ProvenPod;
use crate::api::json::Object;

/// How far the clocks of node and API server may differ, seconds.
const LEEWAY: i64 = 10;
/// Longest life of a token, seconds: the most that a TokenRequest may ask for (Kubernetes
/// `pkg/apis/authentication/validation`). A longer one was not made by an API server.
const MAX_LIFE: i64 = 1 << 32;
/// Longest name of a Kubernetes object, characters (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

/// A token's claims, as read.
#[derive(Debug, Deserialize)]
pub struct Claims {
    exp: i64,
    nbf: i64,
    aud: Option<Audiences>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Object<Kubernetes>,
}

/// One or many, as RFC 7519 allows.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Object<Named>,
    pod: Option<Object<Unique>>,
    node: Option<Object<Named>>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Unique {
    name: String,
    uid: String,
}

/// Why a genuine token is of no use here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is valid for longer than Kubernetes allows")]
    TooLong,
    #[error("the token is not for audience {0:?}; project one with this audience into the pod")]
    Audience(String),
    #[error("the token is not bound to a pod; project one into the pod")]
    NoPod,
    #[error(
        "the token does not say on which node its pod runs; Kubernetes 1.30 or later is needed"
    )]
    NoNode,
    #[error("the token's pod runs on another node; submit to the daemon of that node")]
    OtherNode,
}

impl Claims {
    /// The pod, if the token is valid at `now`, for `audience`, and of a pod on `node`.
    ///
    /// # Errors
    /// The first that does not fit.
    pub fn check(&self, now: Timestamp, audience: &str, node: &str) -> Result<ProvenPod, Unfit> {
        let now = now.as_second();
        if now >= self.exp.saturating_add(LEEWAY) {
            return Err(Unfit::Expired);
        }
        if now < self.nbf.saturating_sub(LEEWAY) {
            return Err(Unfit::NotYet);
        }
        if self.exp.saturating_sub(now) > MAX_LIFE {
            return Err(Unfit::TooLong);
        }
        let ours = match &self.aud {
            None => false,
            Some(Audiences::One(one)) => one == audience,
            Some(Audiences::Many(many)) => many.iter().any(|one| one == audience),
        };
        if !ours {
            return Err(Unfit::Audience(audience.to_owned()));
        }
        let Object(bound) = &self.kubernetes;
        let Object(pod) = bound.pod.as_ref().ok_or(Unfit::NoPod)?;
        runs_here(bound.node.as_ref().map(|Object(at)| at.name.as_str()), node)?;
        Ok(ProvenPod {
            namespace: bound.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
        })
    }

    /// Whether every name and uid can be one of a Kubernetes object. They go into logs, reports and messages.
    pub(super) fn names_are_possible(&self) -> bool {
        let Object(bound) = &self.kubernetes;
        let pod = bound
            .pod
            .iter()
            .flat_map(|Object(pod)| [&pod.name, &pod.uid]);
        let node = bound.node.iter().map(|Object(node)| &node.name);
        let mut all = [&bound.namespace, &bound.serviceaccount.0.name]
            .into_iter()
            .chain(pod)
            .chain(node);
        all.all(|name| is_name(name))
    }
}

/// Whether the pod runs on node `here`. `claimed` is the token's own word, which API servers give from 1.30 on.
/// Without it the pod watcher, once there is one, can tell from the pod's uid; until then the answer is no.
fn runs_here(claimed: Option<&str>, here: &str) -> Result<(), Unfit> {
    match claimed {
        Some(node) if node == here => Ok(()),
        Some(_) => Err(Unfit::OtherNode),
        None => Err(Unfit::NoNode),
    }
}

/// RFC 1123 subdomains, and uids, whose capitals are allowed.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::{Claims, LEEWAY, MAX_LIFE, Unfit};

    const EXP: i64 = 2_000;
    const NBF: i64 = 1_000;

    fn at(second: i64) -> Result<(), Unfit> {
        valid(NBF, EXP, second)
    }

    fn valid(nbf: i64, exp: i64, now: i64) -> Result<(), Unfit> {
        let claims = json!({"exp": exp, "nbf": nbf, "aud": "blackbox", "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "cart"}, "node": {"name": "n1"},
            "pod": {"name": "cart-1", "uid": "u-1"}}});
        let claims: Claims = serde_json::from_value(claims).unwrap();
        let now = Timestamp::from_second(now).unwrap();
        claims.check(now, "blackbox", "n1").map(drop)
    }

    #[test]
    fn validity_has_ten_seconds_of_leeway_and_no_more() {
        assert_eq!(at(NBF - LEEWAY), Ok(()));
        assert_eq!(at(NBF - LEEWAY - 1), Err(Unfit::NotYet));
        assert_eq!(at(EXP + LEEWAY - 1), Ok(()));
        assert_eq!(at(EXP + LEEWAY), Err(Unfit::Expired));
    }

    #[test]
    fn no_token_lives_for_ever() {
        assert_eq!(valid(0, MAX_LIFE + 5, 5), Ok(()));
        assert_eq!(valid(0, MAX_LIFE + 6, 5), Err(Unfit::TooLong));
        assert_eq!(valid(0, i64::MAX, 5), Err(Unfit::TooLong));
        assert_eq!(valid(i64::MIN, i64::MIN, 5), Err(Unfit::Expired));
        assert_eq!(valid(i64::MAX, EXP, 5), Err(Unfit::NotYet));
    }
}
