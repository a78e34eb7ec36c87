//! What a report may be missing: losses by cause, evictions, the real start of the window, sources down.

use std::collections::BTreeMap;
use std::time::Duration;

use super::case::Case;
use super::cast::Cast;
use super::{Completeness, DegradedPart, GapCount, SourceLine, hidden};
use crate::record::{
    BootTime, CgroupId, Class, Event, Health, LifeEnd, LossCause, Record, RecordId, SourceName,
    is_counted_by_cgroup,
};
use crate::words;

/// Records of the slice that are not in the report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unread {
    /// Decisive records that did not decode.
    pub(super) decisive: u64,
    /// Bulk records that did not decode.
    pub(super) bulk: u64,
    /// Failed calls beyond the bound of one report.
    pub(super) calls_left_out: u64,
    /// Kinds of failed calls beyond the bound of one report.
    pub(super) kinds_left_out: u64,
    /// Failed calls of the subject's cgroup that were counted and have no record.
    pub(super) own_calls_lost: u64,
}

/// Whether no decisive record of the slice is missing: the ground for saying "there was no …".
pub(super) fn decisive_is_whole(
    case: &Case,
    decisive: &[(RecordId, Record)],
    unread: &Unread,
) -> bool {
    let lost = decisive.iter().any(|(_, record)| match &record.event {
        Event::Gap(gap) => gap.matters(),
        // Nothing was recorded in between.
        Event::Began(began) => !began.kernel_kept,
        _ => false,
    });
    // What a crowd lost is about its own processes; an incident that is about no process may be about them too.
    let process = case.incident.process();
    let own = |id: &CgroupId| process.is_none_or(|process| process.cgroup == *id);
    let crowds = case.slice.crowd_gone_to.iter();
    let crowds = crowds.filter_map(|(id, newest)| own(id).then_some(*newest));
    let gone = case.slice.decisive_gone_to.max(crowds.max());
    let reaches_back = gone.is_none_or(|newest| newest < case.slice.start);
    let kernel = case.ledger.sources.get(&SourceName::Ebpf);
    !lost && reaches_back && unread.decisive == 0 && matches!(kernel, Some(Health::Ok))
}

/// How far before the incident the failed calls of the subject must reach for "no call failed so".
const CALLS_REACH: Duration = Duration::from_secs(10);

/// Whether no failed call of the subjects is missing: the ground for saying "no call failed with …".
pub(super) fn calls_are_whole(
    case: &Case,
    decisive: &[(RecordId, Record)],
    unread: &Unread,
    cast: &Cast,
) -> bool {
    let lost = gaps(decisive)
        .iter()
        .any(|gap| gap.class == Class::FailedCall && !is_counted_by_cgroup(gap.class, gap.cause));
    let began = |(_, record): &(RecordId, Record)| match &record.event {
        Event::Began(began) => !began.kernel_kept,
        _ => false,
    };
    let lost = lost || decisive.iter().any(began);
    let from = case.incident.first.at.minus(CALLS_REACH);
    // It is well again: until then calls were not recorded.
    let recovered = |(_, record): &(RecordId, Record)| match &record.event {
        Event::Source(state) => state.source == SourceName::Ebpf && record.at > from,
        _ => false,
    };
    let lost = lost || decisive.iter().any(recovered);
    let reaches_back = bulk_start(case, cast).is_none_or(|start| start <= from);
    let unread = unread.own_calls_lost + unread.calls_left_out + unread.bulk;
    let kernel = case.ledger.sources.get(&SourceName::Ebpf);
    !lost && reaches_back && unread == 0 && matches!(kernel, Some(Health::Ok))
}

/// The completeness block.
pub(super) fn state(
    case: &Case,
    decisive: &[(RecordId, Record)],
    unread: &Unread,
    cast: &Cast,
) -> Completeness {
    let wall = |at| case.wall.wall(at);
    let gaps = gaps(decisive);
    let whole = decisive_is_whole(case, decisive, unread);
    let sources: Vec<SourceLine> = case
        .ledger
        .sources
        .iter()
        .map(|(source, health)| SourceLine {
            source: *source,
            health: health.clone(),
        })
        .collect();
    Completeness {
        complete: whole,
        summary: summary(case, whole, &gaps, unread.own_calls_lost),
        window_requested_start: wall(case.slice.start),
        window_end: wall(case.slice.end),
        decisive_start: case.slice.decisive_start.map(wall),
        bulk_start: bulk_start(case, cast).map(wall),
        classes: case.ledger.rows(),
        gaps,
        secrets_hidden: hidden::count(case, decisive, cast),
        sources,
        durability: case.durability.clone(),
        notes: notes(case, unread, cast)
            .into_iter()
            .chain(decisive.iter().filter_map(|(_, record)| absence(record)))
            .collect(),
    }
}

/// From when on the bulk lane held everything of the subject's cgroup.
fn bulk_start(case: &Case, cast: &Cast) -> Option<BootTime> {
    let gone = |id| case.slice.own_gone_to.get(id).copied();
    let own = cast.subjects.iter().filter_map(gone).max();
    case.slice
        .bulk_start
        .max(own.filter(|_| case.slice.bulk_start.is_some()))
}

/// Losses inside the slice, added up by class and cause.
fn gaps(decisive: &[(RecordId, Record)]) -> Vec<GapCount> {
    let mut sums: BTreeMap<(Class, LossCause), u64> = BTreeMap::new();
    for (_, record) in decisive {
        if let Event::Gap(gap) = &record.event {
            *sums.entry((gap.class, gap.cause)).or_default() += gap.count;
        }
    }
    sums.into_iter()
        .map(|((class, cause), count)| GapCount {
            class,
            cause,
            count,
        })
        .collect()
}

fn summary(case: &Case, whole: bool, gaps: &[GapCount], own: u64) -> String {
    let crowds = case.slice.crowd_gone_to.len();
    let decisive = match (whole, crowds) {
        (true, 0) => {
            "every decisive record (exec, exit, signal, OOM kill, cgroup) of this window is here"
                .to_owned()
        }
        (true, _) => format!(
            "every decisive record (exec, exit, signal, OOM kill, cgroup) of this window is here, but for other cgroups that \
             made more than their share: {crowds}"
        ),
        (false, _) => {
            "decisive records may be missing: see the losses and sources below".to_owned()
        }
    };
    let lost: u64 = gaps.iter().map(|gap| gap.count).sum();
    let bulk = match lost {
        0 => "no record was lost".to_owned(),
        count => format!(
            "{count} records of the node were lost and counted, {own} of them failing calls of this cgroup"
        ),
    };
    let start = case
        .slice
        .decisive_start
        .into_iter()
        .chain(case.slice.bulk_start)
        .min();
    let span = start.map_or(String::new(), |start| {
        let reach = words::duration(case.slice.end.since(start));
        let asked = words::duration(case.window);
        format!("; the window reaches back {reach} ({asked} before the incident were asked for)")
    });
    format!("{decisive}; {bulk}{span}")
}

/// That the recorder was not there for a part of the window.
fn absence(record: &Record) -> Option<String> {
    let Event::Began(began) = &record.event else {
        return None;
    };
    if began.former == LifeEnd::NodeDown {
        return Some(format!(
            "this is what the disk had kept of the boot that ended: at most the last second before its end is missing, and \
             {} records and {} pieces before",
            began.skipped, began.holes
        ));
    }
    let away = u64::try_from(began.away).map(Duration::from_nanos);
    let away = away.map_or("an unknown time".to_owned(), words::duration);
    if began.kernel_kept {
        return Some(format!(
            "the recorder was restarted within this window: for {away} nothing was sampled and no sidecar was heard, while the \
             kernel programs went on recording; what was before is from its journal, without {} records that had not been \
             written to it",
            began.skipped
        ));
    }
    Some(format!(
        "the recorder was restarted within this window: for {away} nothing was recorded; what was before is from its journal, \
         without {} records that had not been written to it",
        began.skipped
    ))
}

fn notes(case: &Case, unread: &Unread, cast: &Cast) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(pod) = cast.pod.as_ref().filter(|_| cast.pod_is_claimed) {
        let pod = pod.to_string();
        let pod = words::printable(&pod);
        notes.push(format!(
            "that this container belongs to pod {pod} is what its sidecar says"
        ));
    }
    if let Some(Err(why)) = &case.log {
        let why = words::printable(why);
        notes.push(format!("the log of the container is not here: {why}"));
    }
    let incident = &case.incident;
    if incident.crowd > 0 {
        notes.push(format!(
            "so much died at once that {} deaths of other kinds have no report of their own; they count among the repeats",
            incident.crowd
        ));
    }
    if incident.cut_short {
        notes.push("the recorder was stopped before this incident had settled".to_owned());
    }
    if incident.repeats > 0 {
        notes.push(format!(
            "{} more deaths of the same kind have no report of their own; this one speaks for them",
            incident.repeats
        ));
    }
    if unread.calls_left_out > 0 {
        let calls_left_out = unread.calls_left_out;
        notes.push(format!(
            "{calls_left_out} older failed calls were left out of this report"
        ));
    }
    if unread.kinds_left_out > 0 {
        let kinds_left_out = unread.kinds_left_out;
        notes.push(format!(
            "{kinds_left_out} more kinds of failed calls, none of them more frequent than those listed, are only in the telemetry"
        ));
    }
    if case.ledger.reports_dropped > 0 {
        notes.push(format!(
            "{} earlier incidents have no report: they came faster than reports are made",
            case.ledger.reports_dropped
        ));
    }
    let evicted: u64 = case.ledger.evicted.values().sum();
    if evicted > 0 {
        notes.push(format!(
            "{evicted} records were evicted by a byte cap before their time"
        ));
    }
    for DegradedPart { part, why } in &case.durability {
        let (part, why) = (words::printable(part), words::printable(why));
        notes.push(format!(
            "when this report was made, what is kept on disk was degraded: {part}: {why}"
        ));
    }
    let broken = unread.decisive + unread.bulk;
    if broken > 0 {
        notes.push(format!("{broken} stored records could not be read"));
    }
    notes
}
