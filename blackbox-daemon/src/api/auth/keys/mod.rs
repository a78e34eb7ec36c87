//! Named keys: `BLACKBOX_API_KEY` and those of a file, which is read anew when it changes.
//!
//! Holds only SHA-256 digests. A credential is hashed once and compared with every key, whichever fits, so the time
//! taken tells nothing about the keys. A changed file that is wrong leaves the keys as they are, with one warning.

pub mod file;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{Caller, Scope};

/// The name of the caller that has `BLACKBOX_API_KEY`.
pub const DEFAULT: &str = "default";
/// How often the file is looked at. A kubelet takes up to a minute to bring a changed secret anyway.
const POLL: Duration = Duration::from_secs(2);

/// A SHA-256.
pub(super) type Digest = [u8; 32];

/// The SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    digest
}

/// One key. Not `Debug`: a weak key could be guessed from its digest.
#[derive(Clone)]
struct Key {
    name: String,
    scopes: Vec<Scope>,
    digest: Digest,
}

/// All keys.
pub(super) struct Keys {
    /// `BLACKBOX_API_KEY`, if set.
    default: Option<Key>,
    file: Option<Watched>,
    /// The default key, then the file's.
    known: ArcSwap<Vec<Key>>,
}

/// A file and which state of it was read last.
struct Watched {
    path: PathBuf,
    seen: Mutex<Option<Stamp>>,
}

/// What changes when a file is written or replaced. Of the file behind links: a kubelet swaps a link.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Stamp {
    /// `None`: there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (found.mtime(), found.mtime_nsec()),
            size: found.size(),
            inode: found.ino(),
        })
    }
}

impl Keys {
    /// Reads the file, if there is to be one.
    pub(super) fn open(default: Option<&str>, file: Option<PathBuf>) -> Result<Self, file::Error> {
        let default = default.map(|key| Key {
            name: DEFAULT.to_owned(),
            scopes: vec![Scope::Admin],
            digest: sha256(key.as_bytes()),
        });
        let mut known: Vec<Key> = default.iter().cloned().collect();
        let file = match file {
            None => None,
            Some(path) => {
                // Before the file is read: a change between the two is found at the next look.
                let seen = Mutex::new(Stamp::of(&path));
                known.extend(file::read(&path)?);
                Some(Watched { path, seen })
            }
        };
        Ok(Self {
            default,
            file,
            known: ArcSwap::from_pointee(known),
        })
    }

    /// Whether there is any key.
    pub(super) fn is_empty(&self) -> bool {
        self.known.load().is_empty()
    }

    /// Who has the key with this digest.
    pub(super) fn find(&self, presented: &Digest) -> Option<Caller> {
        let known = self.known.load();
        let mut found = 0_u64;
        for (number, key) in (1_u64..).zip(known.iter()) {
            found.conditional_assign(&number, key.digest.ct_eq(presented));
        }
        let key = known.get(usize::try_from(found.checked_sub(1)?).ok()?)?;
        Some(Caller {
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            pod: None,
        })
    }

    /// Looks at the file every [`POLL`] until `stop`.
    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        if self.file.is_none() {
            return;
        }
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let keys = Arc::clone(&self);
            // A volume that hangs must not hold up the runtime.
            if let Err(error) = tokio::task::spawn_blocking(move || keys.refresh()).await {
                tracing::error!(%error, "the key file could not be looked at");
            }
        }
    }

    /// Reads the file if it changed. A file that is wrong is told once and changes nothing.
    fn refresh(&self) {
        let Some(file) = &self.file else { return };
        let mut seen = file.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&file.path);
        if *seen == stamp {
            return;
        }
        *seen = stamp;
        match file::read(&file.path) {
            Ok(keys) => {
                let count = keys.len();
                let all = self.default.iter().cloned().chain(keys).collect();
                self.known.store(Arc::new(all));
                tracing::info!(keys = count, "the key file changed and was read");
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                tracing::warn!(error = %format!("{error:#}"), "the keys stay as they were");
            }
        }
    }
}

#[cfg(test)]
mod tests;
