//! What the kernel says of a process: its memory, its descriptors, its threads; and our own descriptors.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio_util::sync::CancellationToken;

/// A process to look at.
#[derive(Clone, Debug)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        Self(format!("/proc/{pid}").into())
    }

    /// A field of `status`, e.g. `VmRSS`, in KiB (proc_pid_status(5)).
    pub(crate) fn kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(self.0.join("status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(self.0.join("fd")).unwrap().count()
    }

    /// The soft limit of open files.
    pub(crate) fn most_descriptors(&self) -> u64 {
        let limits = std::fs::read_to_string(self.0.join("limits")).unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let soft = line.unwrap().split_whitespace().next();
        soft.unwrap().parse().unwrap()
    }
}

/// Looks at a process's resident memory every 50 ms, from a thread that nobody delays.
pub(crate) struct Watch {
    most: Arc<AtomicU64>,
    over: CancellationToken,
    thread: JoinHandle<()>,
}

impl Watch {
    pub(crate) fn start(process: Process) -> Self {
        let (most, over) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let thread = std::thread::spawn({
            let (most, over) = (Arc::clone(&most), over.clone());
            move || {
                while !over.is_cancelled() {
                    most.fetch_max(process.kib("VmRSS"), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        });
        Self { most, over, thread }
    }

    /// The most that was seen, KiB.
    pub(crate) fn end(self) -> u64 {
        self.over.cancel();
        self.thread.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

/// Lets this process open as many files as its hard limit allows: it plays a thousand clients.
pub(crate) fn raise_own_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
