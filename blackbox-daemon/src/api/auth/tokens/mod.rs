//! Pods' own tokens: a sidecar proves which pod it is in, without a key in its manifest.
//!
//! ```text
//!  bytes ─ jwt ─► parsed ─ jwks ─► signed ─ claims ─► fits this node ─ review ─► ProvenPod
//!                           └── API server ──────────────────────────────┘
//! ```
//!
//! Each step only refuses; what passes all is true. If the API server cannot be asked the answer is "not now",
//! never yes. Only a review is remembered, so a request with a forged token costs the API server nothing.

pub mod claims;
pub mod jwt;

mod jwks;
mod review;
mod server;

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

pub use self::review::Denied;
pub use self::server::Unreachable;
use super::keys::Digest;
use super::{Caller, Scope};
use crate::api::error::{ApiError, Code};
use crate::clock::{WallOffset, boot_now};

/// The audience that sidecars' tokens are projected with, unless configured.
pub const AUDIENCE: &str = "blackbox";
/// Where a kubelet puts a pod's own service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// When to try again after the API server could not be asked.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What tokens are checked against, and by whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a token's `aud` must contain.
    pub audience: String,
    /// The node this daemon is on: only its pods may speak.
    pub node: String,
    /// The API server; its path is not used. `http` on the loopback interface only.
    pub api_server: Url,
    /// The CA certificates the API server is known by, PEM.
    pub ca_file: PathBuf,
    /// The daemon's own token.
    pub own_token: PathBuf,
}

impl Config {
    /// The configuration of a daemon on `node` that runs in a cluster, from the environment and the service account
    /// (usually [`SERVICE_ACCOUNT`]) that every pod is given.
    ///
    /// # Errors
    /// `KUBERNETES_SERVICE_HOST` or `KUBERNETES_SERVICE_PORT` is missing or makes no URL.
    pub fn in_cluster(
        node: String,
        service_account: &Path,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let var = |key| env(key).ok_or(Error::NotInCluster(key));
        let host = var("KUBERNETES_SERVICE_HOST")?;
        let port = var("KUBERNETES_SERVICE_PORT")?;
        let url = match host.parse::<Ipv6Addr>() {
            Ok(address) => format!("https://[{address}]:{port}"),
            Err(_) => format!("https://{host}:{port}"),
        };
        let api_server = Url::parse(&url).ok().ok_or(Error::Url(url))?;
        Ok(Self {
            audience: AUDIENCE.to_owned(),
            node,
            api_server,
            ca_file: service_account.join("ca.crt"),
            own_token: service_account.join("token"),
        })
    }
}

/// Tokens cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is not set; tokens are checked by the API server of the cluster a pod runs in")]
    NotInCluster(&'static str),
    #[error("not a usable address of an API server, write https://host:port: {0}")]
    Url(String),
    #[error("cannot read the API server's CA certificates {}", path.display())]
    ReadCa {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} has no certificate", path.display())]
    NoCa { path: PathBuf },
    #[error("{} is no PEM file of certificates", path.display())]
    BadCa {
        path: PathBuf,
        #[source]
        source: reqwest::Error,
    },
    #[error("cannot make a client for the API server")]
    Client(#[source] reqwest::Error),
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Malformed(#[from] jwt::Malformed),
    #[error("the token is signed with a key that the API server does not publish")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error(transparent)]
    Unfit(#[from] claims::Unfit),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the token cannot be checked now")]
    Unreachable(#[from] Unreachable),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // The rest is in the log: it is about the daemon, not about the caller.
            Refusal::Unreachable(_) => {
                Self::new(Code::ServiceUnavailable, refusal.to_string()).retry_after(RETRY_AFTER)
            }
            _ => Self::new(Code::InvalidApiKey, format!("Unauthorized: {refusal}")),
        }
    }
}

/// The checker of tokens.
pub(super) struct Tokens {
    audience: String,
    node: String,
    server: server::ApiServer,
    jwks: jwks::Jwks,
    reviews: review::Reviews,
}

impl Tokens {
    /// Needs a default rustls provider. Does not ask the API server yet: it may be down at start.
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            audience: config.audience.clone(),
            node: config.node.clone(),
            server: server::ApiServer::open(config)?,
            jwks: jwks::Jwks::default(),
            reviews: review::Reviews::new(),
        })
    }

    /// The pod that `credential`, whose digest is `digest`, is the token of.
    pub(super) async fn prove(
        &self,
        credential: &[u8],
        digest: &Digest,
    ) -> Result<Caller, Refusal> {
        let token = jwt::parse(credential)?;
        let key = self.jwks.find(&token.kid, &self.server).await?;
        key.verify(&token)?;
        let now = WallOffset::now().wall(boot_now());
        let pod = token.claims.check(now, &self.audience, &self.node)?;
        self.reviews
            .ask(token.token, digest, &pod, &self.audience, &self.server)
            .await?;
        Ok(Caller {
            name: pod.to_string(),
            scopes: vec![Scope::Telemetry],
            pod: Some(pod),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Config, Error, Tokens};

    fn in_cluster(host: &str, port: &str) -> Result<Config, Error> {
        Config::in_cluster("n1".to_owned(), Path::new("/sa"), |key| {
            let value = match key {
                "KUBERNETES_SERVICE_HOST" => host,
                _ => port,
            };
            (!value.is_empty()).then(|| value.to_owned())
        })
    }

    #[test]
    fn a_pod_knows_its_api_server() {
        let config = in_cluster("10.96.0.1", "443").unwrap();
        assert_eq!(config.api_server.as_str(), "https://10.96.0.1/");
        assert_eq!(config.ca_file, PathBuf::from("/sa/ca.crt"));
        assert_eq!(config.own_token, PathBuf::from("/sa/token"));
        assert_eq!(config.audience, "blackbox");
        let six = in_cluster("fd00::1", "6443").unwrap();
        assert_eq!(six.api_server.as_str(), "https://[fd00::1]:6443/");
        for (host, port) in [("", "443"), ("10.96.0.1", ""), ("a b", "443"), ("a", "x")] {
            assert!(in_cluster(host, port).is_err(), "{host} {port}");
        }
    }

    #[test]
    fn the_daemons_token_crosses_no_network_in_the_clear() {
        for url in [
            "http://10.96.0.1",
            "http://localhost.example",
            "ftp://127.0.0.1",
        ] {
            let mut config = in_cluster("10.96.0.1", "443").unwrap();
            config.api_server = url.parse().unwrap();
            assert!(matches!(Tokens::open(&config), Err(Error::Url(_))), "{url}");
        }
        let config = in_cluster("10.96.0.1", "443").unwrap();
        assert!(matches!(Tokens::open(&config), Err(Error::ReadCa { .. })));
    }
}
