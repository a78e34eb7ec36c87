//! `kube up` and `kube down`: a cluster that outlives the command, and its end.
//!
//! A file says which processes were started, each with its start time: a pid that another process has by now is left
//! alone.
#![expect(clippy::print_stdout, reason = "says how to reach the API server")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::programs;
use crate::cargo::workspace_root;
use crate::exec::step;
use crate::timing::wait_for;

const STATE: &str = "cluster.json";
/// How long a server may take to end in good order.
const PATIENCE: Duration = Duration::from_secs(10);
/// The node that has a kubelet's credentials.
const NODE: &str = "node-1";

#[derive(Serialize, Deserialize)]
struct State {
    processes: Vec<Process>,
}

/// A process, and not another one that has its pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    /// Clock ticks after boot: field 22 of `/proc/PID/stat`.
    start: u64,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        if fields.next()? == "Z" {
            return None;
        }
        let start = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, start })
    }

    fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    fn signal(self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.runs()) {
            // It may have ended this moment, which is what is wanted.
            kill_process(pid, signal).ok();
        }
    }
}

pub(super) fn up(directory: Option<&Path>) -> Result<ExitCode> {
    let directory = place(directory)?;
    let kubeconfig = directory.join("kubeconfig");
    if running(&directory)? {
        println!("already up: export KUBECONFIG={}", kubeconfig.display());
        return Ok(ExitCode::SUCCESS);
    }
    let programs = programs::ensure()?;
    forget(&directory)?;
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    let state = directory.join(STATE);
    let write = |processes: Vec<Process>| {
        fs::write(&state, serde_json::to_string(&State { processes })?)
            .with_context(|| state.display().to_string())
    };
    // So that a start that fails leaves a directory that is known for a cluster's.
    write(Vec::new())?;
    let cluster = step("kube: starting etcd and kube-apiserver", || {
        Cluster::start_in(&programs, &[NODE], &directory, true)
    })?;
    write(
        cluster
            .leave()
            .into_iter()
            .filter_map(Process::of)
            .collect(),
    )?;
    println!("export KUBECONFIG={}", kubeconfig.display());
    println!("kubectl of its version: {}", programs.kubectl.display());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn down(directory: Option<&Path>) -> Result<ExitCode> {
    let directory = place(directory)?;
    let state = load(&directory)?
        .with_context(|| format!("nothing was started in {}", directory.display()))?;
    for process in &state.processes {
        process.signal(Signal::TERM);
        let ended = || Ok::<_, anyhow::Error>((!process.runs()).then_some(()));
        if wait_for(PATIENCE, ended)?.is_none() {
            process.signal(Signal::KILL);
            ensure!(
                wait_for(PATIENCE, ended)?.is_some(),
                "{process:?} does not end"
            );
        }
    }
    forget(&directory)?;
    Ok(ExitCode::SUCCESS)
}

fn place(directory: Option<&Path>) -> Result<PathBuf> {
    let directory = directory.map_or_else(|| workspace_root().join("target/kube"), Path::to_owned);
    std::path::absolute(&directory).with_context(|| directory.display().to_string())
}

fn load(directory: &Path) -> Result<Option<State>> {
    let path = directory.join(STATE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let state = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(Some(state))
}

/// Whether what was started in `directory` is running, all of it.
///
/// # Errors
/// Some of it is.
fn running(directory: &Path) -> Result<bool> {
    let Some(state) = load(directory)? else {
        return Ok(false);
    };
    let running = state.processes.iter().filter(|one| one.runs()).count();
    if running != 0 && running != state.processes.len() {
        bail!("half of it is running: `cargo xtask kube down` first");
    }
    Ok(running != 0)
}

/// Removes what a cluster left in its directory, and nothing that is not a cluster's.
fn forget(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let empty = fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .next()
        .is_none();
    ensure!(
        empty || directory.join(STATE).exists(),
        "{} has something else in it",
        directory.display()
    );
    fs::remove_dir_all(directory).with_context(|| directory.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_more_than_its_pid() {
        let ours = Process::of(std::process::id()).unwrap();
        assert!(ours.runs());
        let other = Process {
            start: ours.start + 1,
            ..ours
        };
        assert!(!other.runs());
    }

    #[test]
    fn what_is_not_a_clusters_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("notes"), "mine").unwrap();
        assert!(forget(directory.path()).is_err());
        assert!(directory.path().join("notes").exists());
        fs::write(directory.path().join(STATE), "{}").unwrap();
        forget(directory.path()).unwrap();
        assert!(!directory.path().exists());
    }
}
