//! The host's side of a node: decides which pod runs when, tells the API server if there is one, and keeps what became
//! of each container.
//!
//! ```text
//!   start ─► (bound) ─► runs ─► dies ─► told, a little later ─► deleted ─► (SIGTERM) ─► removed
//!                            └──────────── leave ───────────────┘
//! ```
//!
//! A pod is deleted before its containers are stopped, as kubelets do it; without an API server it is only removed.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::clerks::{Answer, Ask, Clerks};
use super::machine::Machine;
use super::packed::NAME;
use super::pod::Pod;
use super::protocol::{Life, News, Order};
use super::status::{End, History, Instance};
use crate::deaths::container_id;
use crate::timing::Stopwatch;

/// How long a pod stays after its container has died, for whoever wants to read its logs.
const LINGER: Duration = Duration::from_secs(2);
/// A kubelet tells of a death after 0.5 to 2 s.
const TOLD_FIRST: Duration = Duration::from_millis(500);
const TOLD_SPREAD_MS: u64 = 1500;
const PATIENCE: Duration = Duration::from_millis(20);
/// What shells add to the number of a signal.
const SIGNALLED: i32 = 128;

/// A container that was run until the kernel ended it.
#[derive(Clone, Debug)]
pub(super) struct Death {
    pub(super) pod: Pod,
    pub(super) container: String,
    pub(super) pid: u32,
    /// When its main process had been reaped: at the death, or a little after.
    pub(super) reaped: Timestamp,
}

/// What is to be done with a pod after a while.
enum Step {
    Tell,
    Leave,
}

/// The kubelet, and who makes and deletes its pods.
pub(super) struct Kubelet<'a> {
    machine: &'a mut Machine,
    clerks: Option<Clerks>,
    /// By name: the API server has not given them a uid yet.
    unbound: HashMap<String, History>,
    /// By uid.
    histories: HashMap<String, History>,
    /// The pods of containers.
    uids: HashMap<String, String>,
    /// Pods whose containers are to end.
    leaving: HashSet<String>,
    due: Vec<(Stopwatch, Duration, String, Step)>,
    deaths: Vec<Death>,
}

impl<'a> Kubelet<'a> {
    pub(super) fn new(machine: &'a mut Machine, clerks: Option<Clerks>) -> Self {
        Self {
            machine,
            clerks,
            unbound: HashMap::new(),
            histories: HashMap::new(),
            uids: HashMap::new(),
            leaving: HashSet::new(),
            due: Vec::new(),
            deaths: Vec::new(),
        }
    }

    /// The deaths, when everything is told. The API server stays as long as what it comes with.
    pub(super) fn close(mut self) -> (Vec<Death>, Option<Clerks>) {
        if let Some(clerks) = &mut self.clerks {
            clerks.close();
        }
        (self.deaths, self.clerks)
    }

    /// The pods that are there or come.
    pub(super) fn pods(&self) -> usize {
        self.unbound.len() + self.histories.len()
    }

    /// Containers that run into their memory limits, or are about to.
    pub(super) fn dying(&self) -> usize {
        let all = self.unbound.values().chain(self.histories.values());
        let dying = |history: &&History| history.present.life == Life::OutOfMemory;
        all.filter(dying)
            .filter(|history| history.present.ended.is_none())
            .count()
    }

    /// The uid of a pod, if its container runs.
    pub(super) fn running(&self, name: &str) -> Option<&str> {
        let mut running = self.histories.values();
        let found = running.find(|it| it.pod.name == name && it.present.is_running());
        found.map(|history| &*history.pod.uid)
    }

    pub(super) fn has(&self, uid: &str) -> bool {
        self.histories.contains_key(uid)
    }

    /// Makes a pod of `owner` and runs its container. One that dies is started again, and then serves, if it `restarts`.
    ///
    /// # Errors
    /// The machine or the API server is gone.
    pub(super) fn start(
        &mut self,
        pod: Pod,
        owner: &str,
        life: Life,
        restarts: bool,
    ) -> Result<()> {
        let history = History {
            pod,
            restarts,
            present: Instance::new(container_id(), life),
            last: None,
            restart_count: 0,
        };
        let Some(clerks) = &self.clerks else {
            return self.run(history);
        };
        let object = history.object(NAME, owner);
        clerks.ask(Ask::Bind { object })?;
        self.unbound.insert(history.pod.name.clone(), history);
        Ok(())
    }

    /// Deletes a pod, and ends its container with its grace.
    ///
    /// # Errors
    /// The machine or the API server is gone.
    pub(super) fn leave(&mut self, uid: String) -> Result<()> {
        match &self.clerks {
            Some(clerks) => clerks.ask(Ask::Delete { uid }),
            None => self.end(uid),
        }
    }

    /// Does what is due, and takes the next news.
    ///
    /// # Errors
    /// The machine fails, the API server refuses something, or a container ends in another way than it should: then
    /// nothing is proven about the recorder.
    pub(super) fn turn(&mut self) -> Result<()> {
        let is_due = |(since, after, ..): &mut (Stopwatch, Duration, String, Step)| {
            since.elapsed() >= *after
        };
        let due: Vec<_> = self.due.extract_if(.., is_due).collect();
        for (.., uid, step) in due {
            match step {
                Step::Tell => self.tell(&uid)?,
                Step::Leave => self.leave(uid)?,
            }
        }
        while let Some(answer) = self.answer()? {
            match answer {
                Answer::Bound { name, uid } => {
                    let history = self.unbound.remove(&name);
                    let mut history = history.context("a pod nobody asked for")?;
                    history.pod.uid = uid;
                    self.run(history)?;
                }
                Answer::Deleted { uid } => self.end(uid)?,
                Answer::Failed { .. } => {}
            }
        }
        match self.machine.hear(PATIENCE)? {
            Some(News::Started { container, pid, at }) => self.started(&container, pid, at),
            Some(News::Ended {
                container,
                signal,
                code,
                at,
            }) => {
                let code = code.or(signal.map(|signal| SIGNALLED + signal));
                let code = code.context("a container that ended in no way")?;
                self.ended(&container, End { code, at })
            }
            Some(News::Removed { uid }) => {
                let history = self.histories.remove(&uid).context("no such pod")?;
                self.uids.remove(&history.present.id);
                self.leaving.remove(&uid);
                match &self.clerks {
                    // A pod that was over goes at once when it is deleted.
                    Some(clerks) if !history.is_over() => clerks.ask(Ask::Forget { uid }),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn answer(&mut self) -> Result<Option<Answer>> {
        self.clerks.as_mut().map_or(Ok(None), Clerks::answer)
    }

    fn run(&mut self, history: History) -> Result<()> {
        let uid = history.pod.uid.clone();
        self.uids.insert(history.present.id.clone(), uid.clone());
        self.machine.order(&Order::Run {
            pod: history.pod.clone(),
            container: history.present.id.clone(),
            life: history.present.life,
        })?;
        self.histories.insert(uid, history);
        Ok(())
    }

    fn tell(&self, uid: &str) -> Result<()> {
        match (&self.clerks, self.histories.get(uid)) {
            (Some(clerks), Some(history)) => clerks.ask(Ask::Tell {
                uid: uid.to_owned(),
                status: history.status(),
            }),
            _ => Ok(()),
        }
    }

    /// Ends a pod's container; one that is yet to start ends when it has.
    fn end(&mut self, uid: String) -> Result<()> {
        let history = self.histories.get(&uid).context("no such pod")?;
        if history.present.is_running() {
            let container = history.present.id.clone();
            self.machine.order(&Order::Stop { container })?;
        } else if history.present.ended.is_some() {
            let uid = uid.clone();
            self.machine.order(&Order::Remove { uid })?;
        }
        self.leaving.insert(uid);
        Ok(())
    }

    /// The pod of a container.
    fn of(&mut self, container: &str) -> Result<&mut History> {
        let uid = self.uids.get(container);
        let history = uid.and_then(|uid| self.histories.get_mut(uid));
        history.context("a container nobody started")
    }

    fn started(&mut self, container: &str, pid: u32, at: Timestamp) -> Result<()> {
        let history = self.of(container)?;
        history.present.pid = pid;
        history.present.started = Some(at);
        let uid = history.pod.uid.clone();
        self.tell(&uid)?;
        if self.leaving.contains(&uid) {
            self.end(uid)?;
        }
        Ok(())
    }

    fn ended(&mut self, container: &str, end: End) -> Result<()> {
        let uid = self.uids.get(container).cloned();
        let leaves = uid.is_some_and(|uid| self.leaving.contains(&uid));
        let history = self.of(container)?;
        history.present.ended = Some(end);
        let uid = history.pod.uid.clone();
        if leaves {
            self.tell(&uid)?;
            return self.machine.order(&Order::Remove { uid });
        }
        let killed = SIGNALLED + libc::SIGKILL;
        let dies = history.present.life == Life::OutOfMemory;
        ensure!(
            dies && end.code == killed,
            "{} ended with {}",
            history.pod.name,
            end.code
        );
        let death = Death {
            pod: history.pod.clone(),
            container: container.to_owned(),
            pid: history.present.pid,
            reaped: end.at,
        };
        let restarts = history.restarts;
        self.deaths.push(death);
        let spread = u64::try_from(self.deaths.len())? * 137 % TOLD_SPREAD_MS;
        let told = TOLD_FIRST + Duration::from_millis(spread);
        for (after, step) in [(told, Step::Tell), (told + LINGER, Step::Leave)] {
            self.due
                .push((Stopwatch::start(), after, uid.clone(), step));
        }
        if restarts { self.restart(&uid) } else { Ok(()) }
    }

    /// The first restart is at once.
    fn restart(&mut self, uid: &str) -> Result<()> {
        let mut history = self.histories.remove(uid).context("no such pod")?;
        let life = Life::serving(self.deaths.len());
        let next = Instance::new(container_id(), life);
        self.uids.remove(&history.present.id);
        history.last = Some(std::mem::replace(&mut history.present, next));
        history.restart_count += 1;
        self.run(history)
    }
}
