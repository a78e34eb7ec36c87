//! The keys that the API server signs tokens with (RFC 7517), and signatures checked with them.
//!
//! Reads `/openid/v1/jwks`. The algorithm is the key's, never the token's choice. A kid that is not known makes the
//! keys be fetched again, at most once per [`REFETCH`], so that invented kids do not reach the API server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Refusal;
use super::jwt::{Algorithm, Parsed};
use super::server::{ApiServer, Unreachable};
use crate::api::json::object;
use crate::clock::boot_now;
use crate::record::BootTime;

/// Where the API server publishes its keys.
const PATH: &str = "/openid/v1/jwks";
/// Least time between two fetches.
const REFETCH: Duration = Duration::from_secs(30);
/// Least time after one that failed.
const RETRY: Duration = Duration::from_secs(2);

/// One public key and the only algorithm it is used with.
pub(super) struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    /// Checks the signature.
    pub(super) fn verify(&self, token: &Parsed<'_>) -> Result<(), Refusal> {
        if token.algorithm != self.algorithm {
            return Err(Refusal::Signature);
        }
        let algorithm = match self.algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        };
        let signed = token.signed.as_bytes();
        match jsonwebtoken::crypto::verify(token.signature, signed, &self.key, algorithm) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Refusal::Signature),
        }
    }
}

/// The keys by kid.
type Set = HashMap<String, Arc<Key>>;

/// The API server's keys, fetched when needed.
#[derive(Default)]
pub(super) struct Jwks {
    known: ArcSwap<Set>,
    /// Held during a fetch, so that there is one at a time.
    last: Mutex<Option<Fetch>>,
}

/// When the last fetch ended.
#[derive(Clone, Copy)]
struct Fetch {
    at: BootTime,
    failed: bool,
}

impl Fetch {
    /// Whether another may follow at `now`.
    fn is_over(self, now: BootTime) -> bool {
        let pause = if self.failed { RETRY } else { REFETCH };
        Duration::from_nanos(now.0.saturating_sub(self.at.0)) >= pause
    }
}

impl Jwks {
    /// The key named `kid`, fetched if it is not known and that is allowed.
    pub(super) async fn find(&self, kid: &str, server: &ApiServer) -> Result<Arc<Key>, Refusal> {
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        let mut last = self.last.lock().await;
        // Whoever held the lock may have brought it.
        if let Some(key) = self.known(kid) {
            return Ok(key);
        }
        match *last {
            Some(fetch) if !fetch.is_over(boot_now()) => {
                return Err(match fetch.failed {
                    true => Unreachable::AMomentAgo.into(),
                    false => Refusal::UnknownKey,
                });
            }
            _ => {}
        }
        // In case the caller goes away meanwhile, and this with it.
        *last = Some(Fetch {
            at: boot_now(),
            failed: true,
        });
        let set = server.get(PATH).await.and_then(|body| read(&body));
        // From the end on: those who wait for the lock must not each wait for a server that hangs.
        *last = Some(Fetch {
            at: boot_now(),
            failed: set.is_err(),
        });
        self.known.store(Arc::new(set?));
        self.known(kid).ok_or(Refusal::UnknownKey)
    }

    fn known(&self, kid: &str) -> Option<Arc<Key>> {
        self.known.load().get(kid).map(Arc::clone)
    }
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn read(body: &[u8]) -> Result<Set, Unreachable> {
    let published: Published =
        object(body).map_err(|source| Unreachable::Json { path: PATH, source })?;
    let keys = published.keys.into_iter().filter_map(|jwk| {
        let key = usable(&jwk)?;
        Some((jwk.kid?, Arc::new(key)))
    });
    Ok(keys.collect())
}

/// `None`: a key for something else, or of a kind that no accepted algorithm uses.
fn usable(jwk: &Jwk) -> Option<Key> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let (algorithm, name, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let key = DecodingKey::from_rsa_components(jwk.n.as_ref()?, jwk.e.as_ref()?);
            (Algorithm::Rs256, "RS256", key.ok()?)
        }
        ("EC", Some("P-256")) => {
            let key = DecodingKey::from_ec_components(jwk.x.as_ref()?, jwk.y.as_ref()?);
            (Algorithm::Es256, "ES256", key.ok()?)
        }
        _ => return None,
    };
    let agrees = jwk.alg.as_deref().is_none_or(|alg| alg == name);
    agrees.then_some(Key { algorithm, key })
}

#[cfg(test)]
mod tests {
    use super::{Fetch, REFETCH, RETRY, read};
    use crate::record::BootTime;

    #[test]
    fn fetches_are_apart() {
        let second = 1_000_000_000;
        let fetch = |failed| Fetch {
            at: BootTime(100 * second),
            failed,
        };
        for (failed, pause) in [(false, REFETCH), (true, RETRY)] {
            let end = 100 * second + pause.as_secs() * second;
            assert!(!fetch(failed).is_over(BootTime(99 * second)));
            assert!(!fetch(failed).is_over(BootTime(end - 1)));
            assert!(fetch(failed).is_over(BootTime(end)));
        }
    }

    #[test]
    fn keys_for_something_else_are_left_out() {
        let set = read(
            br#"{"keys":[
                {"kid":"good","kty":"RSA","alg":"RS256","use":"sig","n":"AQAB","e":"AQAB"},
                {"kid":"plain","kty":"RSA","n":"AQAB","e":"AQAB"},
                {"kid":"encrypts","kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"},
                {"kid":"other-alg","kty":"RSA","alg":"PS256","n":"AQAB","e":"AQAB"},
                {"kid":"secret","kty":"oct","k":"AQAB"},
                {"kid":"curve","kty":"EC","crv":"P-384","x":"AQAB","y":"AQAB"},
                {"kid":"half","kty":"EC","crv":"P-256","x":"AQAB"},
                {"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
        )
        .unwrap();
        let mut kids: Vec<_> = set.keys().map(String::as_str).collect();
        kids.sort_unstable();
        assert_eq!(kids, ["good", "plain"]);
        assert!(read(b"[]").is_err() && read(b"{}").is_err());
    }
}
