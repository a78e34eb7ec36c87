//! Retention: after each write the oldest reports go, until count and bytes fit.
//!
//! Reads the directory; removes only regular files whose names are ours (never links, never the files of
//! others, never the report just written) and temporary files that a crash left behind.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Stat, statat, unlinkat};
use rustix::io::Errno;

use super::{Config, name};

/// Seconds that a temporary file must be older than the newest report: no write takes so long, and two
/// destinations may share a directory.
const STALE: i64 = 60;

struct Report {
    name: String,
    bytes: u64,
}

/// Removes what is too much. `newest` is the report just written. What can't be removed stops nothing else;
/// the first such error is returned.
pub(super) fn apply(directory: &OwnedFd, config: &Config, newest: &str) -> io::Result<()> {
    let newest_stat = statat(directory, newest, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut reports = Vec::new();
    let mut first_error = Ok(());
    let mut remove = |name: &str| match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => true,
        Err(error) => {
            if first_error.is_ok() {
                first_error = Err(error.into());
            }
            false
        }
    };
    for (name, stat) in ours(directory)? {
        if name::is_temporary(&name) {
            if stat.st_mtime.saturating_add(STALE) < newest_stat.st_mtime {
                remove(&name);
            }
        } else if name != newest {
            reports.push(Report {
                name,
                bytes: size(&stat),
            });
        }
    }
    // Names start with their time.
    reports.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let mut files = reports.len() + 1;
    let mut bytes = size(&newest_stat) + reports.iter().map(|report| report.bytes).sum::<u64>();
    for report in &reports {
        if files <= config.max_files && bytes <= config.max_bytes {
            break;
        }
        if remove(&report.name) {
            files -= 1;
            bytes -= report.bytes;
        }
    }
    first_error
}

/// The regular files whose names are ours.
fn ours(directory: &OwnedFd) -> io::Result<Vec<(String, Stat)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if !name::is_report(name) && !name::is_temporary(name) {
            continue;
        }
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_file() => {
                found.push((name.to_owned(), stat));
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}
