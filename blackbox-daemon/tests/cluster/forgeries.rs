//! The table of forged tokens: what an attacker may send, and the reason that each must be refused for.
//!
//! A row differs from a genuine token in one thing, so that nothing else can be what refused it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blackbox_daemon::api::auth::tokens::jwt;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use super::{Cluster, NODE, claims, now, signed, unsigned};

/// The claims with `change` made to them.
pub(crate) fn with(jti: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims(jti);
    change(&mut claims);
    claims
}

/// The claims without the one at `path`, as `aud` or `kubernetes.io/node`.
fn without(path: &str) -> Value {
    with(path, |claims| {
        let (parent, last) = match path.rsplit_once('/') {
            Some((parent, last)) => (&mut claims[parent], last),
            None => (claims, path),
        };
        parent
            .as_object_mut()
            .expect("an object")
            .remove(last)
            .expect("a claim");
    })
}

/// Claims that the API server itself signed, and why they are of no use here.
pub(crate) fn unfit() -> Vec<(&'static str, Value, &'static str)> {
    let bound = |jti, path: &'static str, value: Value| {
        with(jti, |claims| {
            *claims.pointer_mut(path).expect("a claim") = value
        })
    };
    let time = |jti, claim: &str, value: Value| with(jti, |claims| claims[claim] = value);
    let node = "/kubernetes.io/node/name";
    let pod = "/kubernetes.io/pod/name";
    vec![
        (
            "wrong audience",
            time("a1", "aud", json!(["vault"])),
            "not for audience",
        ),
        (
            "longer audience",
            time("a2", "aud", json!(["blackbox2"])),
            "not for audience",
        ),
        (
            "empty audience",
            time("a3", "aud", json!([])),
            "not for audience",
        ),
        (
            "audience as object",
            time("a4", "aud", json!({"blackbox": 1})),
            "claims",
        ),
        ("no audience", without("aud"), "not for audience"),
        (
            "other node",
            bound("n1", node, json!("node-2")),
            "another node",
        ),
        (
            "longer node",
            bound("n2", node, json!("node-10")),
            "another node",
        ),
        (
            "no node",
            without("kubernetes.io/node"),
            "Kubernetes 1.30 or later",
        ),
        (
            "null node",
            bound("n3", "/kubernetes.io/node", Value::Null),
            "Kubernetes 1.30",
        ),
        (
            "node as array",
            bound("n4", "/kubernetes.io/node", json!([NODE])),
            "claims",
        ),
        ("no pod", without("kubernetes.io/pod"), "not bound to a pod"),
        (
            "no account",
            without("kubernetes.io/serviceaccount"),
            "claims",
        ),
        ("nothing of Kubernetes", without("kubernetes.io"), "claims"),
        (
            "NUL in a name",
            bound("p1", pod, json!("cart-1\0")),
            "as Kubernetes cannot",
        ),
        (
            "line end in a name",
            bound("p2", pod, json!("cart-1\n")),
            "as Kubernetes cannot",
        ),
        (
            "slash in a name",
            bound("p3", pod, json!("a/b")),
            "as Kubernetes cannot",
        ),
        (
            "empty name",
            bound("p4", pod, json!("")),
            "as Kubernetes cannot",
        ),
        (
            "expired",
            time("t1", "exp", json!(now() - 11)),
            "has expired",
        ),
        (
            "not valid yet",
            time("t2", "nbf", json!(now() + 60)),
            "not valid yet",
        ),
        ("no end", without("exp"), "claims"),
        ("no begin", without("nbf"), "claims"),
        (
            "huge end",
            time("t3", "exp", json!(i64::MAX)),
            "longer than Kubernetes allows",
        ),
        ("larger end", time("t4", "exp", json!(u64::MAX)), "claims"),
        ("end as float", time("t5", "exp", json!(1e300)), "claims"),
        (
            "end as text",
            time("t6", "exp", json!("4102444800")),
            "claims",
        ),
        ("negative end", time("t7", "exp", json!(-1)), "has expired"),
        (
            "most negative end",
            time("t8", "exp", json!(i64::MIN)),
            "has expired",
        ),
        (
            "claims as array",
            json!([now() + 60, now(), ["blackbox"], {}]),
            "claims",
        ),
        ("claims as text", json!("claims"), "claims"),
    ]
}

/// Genuine claims with a false header, key, signature or shape.
pub(crate) fn forged(cluster: &Cluster) -> Vec<(&'static str, String, &'static str)> {
    let claims = claims("forged");
    let rsa = cluster.rs256(&claims);
    let ec = cluster.es256(&claims);
    let header = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let with_rsa = |header: &Value| signed(header, &claims, &cluster.rsa, Algorithm::RS256);
    let with_ec = |header: &Value| signed(header, &claims, &cluster.ec, Algorithm::ES256);
    let stranger = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let stranger = EncodingKey::from_ec_der(stranger.serialized_der());
    let strange = signed(&header("ES256", "ec"), &claims, &stranger, Algorithm::ES256);
    let (signed_part, signature) = rsa.rsplit_once('.').expect("a token");
    let (head, body) = signed_part.split_once('.').expect("a token");
    let other_body = URL_SAFE_NO_PAD.encode(super::claims("other").to_string());
    let none = unsigned(&header("none", "rsa"), &claims);
    let (not_allowed, wrong, shape) = ("not allowed", "signature is wrong", "not valid");
    let own_key = json!({"alg": "ES256", "kid": "mine", "jwk": {"kty": "EC"}, "jku": "http://x"});
    let mut rows = vec![
        (
            "alg none, signed",
            format!("{none}.{signature}"),
            not_allowed,
        ),
        ("alg none, unsigned", format!("{none}."), shape),
        ("alg None", with_rsa(&header("None", "rsa")), not_allowed),
        ("alg empty", with_rsa(&header("", "rsa")), not_allowed),
        ("alg rs256", with_rsa(&header("rs256", "rsa")), not_allowed),
        ("alg RS512", with_rsa(&header("RS512", "rsa")), not_allowed),
        ("alg PS256", with_rsa(&header("PS256", "rsa")), not_allowed),
        (
            "alg null",
            with_rsa(&json!({"alg": null, "kid": "rsa"})),
            "header",
        ),
        ("no alg", with_rsa(&json!({"kid": "rsa"})), "header"),
        ("no kid", with_rsa(&json!({"alg": "RS256"})), "header"),
        (
            "header as array",
            with_rsa(&json!(["RS256", "rsa"])),
            "header",
        ),
        (
            "critical",
            with_rsa(&json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"]})),
            "critical",
        ),
        (
            "unknown kid",
            with_rsa(&header("RS256", "rsa-2")),
            "does not publish",
        ),
        (
            "empty kid",
            with_rsa(&header("RS256", "")),
            "does not publish",
        ),
        (
            "kid as path",
            with_rsa(&header("RS256", "../rsa")),
            "does not publish",
        ),
        (
            "key in the header",
            signed(&own_key, &claims, &stranger, Algorithm::ES256),
            "publish",
        ),
        (
            "kid of another key",
            with_rsa(&header("RS256", "ec")),
            wrong,
        ),
        (
            "kid of another key, EC",
            with_ec(&header("ES256", "rsa")),
            wrong,
        ),
        ("RS256 by an EC key", with_ec(&header("RS256", "ec")), wrong),
        (
            "ES256 by an RSA key",
            with_rsa(&header("ES256", "rsa")),
            wrong,
        ),
        ("a stranger's key", strange, wrong),
        (
            "another's signature",
            format!("{signed_part}.{}", ec.rsplit_once('.').expect("a token").1),
            wrong,
        ),
        (
            "other claims",
            format!("{head}.{other_body}.{signature}"),
            wrong,
        ),
        ("truncated", rsa[..rsa.len() - 6].to_owned(), wrong),
        ("truncated, EC", ec[..ec.len() - 6].to_owned(), wrong),
        ("flipped", flipped(&rsa), wrong),
        ("flipped, EC", flipped(&ec), wrong),
        (
            "zeros, EC",
            format!(
                "{}.{}",
                ec.rsplit_once('.').expect("a token").0,
                "A".repeat(86)
            ),
            wrong,
        ),
        ("no signature", format!("{signed_part}."), shape),
        ("two parts", signed_part.to_owned(), shape),
        (
            "header twice",
            format!("{head}.{head}.{signature}"),
            "claims",
        ),
        (
            "claims twice",
            format!("{head}.{body}.{body}.{signature}"),
            shape,
        ),
        (
            "claims as header",
            format!("{body}.{body}.{signature}"),
            "header",
        ),
        ("signature twice", format!("{rsa}.{signature}"), shape),
        ("four parts", format!("{rsa}.AAAA"), shape),
        ("dot before", format!(".{rsa}"), shape),
        ("dot after", format!("{rsa}."), shape),
        ("dots", "..".to_owned(), shape),
        ("empty header", format!(".{body}.{signature}"), shape),
        ("empty claims", format!("{head}..{signature}"), shape),
        ("padded", format!("{rsa}="), shape),
        (
            "base64 of another alphabet",
            format!("{head}.{body}.+/{}", &signature[2..]),
            shape,
        ),
        ("not base64", format!("{head}.{body}.%%%%"), shape),
        ("space", format!("{head}. {body}.{signature}"), shape),
        (
            "oversized",
            format!("{rsa}{}", "A".repeat(jwt::MAX_BYTES)),
            "at most 16384 bytes",
        ),
        (
            "oversized, no token",
            "A".repeat(jwt::MAX_BYTES + 1),
            "at most 16384 bytes",
        ),
    ];
    for public in &cluster.public {
        let secret = EncodingKey::from_secret(public);
        for kid in ["rsa", "ec"] {
            let token = |alg| signed(&header(alg, kid), &claims, &secret, Algorithm::HS256);
            rows.push(("HS256 by a public key", token("HS256"), not_allowed));
            rows.push(("HS256 as RS256", token("RS256"), wrong));
            rows.push(("HS256 as ES256", token("ES256"), wrong));
        }
    }
    rows
}

/// The token with one bit of its signature changed, in a character of which all bits count.
fn flipped(token: &str) -> String {
    let (signed_part, signature) = token.rsplit_once('.').expect("a token");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    bytes[20] ^= 1;
    format!("{signed_part}.{}", URL_SAFE_NO_PAD.encode(bytes))
}
