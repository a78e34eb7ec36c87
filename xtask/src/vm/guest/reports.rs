//! The end of a recording: waits for the reports, stops the daemon, and sends the host everything it wrote.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::super::protocol::News;
use super::{DIRECTORY, Host};
use crate::exec;
use crate::stage::Daemon;
use crate::timing::wait_for;

const PORT: &str = "/dev/vport0p2";
/// Making reports lags behind the deaths on a slow machine; but one after the other must come.
const NEXT_LIMIT: Duration = Duration::from_secs(60);
/// Time for a report too many.
const EXCESS: Duration = Duration::from_secs(5);

/// Waits until there are `expected` reports, and a while longer; stops the daemon and sends what it wrote.
///
/// # Errors
/// The daemon ends early, or something cannot be read or sent. Missing reports are the host's to judge.
pub(super) fn send(daemon: &mut Daemon, expected: usize, host: &Host) -> Result<()> {
    let mut count = files(daemon)?.len();
    while count < expected {
        let more = wait_for(NEXT_LIMIT, || {
            let now = files(daemon)?.len();
            anyhow::Ok((now > count).then_some(now))
        })?;
        match more {
            Some(more) => count = more,
            None => break,
        }
    }
    thread::sleep(EXCESS);
    let cpu_ms = cpu_ms(daemon.pid())?;
    let status = daemon.stop()?;
    for (file, at) in files(daemon)? {
        host.tell(&News::Written { file, at });
    }
    exec::run(Command::new("tar").args(["-cf", PORT, "-C", DIRECTORY, "."]))?;
    host.tell(&News::Done {
        daemon: status.to_string(),
        cpu_ms,
    });
    Ok(())
}

/// What a process has used of a processor (`utime` and `stime` of proc(5), in ticks of 10 ms).
fn cpu_ms(pid: u32) -> Result<u64> {
    const TICK_MS: u64 = 10;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(") ").context("proc's stat")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
    };
    let both = ticks(11).zip(ticks(12)).context("proc's stat")?;
    Ok((both.0 + both.1) * TICK_MS)
}

/// The JSON reports, with the time each was written.
fn files(daemon: &Daemon) -> Result<Vec<(String, Timestamp)>> {
    let folder = daemon.reports_directory();
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(files);
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.starts_with('.') {
            let written = entry.metadata()?.modified()?;
            let at = Timestamp::try_from(written).context("a file's time")?;
            files.push((name, at));
        }
    }
    Ok(files)
}
