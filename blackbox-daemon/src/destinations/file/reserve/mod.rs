//! The reserve: a file whose blocks are there already, for reports that find the disk full.
//!
//! `.reserve` lies in the directory of the reports, allocated and filled with zeros, so that writing into it takes no
//! block, no inode and no name that a full disk lacks. Reports are added one behind the other ([`Entry`]), each written in
//! place and synced before it counts as kept; never a part of one. When space is back each becomes the file it should have
//! been, and the reserve is emptied in place. It is used only if it is the file that was made or found here: a link, a
//! pipe or another's file in its place is replaced, never written.
//!
//! A report that was kept is never overwritten before it has its file. After an fsync that failed nothing more is
//! written into the reserve: when what it holds has been moved out, a new one takes its place.
//!
//! Where a file system writes in place only by taking new blocks (btrfs, zfs), the promise is weaker: on btrfs
//! copying is switched off for this file.

mod entry;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{
    AtFlags, FallocateFlags, FileType, IFlags, Mode, OFlags, Stat, fallocate, fchmod, fdatasync,
    fstat, fsync, ioctl_setflags, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use super::place::{Fault, create};
use entry::{BLOCK, Entry};

/// Its name.
pub(super) const NAME: &str = ".reserve";
/// Its size unless configured, bytes. Of a death on a machine busy with builds the JSON had 0.6 to 1.8 MiB, the text a fifth
/// of that, a brief 3 KiB: room for one such incident and the briefs of many, or for some dozen quiet ones.
pub const BYTES: u64 = 4 << 20;
/// What of it only briefs may use: of the incidents that find no room for more at least these are kept.
const BRIEFS: u64 = 4;
/// Bytes written at once.
const PIECE: usize = 64 << 10;

/// Which file it is: device, inode and size, for an inode may be used again at once.
type Identity = (u64, u64, u64);

/// The reserve of one directory.
#[derive(Debug)]
pub(super) struct Reserve {
    /// 0: there is none.
    bytes: u64,
    /// Whether what an earlier daemon left was looked for.
    found: bool,
    file: Option<Identity>,
    /// Where the next entry goes.
    used: u64,
    /// The names of the files that its entries shall become.
    names: Vec<String>,
    /// Whether every write so far succeeded.
    sound: bool,
}

impl Reserve {
    /// One of `bytes`, to be found or made.
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            found: false,
            file: None,
            used: 0,
            names: Vec::new(),
            sound: true,
        }
    }

    /// The names of the reports it holds, oldest first.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes over what an earlier daemon left.
    fn find(&mut self, directory: &OwnedFd) -> Result<(), Fault> {
        let file = match open(directory, OFlags::RDWR) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        let (mut names, mut used, end) = (Vec::new(), 0, size(&stat));
        while let Some((entry, next)) = Entry::read(&file, used, end)? {
            names.push(entry.name);
            used = next;
        }
        let whole = is_whole(&stat, self.bytes);
        if whole {
            // What lies behind a torn entry must not come back to life.
            self.zero(&file, used, end)?;
        }
        if whole || !names.is_empty() {
            self.file = Some(identity(&stat));
            self.sound = whole;
            (self.names, self.used) = (names, used);
        }
        Ok(())
    }

    /// Proves that it is there, and makes it if it is not. `true`: it was made.
    pub(super) fn ensure(&mut self, directory: &OwnedFd) -> Result<bool, Fault> {
        if !self.found {
            self.find(directory)?;
            self.found = true;
        }
        if self.bytes == 0 && self.names.is_empty() {
            if self.file.take().is_some() {
                unlinkat(directory, NAME, AtFlags::empty())?;
            }
            return Ok(false);
        }
        if !self.is_there(directory)? {
            self.lose("the reserve was removed, with the reports in it");
        } else if self.sound || !self.names.is_empty() {
            return Ok(false);
        }
        self.file = Some(make(directory, self.bytes)?);
        (self.used, self.sound) = (0, true);
        Ok(true)
    }

    /// Whether it was looked for, or made, before.
    pub(super) fn was_found(&self) -> bool {
        self.found
    }

    /// Whether it is in its place and can be used; or there is to be none.
    pub(super) fn is_well(&self, directory: &OwnedFd) -> Result<bool, Fault> {
        let wanted = self.bytes > 0 || !self.names.is_empty();
        let usable = self.sound || !self.names.is_empty();
        Ok(self.found && (!wanted || (usable && self.is_there(directory)?)))
    }

    /// What it held is gone.
    fn lose(&mut self, why: &'static str) {
        if !self.names.is_empty() {
            tracing::error!(reports = ?self.names, "{why}");
        }
        self.used = 0;
        self.names.clear();
    }

    /// Whether the file of its name is the one it knows, and has its blocks still.
    fn is_there(&self, directory: &OwnedFd) -> Result<bool, Fault> {
        match statat(directory, NAME, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let whole = is_whole(&stat, size(&stat));
                Ok(self.file == Some(identity(&stat)) && whole)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// How many bytes of a report it can still take; of a brief more than of others.
    pub(super) fn room(&self, brief: bool) -> u64 {
        if !self.sound || self.file.is_none() {
            return 0;
        }
        let entries = self.bytes.saturating_sub(BLOCK);
        let kept_back = if brief { 0 } else { self.bytes / BRIEFS };
        // A block for the first line.
        entries.saturating_sub(kept_back + self.used + BLOCK)
    }

    /// Keeps a report, which has room, under the name it shall have.
    pub(super) fn keep(
        &mut self,
        directory: &OwnedFd,
        name: &str,
        body: Vec<u8>,
    ) -> Result<(), Fault> {
        let file = self.opened(directory)?;
        let bytes = Entry {
            name: name.to_owned(),
            body,
        }
        .encode();
        self.write(&file, &bytes, self.used)?;
        self.used += bytes.len() as u64;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Proves that the disk still takes what is written: a block at the end of the reserve is.
    pub(super) fn beat(&mut self, directory: &OwnedFd) -> Result<(), Fault> {
        if self.bytes == 0 || !self.sound {
            return Ok(());
        }
        let file = self.opened(directory)?;
        self.write(&file, &[0; BLOCK as usize], self.bytes - BLOCK)
    }

    /// Hands out each report it holds, oldest first, and is empty afterwards.
    pub(super) fn hand_out(
        &mut self,
        directory: &OwnedFd,
        mut take: impl FnMut(&str, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let file = self.opened(directory)?;
        let mut at = 0;
        while at < self.used {
            match Entry::read(&file, at, self.used) {
                Ok(Some((entry, next))) => {
                    take(&entry.name, &entry.body)?;
                    at = next;
                }
                // Somebody else wrote into it. What the disk cannot read now it may read later.
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error.into()),
            }
        }
        if at < self.used {
            self.sound = false;
            self.lose("the reserve was changed: some of these reports are lost");
            return Ok(());
        }
        if self.sound {
            self.zero(&file, 0, self.used)?;
        }
        self.used = 0;
        self.names.clear();
        Ok(())
    }

    fn zero(&mut self, file: &File, from: u64, to: u64) -> Result<(), Fault> {
        let zeros = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)];
        self.write(file, &zeros, from)
    }

    /// In place, and synced. What fails here is not tried again on this file.
    fn write(&mut self, file: &File, bytes: &[u8], at: u64) -> Result<(), Fault> {
        let written = file.write_all_at(bytes, at).map_err(Fault::Disk);
        let synced =
            written.and_then(|()| fdatasync(file).map_err(|error| Fault::Sync(error.into())));
        self.sound &= synced.is_ok();
        synced
    }

    /// Its file, if it is still the one.
    fn opened(&self, directory: &OwnedFd) -> io::Result<File> {
        let file = open(directory, OFlags::RDWR)?;
        match self.file == Some(identity(&fstat(&file)?)) {
            true => Ok(file),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// The reports in the reserve of a directory: name and bytes, oldest first.
pub(super) fn reports(directory: &OwnedFd) -> io::Result<Vec<(String, Vec<u8>)>> {
    let file = match open(directory, OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut found, mut at, end) = (Vec::new(), 0, size(&fstat(&file)?));
    while let Some((entry, next)) = Entry::read(&file, at, end)? {
        found.push((entry.name, entry.body));
        at = next;
    }
    Ok(found)
}

/// Opens what bears its name, if that is a file of this user's and of no other name: `NotFound` otherwise.
fn open(directory: &OwnedFd, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, NAME, flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO) => return Err(io::ErrorKind::NotFound.into()),
        opened => File::from(opened?),
    };
    let stat = fstat(&file)?;
    let regular = FileType::from_raw_mode(stat.st_mode).is_file();
    let ours = stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink == 1;
    match regular && ours {
        true => Ok(file),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

/// A new one takes the place of whatever bears its name.
fn make(directory: &OwnedFd, bytes: u64) -> Result<Identity, Fault> {
    let (temp, file) = create(directory, NAME)?;
    let made = fill(&file, bytes).and_then(|()| {
        match renameat(directory, &temp, directory, NAME) {
            // An empty directory in its place.
            Err(Errno::ISDIR) => {
                unlinkat(directory, NAME, AtFlags::REMOVEDIR)?;
                renameat(directory, &temp, directory, NAME)?;
            }
            renamed => renamed?,
        }
        fsync(directory).map_err(|error| Fault::Sync(error.into()))?;
        Ok(identity(&fstat(&file)?))
    });
    if made.is_err() {
        unlinkat(directory, &temp, AtFlags::empty()).unwrap_or_default();
    }
    made
}

/// Written, not only allocated: some file systems promise room for the one and not for the other.
fn fill(mut file: &File, bytes: u64) -> Result<(), Fault> {
    fchmod(file, Mode::from_raw_mode(0o644))?;
    // Only btrfs knows what this means.
    ioctl_setflags(file, IFlags::NOCOW).unwrap_or_default();
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
    while left > 0 {
        let piece = left.min(PIECE);
        file.write_all(&[0; PIECE][..piece])?;
        left -= piece;
    }
    file.sync_all().map_err(Fault::Sync)
}

fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino, size(stat))
}

/// Whether it has this size, and a block for each byte of it.
fn is_whole(stat: &Stat, bytes: u64) -> bool {
    size(stat) == bytes && stat.st_blocks.cast_unsigned() * 512 >= bytes
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

#[cfg(test)]
mod tests;
