//! TLS for the server: a certificate and its key from two PEM files, followed while they change.
//!
//! Reads the files; makes rustls configurations. cert-manager and Kubernetes replace the files under a running
//! daemon (a Secret's volume swaps a symlink), so they are looked at every few seconds. Guarantee: there is always
//! a pair that fits; files that are unreadable or do not fit change nothing and are logged once.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no PEM file of certificates: {source}", path.display())]
    Certificate { path: PathBuf, source: pem::Error },
    #[error("no certificate in {}; it needs a PEM section CERTIFICATE", path.display())]
    NoCertificate { path: PathBuf },
    #[error("no private key in {}; it needs a PEM section PRIVATE KEY (not encrypted): {source}", path.display())]
    Key { path: PathBuf, source: pem::Error },
    #[error("the certificate in {} and the key in {} cannot be used together: {source}", cert.display(), key.display())]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("cannot set up TLS: {0}")]
    Setup(#[source] rustls::Error),
}

/// TLS as the server offers it at the moment. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Files,
    loaded: Option<Stamp>,
    current: Arc<ArcSwap<ServerConfig>>,
}

#[derive(Clone, Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What tells two versions of both files apart.
type Stamp = [Version; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    /// Modification, and change (a file made readable has no new content), in seconds and nanoseconds.
    times: [(i64, i64); 2],
}

impl Tls {
    /// Reads a certificate chain (PEM, the server's own first) and its key.
    ///
    /// # Errors
    ///
    /// Returns which file is wrong and how.
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files { cert, key };
        let loaded = files.stamp();
        let current = Arc::new(ArcSwap::from(files.load()?));
        Ok(Self {
            files,
            loaded,
            current,
        })
    }

    /// What a new connection is offered.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Follows the files until `stop`: looks every 5 s, and connections accepted from then on get what is new.
    pub async fn follow(self, stop: CancellationToken) {
        self.follow_every(PERIOD, stop).await;
    }

    /// The same, looking every `period`.
    pub async fn follow_every(self, period: Duration, stop: CancellationToken) {
        let mut seen = self.loaded;
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let files = self.files.clone();
            // A volume that hangs must not hold up a worker.
            let looked = tokio::task::spawn_blocking(move || files.look(seen)).await;
            let Ok((stamp, Some(loaded))) = looked else {
                continue;
            };
            seen = stamp;
            match loaded {
                Ok(config) => {
                    self.current.store(config);
                    tracing::info!(cert = %self.files.cert.display(), "the TLS certificate was reloaded");
                }
                Err(error) => {
                    tracing::warn!(%error, "the TLS certificate was not reloaded; the old one stays");
                }
            }
        }
    }
}

impl Files {
    /// Loads the files if they are not those of `seen`. Their versions are taken before they are read: a change
    /// in between is seen the next time.
    fn look(
        &self,
        seen: Option<Stamp>,
    ) -> (Option<Stamp>, Option<Result<Arc<ServerConfig>, TlsError>>) {
        let stamp = self.stamp();
        let loaded = (stamp != seen).then(|| self.load());
        (stamp, loaded)
    }

    /// `None`: at least one of them is not there, or may not be looked at.
    fn stamp(&self) -> Option<Stamp> {
        Some([Version::of(&self.cert)?, Version::of(&self.key)?])
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let path = &self.cert;
        let chain = CertificateDer::pem_slice_iter(&read(path)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| TlsError::Certificate {
                path: path.clone(),
                source,
            })?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate { path: path.clone() });
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|source| {
            let path = self.key.clone();
            TlsError::Key { path, source }
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|source| TlsError::Pair {
                cert: self.cert.clone(),
                key: self.key.clone(),
                source,
            })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

impl Version {
    /// Of the file a path leads to, through whatever symlinks.
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            times: [
                (file.mtime(), file.mtime_nsec()),
                (file.ctime(), file.ctime_nsec()),
            ],
        })
    }
}
