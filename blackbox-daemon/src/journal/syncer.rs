//! The thread that syncs, so that writes go on meanwhile: a sync of a busy disk may take a second, and what is written, though
//! not durable, survives the daemon.
//!
//! One sync at a time. Takes files, gives back how it went.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use super::{Shared, file};
use crate::clock;

/// The writer's end.
pub(super) struct Syncer {
    files: SyncSender<Arc<File>>,
    done: Receiver<io::Result<()>>,
    /// What is being synced.
    syncing: Option<Arc<File>>,
}

impl Syncer {
    /// Starts the thread; it ends with this end.
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (files, taken) = sync_channel::<Arc<File>>(1);
        let (tell, done) = sync_channel(1);
        std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(move || {
                for file in taken {
                    if tell.send(sync(&file, &shared)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            files,
            done,
            syncing: None,
        })
    }

    pub(super) fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Begins a sync, while there is none.
    pub(super) fn begin(&mut self, file: &Arc<File>) {
        let taken = self.files.try_send(Arc::clone(file)).is_ok();
        self.syncing = taken.then(|| Arc::clone(file));
    }

    /// How the sync of which file went, if there was one and it is over.
    pub(super) fn ended(&mut self) -> Option<(Arc<File>, io::Result<()>)> {
        let ended = match self.done.try_recv() {
            Ok(ended) => ended,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("its thread has ended")),
        };
        Some((self.syncing.take()?, ended))
    }

    /// Waits for the sync that is under way.
    pub(super) fn wait(&mut self) {
        if self.syncing.take().is_some()
            && let Ok(Err(error)) = self.done.recv()
        {
            tracing::warn!(%error, "the last sync of the window failed");
        }
    }
}

fn sync(file: &File, shared: &Shared) -> io::Result<()> {
    let before = clock::boot_now();
    let sync = || file.sync_data().and_then(|()| file::is_there(file));
    let synced = shared.syncing.while_doing(sync);
    let mut state = shared.lock();
    state.syncs += 1;
    state.syncing += clock::boot_now().since(before);
    synced
}
