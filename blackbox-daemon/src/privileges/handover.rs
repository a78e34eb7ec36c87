//! Directories that the daemon writes, made writable for the user it is going to be.
//!
//! Only what is surely its own changes hands: a directory that it makes itself, or an empty one that is its user's and
//! that nobody else may write. What has files in it may be anybody's (`/var/log`) and stays as it is. Each can be taken
//! back.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::{Dir, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, open};
use rustix::io::Errno;

use super::ids::Ids;

/// A directory that is surely the daemon's own, and whose it is.
#[derive(Debug)]
pub(super) struct Own {
    directory: OwnedFd,
    before: Ids,
    mode: Mode,
}

impl Own {
    /// Gives it to `to`: who asked for a user owns what that user writes.
    ///
    /// # Errors
    /// CAP_CHOWN is missing.
    pub(super) fn give(&self, to: Ids) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
        Ok(fchown(&self.directory, Some(uid), Some(gid))?)
    }

    /// Lets `with`'s group write it, and leaves it to its owner: when nobody asked for a user, the daemon may be its owner
    /// again the next time, and could not write, without capabilities, what is another's.
    ///
    /// # Errors
    /// CAP_CHOWN is missing.
    pub(super) fn share(&self, with: Ids) -> io::Result<()> {
        fchown(&self.directory, None, Some(Gid::from_raw(with.gid)))?;
        Ok(fchmod(&self.directory, self.mode | Mode::RWXG)?)
    }

    /// Makes it what it was.
    ///
    /// # Errors
    /// As [`Own::give`].
    pub(super) fn take_back(&self) -> io::Result<()> {
        self.give(self.before)?;
        Ok(fchmod(&self.directory, self.mode)?)
    }
}

/// Makes `directory`, if there is none. `None`: it is not surely the daemon's own, or is `to`'s already.
///
/// # Errors
/// It cannot be made or looked at.
pub(super) fn own(directory: &Path, to: Ids) -> io::Result<Option<Own>> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(directory)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match open(directory, flags, Mode::empty()) {
        // A link: somebody chose that place on purpose.
        Err(Errno::LOOP | Errno::NOTDIR) => return Ok(None),
        other => other?,
    };
    let stat = fstat(&opened)?;
    let before = Ids {
        uid: stat.st_uid,
        gid: stat.st_gid,
    };
    let mode = Mode::from_raw_mode(stat.st_mode);
    let others_write = mode.intersects(Mode::WGRP | Mode::WOTH);
    if before.uid != Ids::own().uid || before.uid == to.uid || others_write || !is_empty(&opened)? {
        return Ok(None);
    }
    Ok(Some(Own {
        directory: opened,
        before,
        mode,
    }))
}

fn is_empty(directory: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_what_is_surely_its_own() {
        let root = tempfile::tempdir().unwrap();
        let to = Ids::NOBODY;
        let place = |name: &str| root.path().join(name);
        std::fs::create_dir(place("full")).unwrap();
        std::fs::write(place("full/file"), "").unwrap();
        std::fs::create_dir(place("shared")).unwrap();
        std::fs::set_permissions(place("shared"), PermissionsExt::from_mode(0o1777)).unwrap();
        std::os::unix::fs::symlink("shared", place("link")).unwrap();
        for name in ["full", "shared", "link"] {
            assert!(own(&place(name), to).unwrap().is_none(), "{name}");
        }
        assert!(own(&place("full/file"), to).is_err());
        assert!(own(&place("mine"), Ids::own()).unwrap().is_none());
        let mine = own(&place("mine"), to).unwrap().unwrap();
        assert_eq!(mine.before, Ids::own());
    }
}
