//! The host's side of a node: decides which pod runs when, and keeps what became of each container.
//!
//! Deaths are staggered: a new pod starts every so often while fewer than a handful run.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::machine::Machine;
use super::pod::Pod;
use super::protocol::{Life, News, Order};
use crate::deaths::container_id;
use crate::timing::Stopwatch;

/// Containers that run at once.
const AT_ONCE: usize = 8;
/// From one start to the next.
const PACE: Duration = Duration::from_millis(120);
/// How long a pod stays after its container has died, for whoever wants to read its logs.
const LINGER: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_millis(20);

/// A container that was run until the kernel ended it.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) pod: Pod,
    pub(super) container: String,
    pub(super) pid: u32,
    /// When its main process had been reaped: at the death, or a little after.
    pub(super) reaped: Timestamp,
}

/// Lets the containers of `pods` die, and removes each pod.
///
/// # Errors
/// The machine fails, or a container ends in another way: then nothing is proven about the recorder.
pub(super) fn let_die(machine: &mut Machine, pods: Vec<Pod>) -> Result<Vec<Death>> {
    let count = pods.len();
    let mut waiting: VecDeque<Pod> = pods.into();
    let mut running: HashMap<String, (Pod, u32)> = HashMap::new();
    let mut lingering: VecDeque<(Stopwatch, String)> = VecDeque::new();
    let (mut deaths, mut removed) = (Vec::new(), 0);
    let mut last_start = None;
    while removed < count {
        let due = last_start.is_none_or(|start: Stopwatch| start.elapsed() >= PACE);
        if due
            && running.len() < AT_ONCE
            && let Some(pod) = waiting.pop_front()
        {
            let container = container_id();
            running.insert(container.clone(), (pod.clone(), 0));
            machine.order(&Order::Run {
                pod,
                container,
                life: Life::OutOfMemory,
            })?;
            last_start = Some(Stopwatch::start());
        }
        while let Some((_, uid)) = lingering.pop_front_if(|(since, _)| since.elapsed() >= LINGER) {
            machine.order(&Order::Remove { uid })?;
        }
        match machine.hear(PATIENCE)? {
            Some(News::Started { container, pid, .. }) => {
                let known = running.get_mut(&container);
                known.context("a container nobody started")?.1 = pid;
            }
            Some(News::Ended {
                container,
                signal,
                code,
                at,
            }) => {
                let known = running.remove(&container);
                let (pod, pid) = known.context("a container nobody started")?;
                ensure!(
                    signal == Some(libc::SIGKILL),
                    "{} was to be killed, and ended with {signal:?}, {code:?}",
                    pod.name
                );
                lingering.push_back((Stopwatch::start(), pod.uid.clone()));
                deaths.push(Death {
                    pod,
                    container,
                    pid,
                    reaped: at,
                });
            }
            Some(News::Removed { .. }) => removed += 1,
            _ => {}
        }
    }
    Ok(deaths)
}
