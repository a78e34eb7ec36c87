//! What was recorded already: ends of containers, by container id and the time they finished, and conditions. Kept in
//! a file, so that neither a watch that begins again nor a daemon that starts again records them twice.
//!
//! Bounded: beyond [`MOST`], the oldest that no pod shows any more are forgotten; what nobody shows cannot come again.

use std::collections::{HashSet, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::{Condition, ContainerEnded, PodFacts, WaitCause};

/// Most keys remembered.
const MOST: usize = 32_768;
/// Largest file read, bytes: [`MOST`] keys of the longest names.
const MAX_FILE: u64 = 64 << 20;
/// What the file says it is.
const SCHEMA: &str = "blackbox.seen/1";
/// The file's name in the state directory.
const FILE: &str = "kube-seen.json";

/// What something is remembered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Key(String);

impl Key {
    /// By container id and the time it finished; where the kubelet has lost the id, by pod and container.
    pub(super) fn of_end(ended: &ContainerEnded) -> Self {
        let finished = ended.end.finished.map_or(0, |nanos| nanos / 1_000_000_000);
        Self(match &ended.end.container_id {
            Some(id) => format!("{id}@{finished}"),
            None => format!("{}/{}@{finished}", ended.pod.uid, ended.container),
        })
    }

    /// By pod and what it is; a container's by its name too.
    pub(super) fn of_condition(facts: &PodFacts, what: &Condition) -> Self {
        let uid = &facts.uid;
        Self(match what {
            // The kubelet goes to and fro between the two: one story.
            Condition::Waiting {
                container,
                cause: WaitCause::ErrImagePull | WaitCause::ImagePullBackOff,
            } => format!("{uid}/{container}/image"),
            Condition::Waiting { container, cause } => {
                format!("{uid}/{container}/{}", cause.name())
            }
            Condition::PendingLong { .. } => format!("{uid}//pending"),
            Condition::Disrupted { reason } => format!("{uid}//disrupted/{reason}"),
            Condition::Deleting(_) => format!("{uid}//deleting"),
            Condition::Evicted => format!("{uid}//evicted"),
            Condition::DeadlineExceeded => format!("{uid}//deadline"),
            Condition::Failed { .. } => format!("{uid}//failed"),
            Condition::Gone { .. } => format!("{uid}//gone"),
        })
    }
}

/// The keys, oldest first.
#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: HashSet<Key>,
    order: VecDeque<Key>,
    changed: bool,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    schema: std::borrow::Cow<'a, str>,
    keys: Vec<Key>,
}

impl Seen {
    /// Remembers it. Whether it is new.
    pub(super) fn note(&mut self, key: Key) -> bool {
        let new = self.keys.insert(key.clone());
        if new {
            self.order.push_back(key);
            self.changed = true;
        }
        new
    }

    /// Whether it is time to [`Seen::forget`].
    pub(super) fn is_full(&self) -> bool {
        self.order.len() > MOST
    }

    /// Forgets the oldest that are not `shown`, down to half; the shown ones stay, however many.
    pub(super) fn forget(&mut self, shown: &HashSet<Key>) {
        let mut excess = self.order.len().saturating_sub(MOST / 2);
        let keys = &mut self.keys;
        self.order.retain(|key| {
            let stays = excess == 0 || shown.contains(key);
            if !stays {
                excess -= 1;
                keys.remove(key);
            }
            stays
        });
        self.changed = true;
    }

    /// What is to be written, if anything has changed since the last time.
    pub(super) fn take_changes(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let stored = Stored {
            schema: SCHEMA.into(),
            keys: self.order.iter().cloned().collect(),
        };
        serde_json::to_string(&stored).ok()
    }

    /// What was taken could not be written.
    pub(super) fn save_again(&mut self) {
        self.changed = true;
    }

    fn parse(text: &str) -> Result<Self, io::Error> {
        let stored: Stored<'_> = serde_json::from_str(text)?;
        if stored.schema != SCHEMA {
            let what = format!("it is {:?}, not {SCHEMA}", stored.schema);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut seen = Self::default();
        for key in stored.keys {
            seen.note(key);
        }
        seen.changed = false;
        Ok(seen)
    }
}

/// The file, if there is a directory for it.
#[derive(Clone, Debug)]
pub(super) struct Store {
    path: PathBuf,
}

impl Store {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
        }
    }

    /// What an earlier daemon remembered. `None`: there was none.
    ///
    /// # Errors
    /// The file cannot be read, or is none of ours.
    pub(super) fn load(&self) -> io::Result<Option<Seen>> {
        let file = match std::fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Seen::parse(&text).map(Some)
    }

    /// Replaces the file: whoever reads it finds the old text or the new one, also after a crash.
    pub(super) fn save(&self, text: &str) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let draft = self.path.with_extension("json.new");
        let mut file = std::fs::File::create(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        std::fs::File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key(format!("{number}@0"))
    }

    #[test]
    fn what_was_seen_survives_in_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(&directory.path().join("state"));
        assert!(store.load().unwrap().is_none());
        let mut seen = Seen::default();
        assert!(seen.note(key(1)) && !seen.note(key(1)) && seen.note(key(2)));
        store.save(&seen.take_changes().unwrap()).unwrap();
        assert_eq!(seen.take_changes(), None);
        let mut again = store.load().unwrap().unwrap();
        assert!(!again.note(key(1)) && !again.note(key(2)) && again.note(key(3)));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_state() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        for text in ["", "{", "{\"schema\":\"other/1\",\"keys\":[]}", "[]"] {
            std::fs::write(directory.path().join(FILE), text).unwrap();
            assert!(store.load().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_oldest_that_nobody_shows_are_forgotten() {
        let mut seen = Seen::default();
        for number in 0..=MOST {
            seen.note(key(number));
        }
        assert!(seen.is_full());
        let shown = HashSet::from([key(0), key(MOST)]);
        seen.forget(&shown);
        assert_eq!(seen.keys.len(), MOST / 2);
        assert_eq!(seen.order.len(), MOST / 2);
        assert!(!seen.note(key(0)) && !seen.note(key(MOST)) && seen.note(key(1)));
    }
}
