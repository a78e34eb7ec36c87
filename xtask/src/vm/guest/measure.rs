//! What the machine's kernel says of the daemon's cgroup, and what the daemon says it recorded and lost.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::metrics;
use super::super::protocol::{METRICS_PORT, Measured};
use crate::stage::Cgroup;

/// The tally of the kernel programs is read once a second.
pub(super) const COUNTED: Duration = Duration::from_secs(3);
const LOST: &str = "blackbox_records_lost_total";
const RECORDED: &str = "blackbox_records_recorded_total";

/// Limits a cgroup of `system.slice` to `percent` of one processor.
///
/// # Errors
/// The kernel refuses.
pub(super) fn limit_cpu(cgroup: &Cgroup, percent: u64) -> Result<()> {
    const ABOVE: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/system.slice"];
    for folder in ABOVE {
        let control = Path::new(folder).join("cgroup.subtree_control");
        fs::write(&control, "+cpu").with_context(|| control.display().to_string())?;
    }
    let limit = format!("{} 100000", percent * 1000);
    fs::write(cgroup.folder().join("cpu.max"), limit).context("cpu.max")
}

/// Reads it all.
///
/// # Errors
/// Something cannot be read, or the daemon does not answer.
pub(super) fn measure(cgroup: &Cgroup) -> Result<Measured> {
    let read = |file: &str| {
        let path = cgroup.folder().join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let table = |file: &str| read(file).map(|text| metrics::keyed(&text));
    let counts = metrics::read(METRICS_PORT)?;
    let counted = |metric: &str| {
        let mut series = counts.of(metric);
        series.retain(|_, count| *count > 0);
        series
    };
    Ok(Measured {
        peak: read("memory.peak")?.trim().parse()?,
        current: read("memory.current")?.trim().parse()?,
        events: table("memory.events")?,
        memory: table("memory.stat")?,
        cpu: table("cpu.stat")?,
        reach: counted("blackbox_window_span_seconds"),
        lost: counted(LOST),
        recorded: counted(RECORDED),
    })
}
