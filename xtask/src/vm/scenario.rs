//! What happens on the node: deaths, staggered; and a roll-out, of which nothing is to be told.

use std::time::Duration;

use anyhow::Result;

use super::kubelet::Kubelet;
use super::pod::Pod;
use super::protocol::Life;
use crate::timing::Stopwatch;

/// From one start to the next.
const PACE: Duration = Duration::from_millis(120);
/// Pods that a roll-out has beyond those that are wanted.
const SURGE: usize = 6;

/// Pods whose containers die.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deaths {
    pub(super) count: usize,
    /// Containers that run into their limits at once.
    pub(super) at_once: usize,
    /// Half of the containers are started again.
    pub(super) restarts: bool,
}

/// Lets the containers of pods run out of memory, each pod with an owner of its own, and removes the pods.
///
/// # Errors
/// Those of [`Kubelet::turn`].
pub(super) fn deaths(kubelet: &mut Kubelet<'_>, deaths: Deaths) -> Result<()> {
    let Deaths {
        count,
        at_once,
        restarts,
    } = deaths;
    let others = kubelet.pods();
    let mut last_start: Option<Stopwatch> = None;
    let mut begun = 0;
    while begun < count || kubelet.pods() > others {
        let due = last_start.is_none_or(|start| start.elapsed() >= PACE);
        if begun < count && due && kubelet.dying() < at_once {
            let pod = Pod::new("worker", begun);
            let owner = format!("{}-rs", pod.name);
            let restarts = restarts && begun.is_multiple_of(2);
            kubelet.start(pod, &owner, Life::OutOfMemory, restarts)?;
            begun += 1;
            last_start = Some(Stopwatch::start());
        }
        kubelet.turn()?;
    }
    Ok(())
}

/// Starts the `count` pods of one ReplicaSet and waits until all run; their uids.
///
/// # Errors
/// Those of [`Kubelet::turn`].
pub(super) fn replicas(kubelet: &mut Kubelet<'_>, set: &str, count: usize) -> Result<Vec<String>> {
    let mut starting: Vec<String> = Vec::new();
    let mut uids = Vec::new();
    let mut begun = 0;
    while uids.len() < count {
        if begun < count && starting.len() < SURGE {
            starting.push(start(kubelet, set, begun)?);
            begun += 1;
        }
        kubelet.turn()?;
        starting.retain(|name| match kubelet.running(name) {
            Some(uid) => {
                uids.push(uid.to_owned());
                false
            }
            None => true,
        });
    }
    Ok(uids)
}

/// Puts a pod of the ReplicaSet `set` in the place of each `old` one: the old one is deleted once the new one runs.
///
/// # Errors
/// Those of [`Kubelet::turn`].
pub(super) fn roll_out(
    kubelet: &mut Kubelet<'_>,
    old: &[String],
    set: &str,
) -> Result<Vec<String>> {
    let mut uids = Vec::new();
    let mut starting: Vec<(String, &String)> = Vec::new();
    let mut leaving: Vec<&String> = Vec::new();
    let mut waiting = old.iter().enumerate();
    while uids.len() < old.len() || !leaving.is_empty() {
        if starting.len() + leaving.len() < SURGE
            && let Some((number, uid)) = waiting.next()
        {
            starting.push((start(kubelet, set, number)?, uid));
        }
        kubelet.turn()?;
        let ready = |(name, _): &mut (String, &String)| kubelet.running(name).is_some();
        let ready: Vec<_> = starting.extract_if(.., ready).collect();
        for (name, uid) in ready {
            uids.extend(kubelet.running(&name).map(str::to_owned));
            kubelet.leave(uid.clone())?;
            leaving.push(uid);
        }
        leaving.retain(|uid| kubelet.has(uid));
    }
    Ok(uids)
}

/// Starts a pod that serves; gives its name.
fn start(kubelet: &mut Kubelet<'_>, set: &str, number: usize) -> Result<String> {
    let mut pod = Pod::new(set, number);
    pod.namespace = super::pod::NAMESPACES[0].to_owned();
    let name = pod.name.clone();
    kubelet.start(pod, set, Life::serving(number), true)?;
    Ok(name)
}
