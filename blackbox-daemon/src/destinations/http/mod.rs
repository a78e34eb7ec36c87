//! The http destination: each document as the body of a POST, with the content type of its format. The body is made while
//! it is sent, and made anew for each try.
//!
//! Tries up to three times when the failure may pass (no answer, 429, 5xx), so a server can see a document
//! twice: `X-BlackBox-Incident` tells it which. Redirects are not followed, as a report goes only where it was
//! sent. Errors show no more of the URL than its origin: the rest may be secret.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, StatusCode, Url};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::destinations::Document;

/// How long one try may take, unless configured.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The pauses between tries.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// Pieces of a body that wait for the connection; each is at most 64 KiB.
const PIECES: usize = 2;
/// The header that names the incident.
const INCIDENT: &str = "x-blackbox-incident";

/// Where to POST.
#[derive(Clone)]
pub struct Config {
    pub url: Url,
    /// How long one try may take.
    pub timeout: Duration,
}

impl Config {
    /// POST to `url`, each try within [`TIMEOUT`].
    ///
    /// # Errors
    /// `url` isn't an `http://` or `https://` URL.
    pub fn new(url: &str) -> Result<Self, Error> {
        let parsed = Url::parse(url).map_err(|source| Error::Url(source.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(Error::Url(format!("its scheme is {}", parsed.scheme())));
        }
        Ok(Self {
            url: parsed,
            timeout: TIMEOUT,
        })
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("origin", &self.origin())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A document that no try delivered, or an endpoint that can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not a usable URL, write http://host:port/path or https://host:port/path: {0}")]
    Url(String),
    #[error(
        "cannot make a client for {origin}; for https, mount the CA certificates or set SSL_CERT_FILE"
    )]
    Client {
        origin: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("no answer from {origin}")]
    NoAnswer {
        origin: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("cannot make a report")]
    Unmade(#[source] io::Error),
    #[error("{origin} answered {status}")]
    Refused { origin: String, status: StatusCode },
}

impl Error {
    /// Whether another try may succeed.
    fn may_pass(&self) -> bool {
        match self {
            Self::Url(_) | Self::Client { .. } | Self::Unmade(_) => false,
            Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
        }
    }
}

/// A client and where it POSTs.
pub(super) struct Endpoint {
    client: Client,
    config: Config,
}

impl Endpoint {
    pub(super) fn open(config: Config) -> Result<Self, Error> {
        let mut client = Client::builder()
            .timeout(config.timeout)
            .redirect(Policy::none())
            .user_agent(concat!("blackbox-daemon/", env!("CARGO_PKG_VERSION")));
        if config.url.scheme() == "http" {
            // A client that loads the system's CA certificates fails where there are none, as in a bare image.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(|source| Error::Client {
            origin: config.origin(),
            source,
        })?;
        Ok(Self { client, config })
    }

    /// POSTs `document`, up to three times.
    pub(super) async fn write(&self, document: &Document) -> Result<(), Error> {
        let length = length(document.clone()).await?;
        for pause in BACK_OFF {
            match self.post(document, length).await {
                Err(error) if error.may_pass() => tokio::time::sleep(pause).await,
                done => return done,
            }
        }
        self.post(document, length).await
    }

    async fn post(&self, document: &Document, length: u64) -> Result<(), Error> {
        let origin = || self.config.origin();
        let answer = self
            .client
            .post(self.config.url.clone())
            .header(CONTENT_TYPE, document.kind.content_type())
            .header(CONTENT_LENGTH, length)
            .header(INCIDENT, header(document.incident_id()))
            .body(body(document.clone()))
            .send()
            .await
            .map_err(|source| Error::NoAnswer {
                origin: origin(),
                source: source.without_url(),
            })?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(Error::Refused {
                origin: origin(),
                status,
            }),
        }
    }
}

/// How long `document` is, bytes: it is made once for that, off the async threads, for not every server takes a body of
/// which it is not told.
async fn length(document: Document) -> Result<u64, Error> {
    tokio::task::spawn_blocking(move || document.make(io::sink()))
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(Error::Unmade)
}

/// `document` as it is made, off the async threads: whoever makes it waits for the server, and ends when nobody reads it any
/// more.
fn body(document: Document) -> Body {
    let (pieces, made) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let written = document.write(Pieces(&pieces));
        if let Err(error) = written {
            // That it ends early must not look like its end. Nobody hears it who has left.
            pieces.blocking_send(Err(error)).unwrap_or_default();
        }
    });
    Body::wrap(StreamBody::new(ReceiverStream::new(made)))
}

/// What is written, as the frames of a body.
struct Pieces<'a>(&'a mpsc::Sender<io::Result<Frame<Bytes>>>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Frame::data(Bytes::copy_from_slice(bytes));
        let sent = self.0.blocking_send(Ok(piece));
        sent.or(Err(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An incident's id as a header: what isn't visible ASCII becomes `_`.
fn header(id: &str) -> HeaderValue {
    let visible = |c: char| if c.is_ascii_graphic() { c } else { '_' };
    let id: String = id.chars().map(visible).collect();
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("_"))
}

#[cfg(test)]
pub(super) mod tests;
