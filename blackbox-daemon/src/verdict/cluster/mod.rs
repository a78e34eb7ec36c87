//! What the cluster says of an end: the kubelet's and the API server's word beside what the kernel saw.
//!
//! `stop` (why was it stopped?), `end` (how did the container end, by the kubelet's word alone?), `trouble` (what keeps
//! the pod from running, or ended it?), `means` (what was it allowed, and what did it use?). The kernel proves who sent a
//! signal; only the cluster can say why. A statement of the kubelet about what it did itself is proof of its reason where
//! the kernel shows that the kill came from the host.

pub mod end;
mod means;
mod stop;
pub mod trouble;

use self::stop::Stopped;
use super::{Cause, Grade, SIGKILL, Scene, Statement, Verdict};
use crate::identity::Names;
use crate::record::{
    BootTime, ContainerEnded, ContainerFacts, Event, KubeEvent, PodCondition, PodFacts, Record,
    RecordId,
};
use crate::words;

/// The cluster's word on one pod, and one container of it: the records that hold it.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// The decisive records of the slice, in order of arrival.
    pub records: &'a [(RecordId, Record)],
    /// As the API server knows the pod at the end of the slice.
    pub facts: Option<&'a PodFacts>,
    pub uid: &'a str,
    /// The container's name.
    pub container: Option<&'a str>,
    /// The id of its instance.
    pub id: Option<&'a str>,
}

impl<'a> Word<'a> {
    /// The word on the container of this id, if it is known to be in a pod.
    #[must_use]
    pub fn on_container(
        id: &'a str,
        records: &'a [(RecordId, Record)],
        names: &'a Names,
    ) -> Option<Self> {
        let (facts, container) = names.container_by_id(id)?;
        Some(Self {
            records,
            facts: Some(facts),
            uid: &facts.uid,
            container: Some(&container.name),
            id: Some(id),
        })
    }

    /// The container as the API server knows it.
    pub(super) fn container_facts(&self) -> Option<&'a ContainerFacts> {
        self.facts?.container(self.container?)
    }

    /// In words: `container app of pod shop/web`.
    pub(super) fn name(&self) -> String {
        let pod = self.facts.map(|facts| facts.pod.to_string());
        let pod = pod.unwrap_or_else(|| self.uid.to_owned());
        match self.container {
            Some(container) => format!("container {container} of pod {pod}"),
            None => format!("pod {pod}"),
        }
    }

    fn own(&self) -> impl Iterator<Item = (RecordId, &'a Record)> {
        let uid = self.uid;
        let records = self.records.iter();
        records
            .filter(move |(_, record)| record.event.kube_uid() == Some(uid))
            .map(|(id, record)| (*id, record))
    }

    pub(super) fn conditions(
        &self,
    ) -> impl Iterator<Item = (RecordId, BootTime, &'a PodCondition)> {
        self.own().filter_map(|(id, record)| match &record.event {
            Event::PodCondition(condition) => Some((id, record.at, &**condition)),
            _ => None,
        })
    }

    /// The cluster's events about the pod, and about this container where they name one.
    pub(super) fn events(&self) -> impl Iterator<Item = (RecordId, BootTime, &'a KubeEvent)> {
        let container = self.container;
        let fits = move |event: &KubeEvent| match (&event.container, container) {
            (Some(said), Some(own)) => said == own,
            _ => true,
        };
        self.own()
            .filter_map(move |(id, record)| match &record.event {
                Event::KubeEvent(event) if fits(event) => Some((id, record.at, &**event)),
                _ => None,
            })
    }

    /// What the kubelet said of the end of this instance.
    pub(super) fn end(&self) -> Option<(RecordId, &'a ContainerEnded)> {
        let own = self.id;
        self.own()
            .find_map(move |(id, record)| match &record.event {
                Event::ContainerEnded(ended) if ended.end.container_id.as_deref() == own => {
                    Some((id, &**ended))
                }
                _ => None,
            })
    }
}

/// Adds the cluster's word to the verdict about a death that the kernel saw.
pub(super) fn add(scene: &Scene<'_>, word: &Word<'_>, verdict: &mut Verdict) {
    if let Some((id, ended)) = word.end() {
        end::facts(verdict, ended);
        let reason = ended.end.reason.as_ref();
        let reason = reason.map_or(String::new(), |reason| format!(", reason {reason}"));
        let text = format!(
            "the kubelet says that {} ended with exit code {}{reason}",
            word.name(),
            ended.end.exit_code
        );
        verdict.state(Grade::Proven, text, vec![id]);
        if let Some(message) = &ended.message {
            let message = words::printable(message.trim());
            let text = format!("its termination message: {message}");
            verdict.state(Grade::Proven, text, vec![id]);
        }
    }
    means::memory(word, scene.oom(), verdict);
    stopped(scene, word, verdict);
}

/// Why it was stopped, if it was: by a signal from outside its container, or by its own exit after such a signal.
fn stopped(scene: &Scene<'_>, word: &Word<'_>, verdict: &mut Verdict) {
    let Some((exit_id, record, exit)) = scene.exit() else {
        return;
    };
    let asked = scene.asked_to_stop();
    let number = exit.status.signal();
    let signal = match (verdict.cause, number) {
        (Cause::KilledBySignal, Some(number)) => {
            let seen = exit
                .killer
                .or_else(|| scene.sent(number, None).map(|(_, it)| it));
            seen.filter(|signal| signal.sender.cgroup != scene.victim.cgroup)
        }
        (Cause::ExitCode, _) => {
            let heard = asked.map(|(_, sent)| sent).filter(|sent| !sent.ignored);
            let heard = heard.map(|sent| sent.signal);
            heard.filter(|signal| signal.sender.cgroup != scene.victim.cgroup)
        }
        _ => None,
    };
    let Some(signal) = signal else {
        return;
    };
    let end = Stopped {
        started: Some(scene.victim.key.start),
        ended: record.at,
        killed: number == Some(SIGKILL),
    };
    let Some(stop) = stop::why(word, &end) else {
        return;
    };
    let place = scene.names.cgroup(signal.sender.cgroup);
    let place = place.map(|known| &known.place);
    // A kubelet and its runtime are no container of a pod: then somebody else was faster, or acted for them.
    if place.is_some_and(|place| place.pod_uid().is_some()) {
        let text = format!(
            "the cluster says, too: {}; the signal came from elsewhere",
            stop.because
        );
        verdict.state(Grade::Proven, text, stop.cites);
        verdict.statements.extend(stop.details);
        return;
    }
    let grade = match stop.certain && place.is_some() {
        true => Grade::Proven,
        false => Grade::Likely,
    };
    let name = words::signal(signal.number);
    verdict.headline = match exit.status.code() {
        Some(code) => format!(
            "{} ended with exit code {code} after {name} from {}: {}",
            words::process(&scene.victim),
            scene.who(&signal.sender),
            stop.because
        ),
        None => format!("{}: {}", verdict.headline, stop.because),
    };
    verdict.cause = stop.cause;
    verdict.grade = verdict.grade.min(grade);
    let mut cites = stop.cites;
    cites.push(exit_id);
    cites.sort_unstable();
    let because = Statement {
        grade,
        text: stop.because,
        cites,
    };
    // The reader's question first.
    verdict.statements.insert(0, because);
    verdict.statements.extend(stop.details);
    if let Some((id, sent)) = asked.filter(|_| end.killed) {
        let before = words::duration(record.at.since(sent.signal.at));
        let asked = words::signal(sent.signal.number);
        let why = match sent.ignored {
            true => {
                "the process ignores it: it has no handler, which the first process of a container needs"
            }
            false => "the process handles it, and did not end by it",
        };
        let text = format!("{asked} had been sent {before} before the end; {why}");
        verdict.state(Grade::Proven, text, vec![id]);
    }
}
