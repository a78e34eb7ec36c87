//! What a journal is written to: a file, or in tests a disk that fails.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Something of a fixed size that can be written anywhere, and made durable.
pub trait Medium {
    /// Writes all of `bytes` at `at`.
    ///
    /// # Errors
    /// Some of it may have been written.
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Returns when everything written before is durable.
    ///
    /// # Errors
    /// Anything written since the last success may be lost, also if a later call succeeds
    /// (<https://wiki.postgresql.org/wiki/Fsync_Errors>): it must be written again, to somewhere else.
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for Arc<File> {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
