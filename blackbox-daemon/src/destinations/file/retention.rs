//! Retention: which reports go, so that count and bytes fit, or so that a full disk has room for a newer one.
//!
//! The oldest go first, but not the important ones for the sake of lesser ones: the newest [`FLOOR`] incidents of each
//! severity go last, the least severe of them first, and only for an incident that is at least as severe. All files
//! of one incident share its fate, as far as the quota asks for it.
//!
//! Reads the directory; removes only regular files whose names are ours (never links, never the files of
//! others, never the report just written) and temporary files that a crash left behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat, unlinkat};
use rustix::io::Errno;

use super::{Config, name};
use crate::record::Severity;

/// Incidents of each severity that are kept from lesser ones.
pub const FLOOR: usize = 16;
/// Seconds that a temporary file must be older than the newest report: no write takes so long, and two
/// destinations may share a directory.
const STALE: i64 = 60;
/// Bytes of a report's JSON in which its severity stands.
const HEAD: u64 = 8 << 10;

struct Report {
    name: String,
    bytes: u64,
}

/// What a newer report asks of the older ones.
struct Excess {
    files: usize,
    bytes: u64,
}

impl Excess {
    fn is_none(&self) -> bool {
        self.files == 0 && self.bytes == 0
    }
}

/// Removes what is too much. `newest` is the report just written, of this severity. What can't be removed stops
/// nothing else; the first such error is returned.
pub(super) fn apply(
    directory: &OwnedFd,
    config: &Config,
    (newest, severity): (&str, Severity),
) -> io::Result<()> {
    let newest_stat = statat(directory, newest, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut reports = Vec::new();
    let mut bytes = size(&newest_stat);
    let mut result = Ok(());
    for (name, stat) in ours(directory)? {
        if name::is_temporary(&name) {
            if stat.st_mtime.saturating_add(STALE) < newest_stat.st_mtime {
                result = result.and(remove(directory, &name));
            }
        } else if name != newest {
            bytes += size(&stat);
            reports.push(Report {
                name,
                bytes: size(&stat),
            });
        }
    }
    let excess = Excess {
        files: (reports.len() + 1).saturating_sub(config.max_files),
        bytes: bytes.saturating_sub(config.max_bytes),
    };
    if excess.is_none() {
        return result;
    }
    let order = order(directory, reports, severity);
    result.and(shed(directory, order, excess).map(drop))
}

/// Removes older reports until `bytes` are free for one of this severity: those above every floor, and others only if
/// `pressed`. The bytes that were freed.
pub(super) fn make_room(
    directory: &OwnedFd,
    severity: Severity,
    (bytes, pressed): (u64, bool),
) -> io::Result<u64> {
    let files = ours(directory)?.into_iter();
    let reports = files.filter(|(name, _)| name::is_report(name));
    let reports = reports.map(|(name, stat)| Report {
        name,
        // On a disk that is full it is blocks that count.
        bytes: stat.st_blocks.cast_unsigned() * 512,
    });
    let excess = Excess { files: 0, bytes };
    let mut order = order(directory, reports.collect(), severity);
    order.retain(|(floor, _)| pressed || floor.is_none());
    shed(directory, order, excess)
}

/// Removes reports in this order until nothing is too much; the bytes removed.
fn shed(directory: &OwnedFd, order: Vec<Ranked>, mut excess: Excess) -> io::Result<u64> {
    let (mut result, mut freed) = (Ok(()), 0);
    for (_, report) in order {
        if excess.is_none() {
            break;
        }
        match remove(directory, &report.name) {
            Ok(()) => {
                excess.files = excess.files.saturating_sub(1);
                excess.bytes = excess.bytes.saturating_sub(report.bytes);
                freed += report.bytes;
            }
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| freed)
}

/// A report that may go, and the severity whose floor it is below, if it is.
type Ranked = (Option<Severity>, Report);

/// The reports that may go for an incident of this severity, the first to go first.
fn order(directory: &OwnedFd, reports: Vec<Report>, severity: Severity) -> Vec<Ranked> {
    // Names start with their time.
    let mut incidents: BTreeMap<String, Vec<Report>> = BTreeMap::new();
    for report in reports {
        let of = name::incident(&report.name).to_owned();
        incidents.entry(of).or_default().push(report);
    }
    // The one they go for is the newest of its severity.
    let mut seen = BTreeMap::from([(severity, 1)]);
    let mut ranked = Vec::new();
    // Newest first.
    for (incident, files) in incidents.into_iter().rev() {
        let of = severity_of(directory, &incident).unwrap_or(Severity::Low);
        let number = seen.entry(of).or_default();
        *number += 1;
        let floor = (*number <= FLOOR).then_some(of);
        if floor.is_none_or(|floor| floor <= severity) {
            ranked.push((floor, incident, files));
        }
    }
    ranked.sort_by(|(one, earlier, _), (other, later, _)| (one, earlier).cmp(&(other, later)));
    let files = ranked.into_iter().flat_map(|(floor, _, files)| {
        let ranked = files.into_iter().map(move |file| (floor, file));
        ranked.collect::<Vec<_>>()
    });
    files.collect()
}

/// How severe an incident was, by the beginning of its JSON. `None`: it has none, or that does not say.
fn severity_of(directory: &OwnedFd, incident: &str) -> Option<Severity> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory, format!("{incident}.json"), flags, Mode::empty()).ok()?;
    let mut head = Vec::new();
    File::from(file).take(HEAD).read_to_end(&mut head).ok()?;
    // As it is written here. Inside a text the quotes would have backslashes.
    let head = String::from_utf8_lossy(&head);
    let (_, rest) = head.split_once("\"severity\": \"")?;
    Severity::parse(rest.split_once('"')?.0)
}

fn remove(directory: &OwnedFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
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
