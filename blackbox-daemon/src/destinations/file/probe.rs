//! The probe: whether the next report would be kept, asked each second, almost without writing.
//!
//! Looks whether the directory is there and may be written, whether the file system has room and inodes, whether the
//! reserve is in its place, and whether descriptors are left; a directory or a reserve that is missing is made anew, and
//! said once. Each 10 s a block of the reserve is written and synced, which alone shows a disk that fails: 35 MB a
//! day, which wears out no flash.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, StatVfsMountFlags, accessat, fstatvfs};

use super::directory;
use super::keeper::Keeper;
use super::place::Fault;
use crate::record::BootTime;

/// Least space that lets a report be expected to fit, bytes. Twice that must be there before enough is said again.
const LOW: u64 = 1 << 20;
/// How far apart blocks are written.
const BEAT: Duration = Duration::from_secs(10);

impl Keeper {
    /// Looks once. The error says what is wrong, without paths.
    pub(super) fn probe(&mut self, now: BootTime) -> Result<(), String> {
        self.look(now).map_err(|wrong| match wrong {
            Wrong::Said(why) => why.to_owned(),
            Wrong::Failed(error) => directory::why(&error),
        })
    }

    fn look(&mut self, now: BootTime) -> Result<(), Wrong> {
        let directory = match directory::open_existing(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                directory::open(&self.path)?;
                self.missed = true;
                return Err(error.into());
            }
            opened => opened?,
        };
        let written = Access::WRITE_OK | Access::EXEC_OK;
        accessat(&directory, ".", written, AtFlags::empty()).map_err(io::Error::from)?;
        // On a full disk too: what an earlier daemon left must be found.
        let placed = self.in_place(&directory, now);
        self.space(&directory)?;
        placed?;
        if now >= self.beat {
            self.reserve.beat(&directory)?;
            self.beat = now.plus(BEAT);
        }
        match self.spare.is_whole() {
            true => Ok(()),
            false => Err(Wrong::Said("no descriptors are left")),
        }
    }

    fn space(&mut self, directory: &OwnedFd) -> Result<(), Wrong> {
        let stat = fstatvfs(directory).map_err(io::Error::from)?;
        if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem).into());
        }
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let enough = if self.short { 2 * LOW } else { LOW };
        // Some file systems say nothing at all.
        self.short = stat.f_blocks > 0 && free < enough;
        match self.short {
            true => Err(Wrong::Said(directory::NO_SPACE)),
            false if stat.f_files > 0 && stat.f_favail == 0 => {
                Err(Wrong::Said("no inodes are left"))
            }
            false => Ok(()),
        }
    }

    /// The reserve is there. One that is missing is said at once and made anew at the next look: making it takes an fsync,
    /// and thus as long as the disk likes.
    fn in_place(&mut self, directory: &OwnedFd, now: BootTime) -> Result<(), Wrong> {
        if self.reserve.is_well(directory)? {
            self.missed = false;
            return Ok(());
        }
        if self.reserve.was_found() && !std::mem::replace(&mut self.missed, true) {
            return Err(Wrong::Said("the reserve was missing"));
        }
        if !self.making.due(now) {
            return Err(Wrong::Said("the reserve cannot be made"));
        }
        match self.reserve.ensure(directory) {
            Ok(_) => {
                self.making.reset();
                self.missed = false;
                Ok(())
            }
            Err(fault) => {
                self.making.failed(now);
                Err(fault.into())
            }
        }
    }
}

/// What is wrong.
enum Wrong {
    Said(&'static str),
    Failed(io::Error),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.error())
    }
}
