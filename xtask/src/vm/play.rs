//! One recording from beginning to end: boot, record, let pods die, roll out, read the reports, compare.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::check::{self, Findings};
use super::clerks::Clerks;
use super::kubelet::{Death, Kubelet};
use super::node::{Access, Build, Node};
use super::scenario::{self, Deaths};
use crate::exec::step;
use crate::timing::Stopwatch;

/// What is to be played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    /// A series of Debian's kernels.
    pub(super) kernel: &'a str,
    pub(super) build: Build,
    pub(super) deaths: usize,
    /// Containers that run into their limits at once.
    pub(super) at_once: usize,
    /// With an API server: how many pods are rolled out after the deaths.
    pub(super) replicas: Option<usize>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Played {
    /// The machine's `uname -r`.
    pub(super) kernel: String,
    pub(super) findings: Findings,
    pub(super) deaths: usize,
    pub(super) reports: usize,
    /// From the first order to the last pod's end.
    pub(super) took: Duration,
    /// What the daemon used of a processor.
    pub(super) daemon: Duration,
    /// Where the reports and the daemon's log are.
    pub(super) directory: PathBuf,
}

/// Plays.
///
/// # Errors
/// The machine or the API server cannot be had or fails, or a death cannot be staged.
pub(super) fn play(plan: Plan<'_>) -> Result<Played> {
    let clerks = match plan.replicas {
        Some(_) => Some(step("vm: starting an API server", Clerks::start)?),
        None => None,
    };
    let access = clerks.as_ref().map_or_else(Access::down, Access::up)?;
    let mut node = Node::start(plan.kernel, plan.build, &access)?;
    node.record(plan.build)?;
    let watch = Stopwatch::start();
    let (cast, clerks) = perform(&mut node, clerks, plan)?;
    let took = watch.elapsed();
    let kernel = node.kernel.clone();
    let recorded = step("vm: reports", || node.finish(cast.deaths.len()))?;
    // It has to be there until the recorder has ended.
    drop(clerks);
    Ok(Played {
        kernel,
        findings: check::compare(&cast.deaths, &cast.calm, &recorded.reports),
        deaths: cast.deaths.len(),
        reports: recorded.reports.len(),
        took,
        daemon: Duration::from_millis(recorded.cpu_ms),
        directory: recorded.directory,
    })
}

/// Who died, and who did not.
struct Cast {
    deaths: Vec<Death>,
    /// The uids of pods that were rolled out.
    calm: Vec<String>,
}

fn perform(
    node: &mut Node,
    clerks: Option<Clerks>,
    plan: Plan<'_>,
) -> Result<(Cast, Option<Clerks>)> {
    let mut kubelet = Kubelet::new(&mut node.machine, clerks);
    let mut calm = Vec::new();
    if let Some(count) = plan.replicas {
        calm = step("vm: replicas", || {
            scenario::replicas(&mut kubelet, "web-1", count)
        })?;
    }
    step("vm: deaths", || {
        let deaths = Deaths {
            count: plan.deaths,
            at_once: plan.at_once,
            restarts: plan.replicas.is_some(),
        };
        scenario::deaths(&mut kubelet, deaths)
    })?;
    if plan.replicas.is_some() {
        let new = step("vm: a roll-out", || {
            scenario::roll_out(&mut kubelet, &calm, "web-2")
        })?;
        calm.extend(new);
    }
    let (deaths, clerks) = kubelet.close();
    Ok((Cast { deaths, calm }, clerks))
}

impl Played {
    /// Removes the reports and the log.
    ///
    /// # Errors
    /// They cannot be removed.
    pub(super) fn forget(&self) -> Result<()> {
        std::fs::remove_dir_all(&self.directory)
            .with_context(|| self.directory.display().to_string())
    }
}
