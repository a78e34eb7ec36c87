//! What the kernel left of its own end: the last of its log, which the firmware keeps over a reboot.
//!
//! Reads `/sys/fs/pstore`, and where systemd moves its files; makes the last lines of the newest log that is not older than
//! the journal's last write.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Where the kernel shows them, and where systemd-pstore puts them.
pub const PLACES: [&str; 2] = ["/sys/fs/pstore", "/var/lib/systemd/pstore"];
/// Bytes kept of a log.
const KEPT: usize = 4096;
/// Largest file read, bytes; the firmware has room for some 64 KiB.
const MOST: u64 = 1 << 20;
/// Files looked at.
const MOST_FILES: usize = 256;

/// The last lines of the newest kernel log in `places` that is from after `since`, less a minute for clocks that differ.
#[must_use]
pub fn panic(places: &[impl AsRef<Path>], since: SystemTime) -> Option<String> {
    let since = since.checked_sub(Duration::from_secs(60))?;
    let files = places.iter().flat_map(|place| {
        let listed = fs::read_dir(place.as_ref());
        // Neither is there on most machines.
        listed.into_iter().flatten().flatten().take(MOST_FILES)
    });
    let log = |name: &str| name.starts_with("dmesg-");
    let newest = files
        .filter(|file| file.file_name().to_str().is_some_and(log))
        .filter_map(|file| {
            let about = file.metadata().ok()?;
            let fits = about.is_file() && about.len() <= MOST;
            Some((about.modified().ok()?, file.path())).filter(|(at, _)| fits && *at >= since)
        })
        .max()?;
    let bytes = fs::read(newest.1).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let from = text.ceil_char_boundary(text.len().saturating_sub(KEPT));
    Some(text[from..].trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_is_new_enough_is_the_end_s() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("dmesg-efi-1");
        fs::write(&log, "<0>[ 1.0] Kernel panic - not syncing: x\n").unwrap();
        fs::write(place.path().join("console-1"), "other").unwrap();
        let now = fs::metadata(&log).unwrap().modified().unwrap();
        let places = [place.path()];
        let found = panic(&places, now).unwrap();
        assert!(found.contains("not syncing"), "{found}");
        let later = now + Duration::from_secs(600);
        assert_eq!(panic(&places, later), None);
        assert_eq!(panic(&["/nowhere"], now), None);
    }
}
