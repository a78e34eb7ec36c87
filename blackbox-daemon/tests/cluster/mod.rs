//! A cluster's API server as far as tokens go: it publishes keys, reviews tokens and counts how often it is asked.
//!
//! Signs with real keys: P-256 made anew for each test, RSA from a fixture that is used nowhere else.

pub(crate) mod forgeries;
mod server;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blackbox_daemon::api::auth::{Authorizer, Config, tokens};
use blackbox_daemon::clock::{WallOffset, boot_now};
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use ring::rsa::PublicKeyComponents;
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

pub(crate) use self::server::Review;
use self::server::{OWN_TOKEN, Server, serve};

pub(crate) const NODE: &str = "node-1";
pub(crate) const POD: (&str, &str, &str) = ("shop", "cart-1", "5f0c-uid-1");

pub(crate) struct Cluster {
    pub(crate) rsa: EncodingKey,
    pub(crate) ec: EncodingKey,
    /// Public keys as an attacker has them, in the forms that a careless checker takes for a secret.
    pub(crate) public: Vec<Vec<u8>>,
    url: String,
    own_token: PathBuf,
    server: Arc<Server>,
    dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        // Another test may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let pem = include_bytes!("../fixtures/test_only_rsa_key.pem");
        let rsa = PrivatePkcs1KeyDer::from_pem_slice(pem).expect("a PKCS#1 key");
        let rsa = rsa.secret_pkcs1_der();
        let pair = ring::rsa::KeyPair::from_der(rsa).expect("an RSA key");
        let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let ec = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let point = ec.der_bytes().to_vec();
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwks = json!({"keys": [
            {"kid": "rsa", "kty": "RSA", "alg": "RS256", "use": "sig",
             "n": base64(&parts.n), "e": base64(&parts.e)},
            {"kid": "ec", "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig",
             "x": base64(&point[1..33]), "y": base64(&point[33..])},
        ]});
        let dir = tempfile::tempdir().expect("a directory");
        let own_token = dir.path().join("token");
        std::fs::write(&own_token, format!("{OWN_TOKEN}\n")).expect("a writable file");
        let public = vec![
            pair.public().as_ref().to_vec(),
            parts.n,
            ec.public_key_pem().into_bytes(),
            point,
            jwks["keys"][0]["n"].as_str().expect("a modulus").into(),
        ];
        let server = Arc::new(Server {
            jwks,
            review: Mutex::new(Review::Genuine),
            fetches: AtomicUsize::new(0),
            reviews: AtomicUsize::new(0),
        });
        Self {
            rsa: EncodingKey::from_rsa_der(rsa),
            ec: EncodingKey::from_ec_der(ec.serialized_der()),
            public,
            url: serve(Arc::clone(&server)).await,
            own_token,
            server,
            dir,
        }
    }

    /// A daemon on [`NODE`] that asks this cluster.
    pub(crate) fn daemon(&self) -> Authorizer {
        self.daemon_that_asks(&self.url, Path::new(""))
    }

    /// A daemon that looks for the API server at `url` and knows it by `ca`.
    pub(crate) fn daemon_that_asks(&self, url: &str, ca: &Path) -> Authorizer {
        let tokens = tokens::Config {
            audience: tokens::AUDIENCE.to_owned(),
            node: NODE.to_owned(),
            api_server: url.parse().expect("a URL"),
            ca_file: ca.to_owned(),
            own_token: self.own_token.clone(),
        };
        let config = Config {
            tokens: Some(tokens),
            ..Config::default()
        };
        Authorizer::open(config).expect("a usable configuration")
    }

    /// What reviews say from now on.
    pub(crate) fn will_say(&self, review: Review) {
        *self.server.review.lock().expect("no panic") = review;
    }

    /// How often keys were fetched and tokens reviewed.
    pub(crate) fn asked(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        (count(&self.server.fetches), count(&self.server.reviews))
    }

    /// A token with these claims, signed by the RSA key …
    pub(crate) fn rs256(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "kid": "rsa"});
        signed(&header, claims, &self.rsa, Algorithm::RS256)
    }

    /// … or the P-256 key.
    pub(crate) fn es256(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": "ec"});
        signed(&header, claims, &self.ec, Algorithm::ES256)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    WallOffset::now().wall(boot_now()).as_second()
}

/// Claims as a 1.30 API server writes them for [`POD`], with `jti` to tell tokens apart.
pub(crate) fn claims(jti: &str) -> Value {
    let (namespace, name, uid) = POD;
    json!({
        "aud": ["blackbox"], "exp": now() + 3607, "iat": now(), "nbf": now(), "jti": jti,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": NODE, "uid": "9d1e-node"},
            "pod": {"name": name, "uid": uid},
            "serviceaccount": {"name": "cart", "uid": "77aa-sa"},
        },
        "sub": "system:serviceaccount:shop:cart",
    })
}

/// The first two parts of a token.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

pub(crate) fn signed(
    header: &Value,
    claims: &Value,
    key: &EncodingKey,
    algorithm: Algorithm,
) -> String {
    let unsigned = unsigned(header, claims);
    let signature = sign(unsigned.as_bytes(), key, algorithm).expect("a signature");
    format!("{unsigned}.{signature}")
}
