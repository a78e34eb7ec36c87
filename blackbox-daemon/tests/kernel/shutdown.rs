//! SIGTERM while incidents are open: they are written, and say that they were cut short.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::timing::Stopwatch;

use crate::lab::{self, Lab, Life, VICTIM};

#[test]
fn open_incidents_are_written_within_5_seconds() -> Result<()> {
    let mut lab = Lab::start(&[("BLACKBOX_SETTLE_TIME", "30s")])?;
    let (first, second) = (lab::cgroup("open")?, lab::cgroup("fresh")?);
    let open = Life::start(&first, VICTIM, &["sleep"])?.kill()?;
    thread::sleep(Duration::from_secs(1));
    assert!(lab.daemon.reports()?.is_empty(), "it should still be open");
    // This one's records are still on their way when the daemon is told to end.
    let fresh = Life::start(&second, VICTIM, &["sleep"])?.kill()?;
    let watch = Stopwatch::start();
    let status = lab.daemon.stop()?;
    let took = watch.elapsed();
    assert_eq!(status.code(), Some(0), "{}", lab.daemon.log()?);
    assert!(took < Duration::from_secs(5), "took {took:?}");

    for pid in [open, fresh] {
        let report = lab.report(pid)?;
        let verdict = &report["verdict"];
        assert_eq!(verdict["grade"], "proven", "{verdict:#}");
        assert_eq!(verdict["cause"], "killed_by_signal", "{verdict:#}");
        let notes = report["completeness"]["notes"].to_string();
        assert!(
            notes.contains("stopped before this incident had settled"),
            "{notes}"
        );
    }
    for extension in ["txt", "json", "csv"] {
        let directory = lab.daemon.reports_directory();
        let files =
            std::fs::read_dir(&directory).with_context(|| directory.display().to_string())?;
        let of_this_kind = files
            .filter_map(|file| file.ok()?.path().extension().map(|end| end == extension))
            .filter(|fits| *fits);
        assert_eq!(of_this_kind.count(), 2, "files in {extension}");
    }
    Ok(())
}
