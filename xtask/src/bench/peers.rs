//! What the recorder is compared with, from Debian's packages.
//!
//! Nothing is started by being installed. What one of them needs of the kernel and the kernel does not give ends the benchmark
//! with its own words: a peer that does not work is no peer that is slow.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::exec;
use crate::setup::install;

/// Programs and the packages that have them.
const PROGRAMS: [(&str, &str); 9] = [
    ("strace", "strace"),
    ("perf", "linux-perf"),
    ("bpftrace", "bpftrace"),
    ("syscount", "libbpf-tools"),
    ("pidstat", "sysstat"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("redis-server", "redis-server"),
    ("nginx", "nginx-light"),
    ("wrk", "wrk"),
];

/// Finds every program, installing those that are missing.
///
/// # Errors
/// One is missing and cannot be installed.
pub(super) fn ensure_all() -> Result<()> {
    ensure(&PROGRAMS)?;
    tracefs().map(|_| ())
}

/// The same of some programs, each with the package that has it.
///
/// # Errors
/// One is missing and cannot be installed.
pub(super) fn ensure(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<String> = programs
        .iter()
        .filter(|(program, _)| find(program).is_err())
        .map(|(_, package)| (*package).to_owned())
        .collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    for (program, _) in programs {
        find(program)?;
    }
    Ok(())
}

/// Where a program is: in `PATH`, or where Debian puts those that are for root.
///
/// # Errors
/// It is nowhere.
pub(super) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{program} is missing"))
}

/// Versions, for the head of the table.
pub(super) fn versions() -> Result<String> {
    let first = |program: &str, flag: &str| -> Result<String> {
        let mut command = Command::new(find(program)?);
        let said = exec::read(command.arg(flag))?;
        Ok(said.lines().next().unwrap_or_default().trim().to_owned())
    };
    let all = [
        first("strace", "--version")?,
        first("perf", "--version")?,
        first("bpftrace", "--version")?,
        // Its line has a hash and an allocator too.
        first("redis-server", "--version")?
            .split_whitespace()
            .find(|word| word.starts_with("v="))
            .map_or_else(|| "redis".to_owned(), |version| format!("redis {version}")),
    ];
    Ok(all.join("; "))
}

/// The tracing file system, where older tools look for it too: below debugfs.
///
/// # Errors
/// It cannot be mounted, or has no tracepoints of system calls.
pub(super) fn tracefs() -> Result<&'static Path> {
    let (debug, tracing) = (
        Path::new("/sys/kernel/debug"),
        Path::new("/sys/kernel/debug/tracing"),
    );
    if !tracing.join("instances").is_dir() {
        exec::run(
            Command::new("mount")
                .args(["-t", "debugfs", "debugfs"])
                .arg(debug),
        )?;
    }
    let events = tracing.join("events/raw_syscalls");
    ensure!(events.is_dir(), "there is no {}", events.display());
    Ok(tracing)
}
