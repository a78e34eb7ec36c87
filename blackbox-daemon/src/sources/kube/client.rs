//! The API server as seen from here: GET requests whose time and bytes are bounded, and why one failed.
//!
//! Address, certificates and credentials are those of a kubeconfig or of the pod's service account, read and renewed
//! by the `kube` crate. Answers are read here: what cannot be parsed may hold secrets and is never logged. After a
//! failure everything is read and connected anew, so that new credentials and new addresses count.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::{ACCEPT, RETRY_AFTER};
use axum::http::{Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::timeout;

use super::counts::Counts;
use crate::clock;
use crate::record::BootTime;
use crate::words::chain;

/// Largest answer held at once, bytes: a page of a list.
const MAX_ANSWER: usize = 64 << 20;
/// Largest line of a watch, bytes: etcd holds no object of more than 1.5 MiB.
const MAX_LINE: usize = 8 << 20;

/// How the API server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `None`: the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Of a connection, and of an answer that is not a watch.
    pub timeout: Duration,
}

/// Why the API server did not tell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no usable {from}: {why}")]
    Access { from: &'static str, why: String },
    #[error("the API server does not answer: {0}")]
    NoAnswer(String),
    #[error("the API server has not answered within {0:?}")]
    Late(Duration),
    #[error("the API server answered {status}; {}", hint(*status))]
    Status {
        status: StatusCode,
        retry_after: Option<Duration>,
    },
    /// The version to go on from is too old by now.
    #[error("the API server has forgotten where the watch was; everything is listed again")]
    Gone,
    #[error("the connection to the API server broke: {0}")]
    Broken(String),
    #[error("the API server has been silent for {0:?}")]
    Silent(Duration),
    #[error("an answer of the API server is longer than {0} bytes")]
    TooLong(usize),
    #[error("an answer of the API server cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Error {
    /// From a status the API server gave as an HTTP answer or inside a watch.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::GONE => Self::Gone,
            status => Self::Status {
                status,
                retry_after: None,
            },
        }
    }

    /// A label for counting.
    pub(super) fn code(&self) -> String {
        match self {
            Self::Status { status, .. } => status.as_str().to_owned(),
            Self::Gone => "410".to_owned(),
            Self::Access { .. } => "access".to_owned(),
            Self::Late(_) | Self::Silent(_) => "timeout".to_owned(),
            Self::NoAnswer(_) | Self::Broken(_) => "connection".to_owned(),
            Self::TooLong(_) | Self::Unreadable(_) => "unreadable".to_owned(),
        }
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "are the daemon's credentials of this cluster?",
        StatusCode::FORBIDDEN => "the daemon needs to list and watch pods and events",
        StatusCode::TOO_MANY_REQUESTS => "it is overloaded",
        _ => "it is tried again",
    }
}

/// The API server.
pub(super) struct Server {
    access: Access,
    counts: Counts,
    client: Option<Client>,
}

impl Server {
    pub(super) fn new(access: Access, counts: Counts) -> Self {
        Self {
            access,
            counts,
            client: None,
        }
    }

    /// Drops connections and credentials.
    pub(super) fn forget(&mut self) {
        self.client = None;
    }

    /// GETs something and reads all of it. `verb` is what Kubernetes calls it.
    pub(super) async fn get(&mut self, verb: &'static str, path: &str) -> Result<Bytes, Error> {
        let asked = clock::boot_now();
        let mut answer = Answer {
            body: self.ask(verb, path).await?.into_body(),
            asked,
            allowed: self.access.timeout,
            too_late: Error::Late,
        };
        let mut read = BytesMut::new();
        while let Some(chunk) = answer.chunk().await? {
            if read.len() + chunk.len() > MAX_ANSWER {
                return Err(Error::TooLong(MAX_ANSWER));
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read.freeze())
    }

    /// Opens a watch that ends after `silence` at the latest, whatever the API server does.
    pub(super) async fn watch(&mut self, path: &str, silence: Duration) -> Result<Lines, Error> {
        let asked = clock::boot_now();
        let body = self.ask("watch", path).await?.into_body();
        Ok(Lines {
            answer: Answer {
                body,
                asked,
                allowed: silence,
                too_late: Error::Silent,
            },
            held: BytesMut::new(),
        })
    }

    async fn ask(&mut self, verb: &'static str, path: &str) -> Result<Response<Body>, Error> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let client = connect(&self.access).await?;
                self.client.insert(client).clone()
            }
        };
        let request = Request::get(path)
            .header(ACCEPT, "application/json")
            .body(Body::empty());
        let request = request.map_err(|error| Error::NoAnswer(error.to_string()))?;
        self.counts.request(verb);
        let began = clock::boot_now();
        let sent = timeout(self.access.timeout, client.send(request)).await;
        self.counts.took(verb, clock::boot_now().since(began));
        let answer = match sent {
            Ok(Ok(answer)) => answer,
            Ok(Err(kube::Error::Service(error))) => {
                return Err(Error::NoAnswer(chain(error.as_ref())));
            }
            Ok(Err(error)) => return Err(Error::NoAnswer(chain(&error))),
            Err(_) => return Err(Error::Late(self.access.timeout)),
        };
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::GONE => Err(Error::Gone),
            status => Err(Error::Status {
                status,
                retry_after: retry_after(&answer),
            }),
        }
    }
}

fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Reads credentials and makes a client; nothing is asked yet.
///
/// # Errors
/// There are no usable credentials.
pub async fn connect(access: &Access) -> Result<Client, Error> {
    let (from, config) = match &access.kubeconfig {
        Some(path) => ("kubeconfig", from_file(path.clone()).await),
        None => (
            "service account",
            Config::incluster_env().map_err(|error| chain(&error)),
        ),
    };
    let mut config = config.map_err(|why| Error::Access { from, why })?;
    config.connect_timeout = Some(access.timeout);
    // Who retries, and when, is decided by the follower: it says so by name.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| Error::Access {
        from,
        why: chain(&error),
    })
}

async fn from_file(path: PathBuf) -> Result<Config, String> {
    let read = tokio::task::spawn_blocking(move || Kubeconfig::read_from(path)).await;
    let kubeconfig = read
        .map_err(|error| error.to_string())?
        .map_err(|error| chain(&error))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.map_err(|error| chain(&error))
}

/// An answer that arrives piece by piece, until its deadline.
struct Answer {
    body: Body,
    asked: BootTime,
    /// All of it must have come this long after it was asked for.
    allowed: Duration,
    too_late: fn(Duration) -> Error,
}

impl Answer {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let passed = clock::boot_now().since(self.asked);
            let left = self.allowed.saturating_sub(passed);
            match timeout(left, self.body.frame()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Ok(Some(Err(error))) => return Err(Error::Broken(chain(&error))),
                Err(_) => return Err((self.too_late)(self.allowed)),
            }
        }
    }
}

/// The lines of a watch.
pub(super) struct Lines {
    answer: Answer,
    held: BytesMut,
}

impl Lines {
    /// The next line. `None`: the API server ended the watch, which it does between two lines.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut searched = 0;
        loop {
            let end = self.held[searched..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line = self.held.split_to(searched + end + 1);
                return Ok(Some(line.freeze()));
            }
            searched = self.held.len();
            if searched > MAX_LINE {
                return Err(Error::TooLong(MAX_LINE));
            }
            match self.answer.chunk().await? {
                Some(chunk) => self.held.extend_from_slice(&chunk),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(Error::Broken("in the middle of a line".to_owned())),
            }
        }
    }
}
