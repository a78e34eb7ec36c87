//! Uid and gid: what is asked for (`BLACKBOX_RUN_AS`), and changing them for one thread.
//!
//! The C library changes the ids of all threads at once; here each thread changes its own, because one of them keeps two
//! capabilities over the change. A change is for good: real, effective and saved ids.

use std::fmt;
use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// The uid that v1 had, and that nobody is.
const NOBODY: u32 = 65_534;
/// The highest is no id: it means "leave it" (setresuid(2)).
const HIGHEST: u32 = u32::MAX - 1;

/// Which user the daemon is to be once it has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// Nobody, where no feature that is enabled needs the files that root may read; else as it started.
    Auto,
    /// As it started.
    Keep,
    /// These, whatever is lost by that.
    Ids(Ids),
}

/// A user and its one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

impl Ids {
    /// Whom `auto` chooses.
    pub const NOBODY: Self = Self {
        uid: NOBODY,
        gid: NOBODY,
    };

    /// This thread's effective ones.
    #[must_use]
    pub fn own() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    /// Makes this thread, and those that it starts, run as these, without other groups. It keeps the capabilities that it may
    /// have, none of them effective, until [`super::capabilities`] takes them.
    ///
    /// # Errors
    /// It lacks CAP_SETUID or CAP_SETGID, or its user namespace has no such id.
    pub(super) fn take(self) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        set_keep_capabilities(true)?;
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(set_keep_capabilities(false)?)
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

impl RunAs {
    /// `auto`, `keep`, or `uid[:gid]`; the gid is as the uid, unless it is named.
    ///
    /// # Errors
    /// It is none of these: with what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "allowed: auto, keep, or numbers: uid, or uid:gid";
        let number = |text: &str| {
            let parsed = text.parse().ok().filter(|id: &u32| *id <= HIGHEST);
            parsed.ok_or_else(|| ALLOWED.to_owned())
        };
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "keep" => Ok(Self::Keep),
            ids => {
                let (uid, gid) = ids.split_once(':').unwrap_or((ids, ids));
                let (uid, gid) = (number(uid)?, number(gid)?);
                Ok(Self::Ids(Ids { uid, gid }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for() {
        let ids = |uid, gid| Ok(RunAs::Ids(Ids { uid, gid }));
        for (text, expected) in [
            ("auto", Ok(RunAs::Auto)),
            ("keep", Ok(RunAs::Keep)),
            ("65534", ids(65_534, 65_534)),
            ("7:8", ids(7, 8)),
        ] {
            assert_eq!(RunAs::parse(text), expected, "{text}");
        }
        // The highest is "leave it as it is" for the kernel: uid 0 would be kept in silence.
        for text in [
            "",
            "root",
            "1:",
            ":1",
            "1:2:3",
            "-1",
            "4294967295",
            "1:4294967295",
        ] {
            assert!(RunAs::parse(text).is_err(), "{text}");
        }
    }
}
