//! Where a run left the way that the last healthy run of its kind had gone.
//!
//! Reads the two starts that the recorder kept (programs started and failed calls, each once, without what differs from run
//! to run); tells the first difference in order, and nothing where there is none. A step that is new here is told
//! always; one that is missing only where nothing of this run was lost, and only if it had lived long enough for it.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::calls::Failed;
use super::case::Case;
use crate::record::{Record, RecordId};
use crate::starts::{Comparison, MOST_STEPS, SPAN, Step};
use crate::words;

/// The first difference to the last healthy run of the same kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Divergence {
    /// In a sentence.
    pub summary: String,
    /// What makes the two runs alike: the image and the container, or the program and its cgroup.
    pub kind: String,
    /// When they began.
    pub started: Timestamp,
    pub healthy_started: Timestamp,
    /// The last step before that both had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What this run did there and the healthy one never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<String>,
    /// What the healthy run did there instead, or this one did not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
    /// Records of this run: of the step before, and of the step here.
    pub cites: Vec<RecordId>,
    /// What was compared, and what makes that less than sure.
    pub notes: Vec<String>,
}

/// The difference, if there is a healthy run and a difference. Only records that are in the report are cited.
pub(super) fn of(
    case: &Case,
    decisive: &[(RecordId, Record)],
    calls: &[Failed<'_>],
) -> Option<Divergence> {
    let both = case.start.as_ref()?;
    let fork = Fork::of(both)?;
    let ids = [fork.after, fork.here].into_iter().flatten();
    let known = |id: &RecordId| {
        let seen = decisive.iter().any(|(known, _)| known == id);
        seen || calls.iter().any(|call| call.id == *id)
    };
    let cites: BTreeSet<RecordId> = ids.map(|step| step.id).filter(known).collect();
    let healthy_started = case.wall.wall(both.healthy.started);
    Some(Divergence {
        summary: fork.in_words(both, healthy_started),
        kind: both.kind.clone(),
        started: case.wall.wall(both.run.started),
        healthy_started,
        after: fork.after.map(|step| step.text.clone()),
        here: fork.here.map(|step| step.text.clone()),
        healthy: fork.healthy.map(|step| step.text.clone()),
        cites: cites.into_iter().collect(),
        notes: notes(both, fork.here.is_some()),
    })
}

/// The point where two starts part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fork<'a> {
    /// The last common step, as this run took it.
    after: Option<&'a Step>,
    here: Option<&'a Step>,
    healthy: Option<&'a Step>,
}

impl<'a> Fork<'a> {
    fn of(both: &'a Comparison) -> Option<Self> {
        let (here, healthy) = (&both.run.steps, &both.healthy.steps);
        let places: HashMap<&str, usize> =
            (0..).zip(healthy).map(|(at, it)| (&*it.text, at)).collect();
        let new = here.iter().position(|it| !places.contains_key(&*it.text));
        // As far as the common steps before lead in the healthy run.
        let common = &here[..new.unwrap_or(here.len())];
        let reached = common.iter().map(|it| places[&*it.text]).max();
        let missing = missing(both);
        let next = |from: Option<usize>| {
            let rest = &healthy[from.map_or(0, |from| from + 1)..];
            rest.iter()
                .find(|it| !common.iter().any(|other| other.text == it.text))
        };
        match (missing, new) {
            (Some(missing), _) if new.is_none() || reached.is_some_and(|to| missing < to) => {
                let before = healthy[..missing].iter().rev();
                let after = before
                    .into_iter()
                    .find_map(|it| here.iter().find(|own| own.text == it.text));
                Some(Self {
                    after,
                    here: None,
                    healthy: healthy.get(missing),
                })
            }
            (_, Some(new)) => Some(Self {
                after: common.last(),
                here: here.get(new),
                healthy: next(reached),
            }),
            (_, None) => None,
        }
    }

    fn in_words(&self, both: &Comparison, healthy_started: Timestamp) -> String {
        let after = match self.after {
            Some(step) => format!("after {}", step.text),
            None => "at its very start".to_owned(),
        };
        let alike = format!(
            "the last healthy run ({}), begun {} UTC,",
            both.kind,
            healthy_started.strftime("%F %T")
        );
        match (self.here, self.healthy) {
            (Some(here), healthy) => {
                let when = words::duration(both.run.after(here));
                let instead = match healthy {
                    Some(step) => format!("went on with {}", step.text),
                    None => "had no further step".to_owned(),
                };
                format!(
                    "{after} this run had, {when} after its start: {}; {alike} {instead}",
                    here.text
                )
            }
            (None, healthy) => {
                let step = healthy.map_or("", |step| &step.text);
                let when = healthy.map_or_else(String::new, |step| {
                    words::duration(both.healthy.after(step))
                });
                format!(
                    "{after} {alike} had, {when} after its start: {step}; this run never had it"
                )
            }
        }
    }
}

/// The first step of the healthy run that this run lacks although it was there long enough.
fn missing(both: &Comparison) -> Option<usize> {
    let (run, healthy) = (&both.run, &both.healthy);
    let whole = !run.lost && !run.full && !healthy.lost;
    let lived = run.ended.filter(|_| whole)?.since(run.started);
    let in_time = healthy
        .steps
        .iter()
        .take_while(|it| healthy.after(it) < lived);
    let is_here = |it: &Step| run.steps.iter().any(|own| own.text == it.text);
    in_time.into_iter().position(|it| !is_here(it))
}

fn notes(both: &Comparison, is_new: bool) -> Vec<String> {
    let (run, healthy) = (&both.run, &both.healthy);
    let mut notes = vec![format!(
        "compared are the programs that were started and the calls that failed in the first {} s, at most {MOST_STEPS} of \
         them, without numbers of processes, temporary names and ports that the kernel chose: {} steps here, {} in the \
         healthy run",
        SPAN.as_secs(),
        run.steps.len(),
        healthy.steps.len()
    )];
    if run.lost || healthy.lost {
        let text = "failed calls of one of the two were not recorded one by one: that a step is missing is not told";
        notes.push(text.to_owned());
    }
    if is_new && (healthy.lost || healthy.full) {
        let text = "not all steps of the healthy run are known: it may have had this one";
        notes.push(text.to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BootTime;
    use crate::starts::Run;

    const SECOND: u64 = 1_000_000_000;

    /// A run that begins at `start` and has a step each second.
    fn run(start: u64, steps: &str) -> Run {
        let steps = (1..).zip(steps.chars()).map(|(after, step)| Step {
            text: step.to_string(),
            id: RecordId(after),
            at: BootTime((start + after) * SECOND),
        });
        Run {
            steps: steps.collect(),
            ..Run::new(BootTime(start * SECOND))
        }
    }

    /// `after here healthy`, `-` for none; empty if the two do not part.
    fn fork(healthy: &str, here: &str, change: impl Fn(&mut Comparison)) -> String {
        let mut both = Comparison {
            kind: String::new(),
            run: run(1_000, here),
            healthy: run(100, healthy),
        };
        both.run.ended = Some(BootTime((1_001 + here.len() as u64) * SECOND));
        change(&mut both);
        let name = |step: Option<&Step>| step.map_or("-".to_owned(), |step| step.text.clone());
        Fork::of(&both).map_or(String::new(), |it| {
            [it.after, it.here, it.healthy].map(name).join("")
        })
    }

    #[test]
    fn the_first_difference_in_order() {
        for (healthy, here, told) in [
            ("abc", "abc", ""),
            // It ended before the healthy run had its next step.
            ("abcd", "ab", "b-c"),
            ("abcdef", "abc", "c-d"),
            ("abc", "abx", "bxc"),
            ("abc", "abcx", "cx-"),
            ("abc", "xyz", "-xa"),
            // The same steps in another order are no difference: threads start as they like.
            ("abcd", "acbd", ""),
            ("abcd", "acd", "a-b"),
            // What is missing before what is new comes first.
            ("abcd", "acxd", "a-b"),
            ("abcd", "abxd", "bxc"),
            ("", "x", "-x-"),
            ("a", "", ""),
        ] {
            let expected = match (healthy, here) {
                // Each step takes a second: a run of two ends 3 s after its start.
                ("abcd", "ab") | ("abcdef", "abc") => "",
                _ => told,
            };
            assert_eq!(fork(healthy, here, |_| {}), expected, "{healthy} {here}");
            let long = |both: &mut Comparison| both.run.ended = Some(BootTime(2_000 * SECOND));
            let told = if here.is_empty() { "--a" } else { told };
            assert_eq!(fork(healthy, here, long), told, "{healthy} {here}");
        }
    }

    #[test]
    fn nothing_is_missing_where_something_was_lost_or_the_run_goes_on() {
        let changes: [fn(&mut Comparison); 4] = [
            |both| both.run.lost = true,
            |both| both.healthy.lost = true,
            |both| both.run.full = true,
            |both| both.run.ended = None,
        ];
        for change in changes {
            assert_eq!(fork("abcd", "acd", change), "");
            // What is new is new all the same.
            assert_eq!(fork("abcd", "acxd", change), "cxd");
        }
    }
}
