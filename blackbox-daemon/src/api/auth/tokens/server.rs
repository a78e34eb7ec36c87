//! The API server, as far as tokens need it: two requests, made as the daemon's own service account.
//!
//! Reads the daemon's token anew for each request (a kubelet replaces it), trusts only the given CA, follows no
//! redirect, takes at most [`MAX_ANSWER`] bytes. Whatever goes wrong is an [`Unreachable`]: never a yes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, Url};

use super::{Config, Error};

/// How long one request may take. A sidecar waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer read, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why the API server did not tell.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    #[error("cannot read the daemon's own token {}", path.display())]
    OwnToken {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("no answer from the API server")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the API server answered {status} for {path}; {}", hint(*status))]
    Status {
        path: &'static str,
        status: StatusCode,
    },
    #[error("the API server's answer for {path} is longer than {MAX_ANSWER} bytes")]
    TooLong { path: &'static str },
    #[error("the API server's answer for {path} cannot be read")]
    Json {
        path: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the API server did not answer a moment ago")]
    AMomentAgo,
    #[error("too many tokens wait for the API server")]
    Busy,
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "is the daemon's token of this cluster?",
        StatusCode::FORBIDDEN => {
            "the daemon's service account needs `create tokenreviews` and the cluster role \
             system:service-account-issuer-discovery"
        }
        _ => "try again",
    }
}

/// A client for one API server.
pub(super) struct ApiServer {
    client: Client,
    base: Url,
    own_token: PathBuf,
    /// Whether the last request failed: each change is logged once.
    down: AtomicBool,
}

impl ApiServer {
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        let base = config.api_server.clone();
        let certificates = match (base.scheme(), base.host_str()) {
            ("https", Some(_)) => read_ca(config)?,
            // The daemon's token must not cross a network in the clear.
            ("http", Some("127.0.0.1" | "[::1]" | "localhost")) => Vec::new(),
            _ => return Err(Error::Url(base.origin().ascii_serialization())),
        };
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .tls_certs_only(certificates)
            .user_agent(concat!("blackbox-daemon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::Client)?;
        Ok(Self {
            client,
            base,
            own_token: config.own_token.clone(),
            down: AtomicBool::new(false),
        })
    }

    /// GETs `path`.
    pub(super) async fn get(&self, path: &'static str) -> Result<Vec<u8>, Unreachable> {
        let request = self.client.get(self.url(path));
        self.tell(self.send(path, request).await)
    }

    /// POSTs the JSON `body` to `path`.
    pub(super) async fn post(
        &self,
        path: &'static str,
        body: String,
    ) -> Result<Vec<u8>, Unreachable> {
        let request = self.client.post(self.url(path));
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        self.tell(self.send(path, request).await)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    async fn send(
        &self,
        path: &'static str,
        request: RequestBuilder,
    ) -> Result<Vec<u8>, Unreachable> {
        // A file in memory, written by the kubelet: reading it waits for nothing.
        let own =
            std::fs::read_to_string(&self.own_token).map_err(|source| Unreachable::OwnToken {
                path: self.own_token.clone(),
                source,
            })?;
        let answer = request.bearer_auth(own.trim()).send().await;
        let mut answer = answer.map_err(Unreachable::NoAnswer)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(Unreachable::Status { path, status });
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(Unreachable::NoAnswer)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Unreachable::TooLong { path });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Logs the first failure and the first success after it.
    fn tell<T>(&self, done: Result<T, Unreachable>) -> Result<T, Unreachable> {
        let was_down = self.down.swap(done.is_err(), Ordering::Relaxed);
        match (&done, was_down) {
            (Err(error), false) => {
                let why = std::error::Error::source(error).map(ToString::to_string);
                tracing::warn!(%error, why, "pods' tokens cannot be checked");
            }
            (Ok(_), true) => tracing::info!("pods' tokens can be checked again"),
            _ => {}
        }
        done
    }
}

fn read_ca(config: &Config) -> Result<Vec<Certificate>, Error> {
    let path = || config.ca_file.clone();
    let pem = std::fs::read(&config.ca_file).map_err(|source| Error::ReadCa {
        path: path(),
        source,
    })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(Error::NoCa { path: path() }),
        Err(source) => Err(Error::BadCa {
            path: path(),
            source,
        }),
    }
}
