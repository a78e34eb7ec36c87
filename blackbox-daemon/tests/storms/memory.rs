//! What a process takes: its resident size by kind, and what the kernel charges its cgroup.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xtask::stage::Cgroup;

/// Resident memory of a process, bytes, by `/proc/PID/status`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    /// The most since the start, or since it was forgotten.
    pub(crate) peak: u64,
    pub(crate) anonymous: u64,
    pub(crate) files: u64,
    pub(crate) shared: u64,
}

impl Resident {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let of = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let value = line.with_context(|| format!("no {key}"))?;
            Ok(value.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
        };
        Ok(Self {
            now: of("VmRSS:")?,
            peak: of("VmHWM:")?,
            anonymous: of("RssAnon:")?,
            files: of("RssFile:")?,
            shared: of("RssShmem:")?,
        })
    }

    /// From here on the peak is that of what follows.
    pub(crate) fn forget_peak(pid: u32) -> Result<()> {
        Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
    }

    pub(crate) fn words(&self) -> String {
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        format!(
            "resident {} MiB (peak {}): anonymous {}, files {}, shared {}",
            mib(self.now),
            mib(self.peak),
            mib(self.anonymous),
            mib(self.files),
            mib(self.shared)
        )
    }
}

/// Which mappings the resident memory is in, largest first, MiB.
pub(crate) fn mappings(pid: u32) -> Result<Vec<(String, f64)>> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let mut found: Vec<(String, f64)> = Vec::new();
    let mut name = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["Rss:", kib, "kB"] => {
                let mib = kib.parse::<f64>()? / 1024.0;
                match found.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, sum)) => *sum += mib,
                    None => found.push((name.clone(), mib)),
                }
            }
            [range, _, _, _, _, ref rest @ ..] if range.contains('-') => {
                let path = rest.first().copied().unwrap_or("[anonymous]");
                let file = Path::new(path).file_name();
                name = file.map_or(path.to_owned(), |file| file.to_string_lossy().into_owned());
            }
            _ => {}
        }
    }
    found.retain(|(_, mib)| *mib >= 0.2);
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(found)
}

/// What the kernel charges a cgroup, bytes: pages of files and the kernel's own memory too.
pub(crate) fn charged(cgroup: &Cgroup) -> Result<u64> {
    let folder = cgroup.folder();
    let v2 = fs::read_to_string(folder.join("memory.current"));
    let text = v2.or_else(|_| fs::read_to_string(folder.join("memory.usage_in_bytes")))?;
    Ok(text.trim().parse()?)
}

/// Whether the tested daemon is this profile's, and that is for debugging.
pub(crate) fn is_debug() -> bool {
    cfg!(debug_assertions) && std::env::var_os("TESTED_DAEMON").is_none()
}
