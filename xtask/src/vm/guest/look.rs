//! Reads the daemon's reports in the machine: which there are, and whether each file is whole.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::super::protocol::{News, Seen, Wanted};
use super::DAEMON;
use crate::timing::wait_for;

/// Time for a report too many, and for a bundle, which comes after its report.
const EXCESS: Duration = Duration::from_secs(3);

/// Waits for what is wanted, reads every file, and removes those that are whole.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn look(wanted: &Wanted, directory: &Path) -> Result<News> {
    // Parsed once each: the files never change.
    let mut found = Found::default();
    wait_for(Duration::from_secs(wanted.patience), || {
        found.read(directory)?;
        anyhow::Ok(found.has(wanted).then_some(()))
    })?;
    thread::sleep(EXCESS);
    found.read(directory)?;
    for path in files(directory, ".tar.zst")? {
        let mut verify = Command::new(DAEMON);
        // The kernel puts words of its command line there, and the daemon knows no such keys.
        verify.env_clear().arg("verify").arg(&path);
        let verify = verify
            .output()
            .with_context(|| format!("{DAEMON} verify"))?;
        if verify.status.success() {
            found.bundles += 1;
            fs::remove_file(&path)?;
        } else {
            let why = String::from_utf8_lossy(&verify.stderr).trim().to_owned();
            found.broken.push(format!("{}: {why}", path.display()));
        }
    }
    for path in &found.whole {
        fs::remove_file(path)?;
    }
    // Or some would be there again after the next cut, and others not.
    rustix::fs::sync();
    Ok(News::Seen {
        reports: found.reports,
        bundles: found.bundles,
        broken: found.broken,
    })
}

#[derive(Default)]
struct Found {
    reports: Vec<Seen>,
    whole: Vec<PathBuf>,
    bundles: usize,
    broken: Vec<String>,
}

impl Found {
    fn read(&mut self, directory: &Path) -> Result<()> {
        for path in files(directory, ".json")? {
            let name = file_name(&path);
            let known = self.whole.contains(&path);
            if known || self.broken.iter().any(|broken| broken.starts_with(&name)) {
                continue;
            }
            match read(&path) {
                Ok(seen) => {
                    self.reports.push(seen);
                    self.whole.push(path);
                }
                Err(error) => self.broken.push(format!("{name}: {error:#}")),
            }
        }
        Ok(())
    }

    fn has(&self, wanted: &Wanted) -> bool {
        let of_boot: Vec<&Seen> = self
            .reports
            .iter()
            .filter(|it| it.boot == wanted.boot)
            .collect();
        let of_kind = |kind: &String| of_boot.iter().any(|it| it.kind == *kind);
        let of_process = |pid: &u32| of_boot.iter().any(|it| it.pid == Some(*pid));
        wanted.kinds.iter().all(of_kind) && wanted.pids.iter().all(of_process)
    }
}

/// The keys that are read here.
#[derive(Deserialize)]
struct Report {
    incident: Incident,
    verdict: Verdict,
    node: Node,
}

#[derive(Deserialize)]
struct Incident {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Verdict {
    facts: serde_json::Value,
}

#[derive(Deserialize)]
struct Node {
    boot_id: Option<String>,
}

fn read(path: &Path) -> Result<Seen> {
    let file = File::open(path)?;
    let written = file.metadata()?.modified()?;
    let report: Report = serde_json::from_reader(BufReader::new(file))?;
    let pid = report.verdict.facts["pid"].as_u64();
    Ok(Seen {
        file: file_name(path),
        kind: report.incident.kind,
        boot: report.node.boot_id.unwrap_or_default(),
        pid: pid.and_then(|pid| u32::try_from(pid).ok()),
        fresh: written >= booted()?,
    })
}

/// When this boot began, by the wall clock: `btime` of `/proc/stat`, to the second.
fn booted() -> Result<SystemTime> {
    let stat = fs::read_to_string("/proc/stat")?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let seconds = seconds.context("/proc/stat has no btime")?.parse()?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Files in `directory` whose names end so, hidden ones left out; in order.
fn files(directory: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = file_name(&path);
        if name.ends_with(end) && !name.starts_with('.') {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
