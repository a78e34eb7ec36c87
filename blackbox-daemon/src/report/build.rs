//! From a case to a report: read the slice, decide, select what concerns the death, state what is missing.
//!
//! Pure: no clock, no IO. The same case gives the same report, byte for byte.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::case::Case;
use super::cast::Cast;
use super::completeness::{self, Unread};
use super::selection::Selection;
use super::sentence::sentence;
use super::{
    Evidence, LastWords, Report, SCHEMA, calls, divergence, head, history, last_calls, neighbours,
    oom_ledger, tail,
};
use crate::diagnosis::{self, Ground};
use crate::identity::Place;
use crate::incident::trigger::About;
use crate::record::{
    Began, BootTime, Condition, ContainerEnded, Event, LaneName, PodIdentity, Process, Record,
    RecordId,
};
use crate::verdict::cluster::Word;
use crate::verdict::cluster::end::{self, Ended};
use crate::verdict::cluster::trouble::{self, Told};
use crate::verdict::reported::Claim;
use crate::verdict::{self, Scene, Verdict};
use crate::words;

/// Makes the report. Its telemetry is only selected; entries are made when it is written.
#[must_use]
pub fn build(case: &Case) -> Report {
    let mut records = case.slice.records(LaneName::Decisive);
    let mut decisive: Vec<(RecordId, Record)> = records.by_ref().collect();
    // As they arrived: those of a crowd come after the others.
    decisive.sort_by_key(|(id, _)| *id);
    let mut unread = Unread {
        decisive: records.malformed(),
        ..Unread::default()
    };
    let Decided {
        verdict,
        cast,
        scene,
    } = decide(case, &decisive, &unread);
    let selection = Selection::of_bulk(case, &cast, &mut unread);
    let calls = calls::failed(&selection.calls);
    let diagnosis = diagnosis::explain(&Ground {
        verdict: &verdict,
        scene: scene.as_ref(),
        subjects: &cast.subjects,
        decisive: &decisive,
        samples: &selection.samples,
        calls: &calls,
        calls_whole: completeness::calls_are_whole(case, &decisive, &unread, &cast),
        stack: case.stack.as_ref(),
        log: case.log.as_ref().and_then(|log| log.as_ref().ok()),
        at: case.incident.first.at,
    });
    let cited: BTreeSet<RecordId> = verdict
        .cited()
        .into_iter()
        .chain(diagnosis.cited())
        .collect();
    let tail = tail::Fold::of(
        decisive
            .iter()
            .filter(|(_, record)| cast.concerns(record))
            .chain(&selection.tail),
        case.wall,
    );
    let oom_ledger = oom_ledger::of(case, (scene.as_ref(), &verdict), &selection.samples);
    let (failed_calls, kinds_left_out) = calls::folded(&calls, &cited, case.wall);
    unread.kinds_left_out = kinds_left_out;
    let divergence = divergence::of(case, &decisive, &calls);
    Report {
        schema: SCHEMA.into(),
        incident: head::summary(case, &decisive, &verdict, &cast),
        evidence: evidence(case, &decisive, &cited),
        failed_calls,
        telemetry: selection.telemetry(case, &cast, &cited),
        completeness: completeness::state(case, &decisive, &unread, &cast),
        node: case.node.clone(),
        pod: cast.pod(&case.names),
        diagnosis,
        last_words: last_words(case, &decisive, &cast),
        tail,
        last_calls: last_calls::rows(
            decisive.iter().filter(|(_, record)| cast.concerns(record)),
            case.wall,
        ),
        stack: case.stack.clone(),
        divergence,
        history: history::rows(case, &cast.containers),
        log: case.log.as_ref().and_then(|log| log.as_ref().ok().cloned()),
        oom_ledger,
        neighbours: neighbours::of(case, verdict.cause),
        containers: cast.containers,
        generated_at: case.wall.wall(case.closed),
        verdict,
    }
}

/// What was decided, and from which scene: none, where the kernel saw no death.
struct Decided<'a> {
    verdict: Verdict,
    cast: Cast,
    scene: Option<Scene<'a>>,
}

impl From<(Verdict, Cast)> for Decided<'_> {
    fn from((verdict, cast): (Verdict, Cast)) -> Self {
        Self {
            verdict,
            cast,
            scene: None,
        }
    }
}

/// Who or what ended it, and who plays a part.
fn decide<'a>(case: &'a Case, decisive: &'a [(RecordId, Record)], unread: &Unread) -> Decided<'a> {
    let first = &case.incident.first;
    let complete = completeness::decisive_is_whole(case, decisive, unread);
    match &first.about {
        About::Process(victim) => of_process(case, *victim, decisive, complete),
        About::Container(ended) => {
            // The kernel may have seen what the trigger did not take for an incident.
            if let Some(victim) = main_process(case, ended, decisive) {
                return of_process(case, victim, decisive, complete);
            }
            let id = ended.end.container_id.as_deref();
            let told = Ended {
                ended,
                id: first.record,
                at: first.at,
                word: word(case, &ended.pod, Some(&ended.container), id, decisive),
            };
            (end::explain(&told), Cast::of_container(case, ended)).into()
        }
        About::Pod(condition) => {
            let container = match &condition.what {
                Condition::Waiting { container, .. } => Some(container.as_str()),
                _ => None,
            };
            let told = Told {
                condition,
                id: first.record,
                word: word(case, &condition.pod, container, None, decisive),
                names: &case.names,
            };
            (trouble::explain(&told), Cast::of_pod(case, &condition.pod)).into()
        }
        About::Recorder(began) => of_recorder(case, began, decisive, complete),
        About::Node(event) => (trouble::node(event, first.record), Cast::of_node()).into(),
        About::Reported(reported) => {
            let cast = Cast::of_report(case, reported);
            let claim = Claim {
                reported,
                id: first.record,
                cgroups: &cast.subjects,
                records: decisive,
                names: &case.names,
            };
            (verdict::reported::explain(&claim), cast).into()
        }
    }
}

/// The end of the recorder's former life; where the kernel's records reach over it, it is a death like others.
fn of_recorder<'a>(
    case: &'a Case,
    began: &Began,
    decisive: &'a [(RecordId, Record)],
    complete: bool,
) -> Decided<'a> {
    let id = case.incident.first.record;
    let own = |record: &Record| {
        let process = record.subject.process().copied();
        let exit = matches!(record.event, Event::Exit(_));
        process.filter(|process| exit && began.is_daemon(process.key))
    };
    let Some(victim) = decisive.iter().find_map(|(_, record)| own(record)) else {
        let verdict = verdict::recorder::explain(began, id, None);
        return (verdict, Cast::of_whole_node()).into();
    };
    let decided = of_process(case, victim, decisive, complete);
    Decided {
        verdict: verdict::recorder::explain(began, id, decided.scene.as_ref()),
        ..decided
    }
}

fn of_process<'a>(
    case: &'a Case,
    victim: Process,
    decisive: &'a [(RecordId, Record)],
    complete: bool,
) -> Decided<'a> {
    let place = case.names.cgroup(victim.cgroup).map(|known| &known.place);
    let id = place.and_then(Place::container_id);
    let scene = Scene {
        victim,
        records: decisive,
        names: &case.names,
        complete,
        word: id.and_then(|id| Word::on_container(id, decisive, &case.names)),
    };
    Decided {
        verdict: verdict::decide(&scene),
        cast: Cast::of_death(case, &scene),
        scene: Some(scene),
    }
}

/// The first process of a container whose end the kubelet told, if the kernel saw it die.
fn main_process(
    case: &Case,
    ended: &ContainerEnded,
    decisive: &[(RecordId, Record)],
) -> Option<Process> {
    let id = ended.end.container_id.as_deref()?;
    let own = |process: &Process| {
        let known = case.names.cgroup(process.cgroup);
        known.is_some_and(|known| known.place.container_id() == Some(id))
    };
    decisive
        .iter()
        .rev()
        .find_map(|(_, record)| match &record.event {
            Event::Exit(exit) if exit.ns_pid == 1 && exit.ns_level > 0 => {
                record.subject.process().copied().filter(own)
            }
            _ => None,
        })
}

fn word<'a>(
    case: &'a Case,
    pod: &'a PodIdentity,
    container: Option<&'a str>,
    id: Option<&'a str>,
    records: &'a [(RecordId, Record)],
) -> Word<'a> {
    Word {
        records,
        facts: case.names.pod_by_uid(&pod.uid),
        uid: &pod.uid,
        container,
        id,
    }
}

/// What the subject's processes wrote, oldest first.
fn last_words(case: &Case, decisive: &[(RecordId, Record)], cast: &Cast) -> Vec<LastWords> {
    let mut said: Vec<(BootTime, LastWords)> = Vec::new();
    for (id, record) in decisive {
        let (Event::Words(words), Some(process)) = (&record.event, record.subject.process()) else {
            continue;
        };
        if cast.concerns(record) {
            let last = LastWords {
                id: *id,
                timestamp: case.wall.wall(record.at),
                pid: process.key.tgid,
                comm: process.comm.to_string(),
                stream: words.stream.name().to_owned(),
                text: words.text.clone(),
                cut_bytes: words.cut,
            };
            said.push((record.at, last));
        }
    }
    said.sort_by_key(|(at, _)| *at);
    said.into_iter().map(|(_, last)| last).collect()
}

fn evidence(
    case: &Case,
    decisive: &[(RecordId, Record)],
    cited: &BTreeSet<RecordId>,
) -> Vec<Evidence> {
    let wall = |record: &Record| -> Timestamp { case.wall.wall(record.at) };
    decisive
        .iter()
        .filter(|(id, _)| cited.contains(id))
        .map(|(id, record)| Evidence {
            id: *id,
            timestamp: wall(record),
            what: words::printable(&sentence(record, &case.names)).into_owned(),
        })
        .collect()
}
