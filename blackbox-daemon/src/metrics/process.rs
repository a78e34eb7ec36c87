//! What this process costs, from `/proc/self`. What cannot be read is left out.

use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::families::{Families, number};
use crate::clock::WallOffset;
use crate::record::BootTime;

/// This process.
pub(super) struct OwnProcess {
    proc_root: PathBuf,
    /// Seconds after 1970. Taken once, so that setting the clock moves nothing.
    started: Option<f64>,
}

impl OwnProcess {
    pub(super) fn new(proc_root: &Path) -> Self {
        let mut own = Self {
            proc_root: proc_root.to_owned(),
            started: None,
        };
        own.started = own.open().and_then(|process| {
            let ticks = process.stat().ok()?.starttime;
            let nanos = ticks.checked_mul(1_000_000_000)? / procfs::ticks_per_second();
            let started = WallOffset::now().wall(BootTime(nanos));
            Some(started.as_microsecond() as f64 / 1e6)
        });
        own
    }

    pub(super) fn root(&self) -> &Path {
        &self.proc_root
    }

    pub(super) fn collect(&self, families: &mut Families) {
        let process = self.open();
        let process = process.as_ref();
        let stat = process.and_then(|process| process.stat().ok());
        let status = process.and_then(|process| process.status().ok());
        let bytes = |kib: Option<u64>| kib.map(|kib| number(kib * 1024));
        let cpu =
            stat.map(|stat| number(stat.utime + stat.stime) / number(procfs::ticks_per_second()));
        let resident = bytes(status.as_ref().and_then(|status| status.vmrss));
        let anonymous = bytes(status.as_ref().and_then(|status| status.rssanon));
        let fds = process.and_then(|process| process.fd_count().ok());
        let fds = fds.map(|count| count as f64);
        for name in [
            "blackbox_process_cpu_seconds_total",
            "process_cpu_seconds_total",
        ] {
            families
                .counter(name, "CPU time of this process, user and system.")
                .add_known(&[], cpu);
        }
        for name in [
            "blackbox_process_resident_memory_bytes",
            "process_resident_memory_bytes",
        ] {
            families
                .gauge(
                    name,
                    "Resident memory of this process, its program file included.",
                )
                .add_known(&[], resident);
        }
        families
            .gauge(
                "blackbox_process_anonymous_memory_bytes",
                "Resident memory of this process that is no file's.",
            )
            .add_known(&[], anonymous);
        for name in ["blackbox_process_open_fds", "process_open_fds"] {
            families
                .gauge(name, "File descriptors this process has open.")
                .add_known(&[], fds);
        }
        families
            .gauge(
                "process_start_time_seconds",
                "When this process started, seconds after 1970.",
            )
            .add_known(&[], self.started);
    }

    fn open(&self) -> Option<Process> {
        Process::new_with_root(self.proc_root.join("self")).ok()
    }
}
