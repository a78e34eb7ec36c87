//! From the bytes of a credential to the parts of a service-account token (RFC 7515 and 7519, compact form).
//!
//! Pure and total: any bytes make a [`Parsed`] or a [`Malformed`], never a panic. What is parsed is not yet true:
//! the signature is `jwks`' to check, the claims are `claims`', and whether the pod still lives is `review`'s.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::Claims;
use crate::api::json::object;

/// Longest token, bytes. A projected token has one or two thousand.
pub const MAX_BYTES: usize = 16 << 10;

/// The signatures that are accepted. A closed list: `none` and everything with a shared secret are not on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            _ => None,
        }
    }
}

/// A token that can be read.
#[derive(Debug)]
pub struct Parsed<'a> {
    /// The whole token.
    pub token: &'a str,
    /// What the header claims. The key decides; this must only agree.
    pub algorithm: Algorithm,
    /// Which key signed it, so says the header.
    pub kid: String,
    /// What it says. Not yet true.
    pub claims: Claims,
    /// The first two parts with their dot: what is signed.
    pub signed: &'a str,
    /// The third part, base64url.
    pub signature: &'a str,
}

/// Why bytes are no token. Says nothing of what is in them.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("a token has at most {MAX_BYTES} bytes")]
    TooLong,
    #[error("a token has three base64url parts with dots between")]
    Shape,
    #[error("the token's header cannot be read")]
    Header(#[source] serde_json::Error),
    #[error("the token's algorithm is not allowed; allowed: RS256, ES256")]
    Algorithm,
    #[error("the token has critical extensions, and none is known here")]
    Critical,
    #[error("the token's claims are not those of a pod's service-account token")]
    Claims(#[source] serde_json::Error),
    #[error("the token names an object as Kubernetes cannot")]
    Name,
}

/// What counts in the header. Other fields, such as places to get a key from (`jku`, `jwk`, `x5u`), are not used.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    crit: Option<IgnoredAny>,
}

/// Reads a token, as sent after `Bearer `.
///
/// # Errors
/// The bytes are not three base64url parts, or the first two are not the JSON of a service-account token.
pub fn parse(token: &[u8]) -> Result<Parsed<'_>, Malformed> {
    if token.len() > MAX_BYTES {
        return Err(Malformed::TooLong);
    }
    let token = std::str::from_utf8(token).ok().ok_or(Malformed::Shape)?;
    let (signed, signature) = token.rsplit_once('.').ok_or(Malformed::Shape)?;
    let (header, claims) = signed.split_once('.').ok_or(Malformed::Shape)?;
    let [header, claims, _] = [decoded(header)?, decoded(claims)?, decoded(signature)?];
    let header: Header = object(&header).map_err(Malformed::Header)?;
    let algorithm = Algorithm::named(&header.alg).ok_or(Malformed::Algorithm)?;
    if header.crit.is_some() {
        return Err(Malformed::Critical);
    }
    let claims: Claims = object(&claims).map_err(Malformed::Claims)?;
    if !claims.names_are_possible() {
        return Err(Malformed::Name);
    }
    Ok(Parsed {
        token,
        algorithm,
        kid: header.kid,
        claims,
        signed,
        signature,
    })
}

/// A part, which is not empty. A fourth part is a dot in the claims, and a dot is not in the alphabet.
fn decoded(part: &str) -> Result<Vec<u8>, Malformed> {
    match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(Malformed::Shape),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::{Malformed, parse};

    const HEADER: &str = r#"{"alg":"RS256","kid":"k"}"#;
    const CLAIMS: &str = r#"{"exp":2,"nbf":1,"aud":["blackbox"],"kubernetes.io":{"namespace":"shop",
        "pod":{"name":"cart-1","uid":"u-1"},"serviceaccount":{"name":"cart"}}}"#;

    fn token(header: &str, claims: &str) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{claims}.AAAA")
    }

    #[test]
    fn a_token_is_taken_apart() {
        let token = token(HEADER, CLAIMS);
        let parsed = parse(token.as_bytes()).unwrap();
        assert_eq!(parsed.kid, "k");
        assert_eq!(format!("{}.{}", parsed.signed, parsed.signature), token);
    }

    #[test]
    fn a_header_with_anything_critical_is_refused() {
        let token = token(r#"{"alg":"RS256","kid":"k","crit":["b64"]}"#, CLAIMS);
        assert!(matches!(parse(token.as_bytes()), Err(Malformed::Critical)));
    }

    #[test]
    fn a_claim_written_twice_is_refused() {
        let twice = CLAIMS.replacen('{', r#"{"exp":9,"#, 1);
        let token = token(HEADER, &twice);
        assert!(matches!(parse(token.as_bytes()), Err(Malformed::Claims(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn any_header_and_claims_are_answered(header in ".{0,80}", claims in ".{0,200}") {
            prop_assert!(parse(token(&header, &claims).as_bytes()).is_err());
            prop_assert!(parse(token(HEADER, &claims).as_bytes()).is_err());
        }
    }
}
