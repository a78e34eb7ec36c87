//! Beginning again: the recorder that died comes to be once more, from its last checkpoint and the records after it.
//!
//! Pure, like the recorder itself: the same records in the same order lead to the same incidents. What was told is not told
//! again; what was open goes on, and what was closed without its report being out is handed on as a case.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint::Checkpoint;
use super::core::{Core, Unsettled};
use crate::clock::WallOffset;
use crate::incident::Incident;
use crate::journal::Recovered;
use crate::record::{
    Began, BootTime, CgroupId, Event, LifeEnd, ProcessKey, Record, RecordId, Subject,
};
use crate::report::case::Case;
use crate::report::ledger::Ledger;

/// What a former life left, and how it ended.
#[derive(Debug)]
pub struct Former {
    pub recovered: Recovered,
    pub end: LifeEnd,
    /// The kernel programs went on recording, for this life to read.
    pub kernel_kept: bool,
    /// What pstore has of the node's end.
    pub panic: Option<String>,
}

/// What came of it.
#[derive(Debug)]
struct Resumed {
    /// Incidents of the former life whose reports were not out.
    cases: Vec<Case>,
    /// The daemon of that life.
    daemon: Option<ProcessKey>,
    records: u64,
    /// Its counts are known: there was a checkpoint.
    counted: bool,
}

impl Core {
    /// Takes in what a former life of this boot left, and goes on from there at `now`. `cgroups`: those that exist.
    pub fn resume(
        &mut self,
        former: &Former,
        cgroups: impl IntoIterator<Item = (CgroupId, String)>,
        (now, wall): (BootTime, WallOffset),
    ) -> Vec<Case> {
        self.untold = Some(VecDeque::new());
        self.began = now;
        let resumed = self.replay(&former.recovered);
        self.identities.reconcile(cgroups, now);
        // What it said of sources is over, and its counts too, unless the kernel goes on counting.
        self.ledger = match former.kernel_kept {
            true => Ledger {
                sources: BTreeMap::new(),
                ..std::mem::take(&mut self.ledger)
            },
            false => Ledger::default(),
        };
        self.unsettled = former.kernel_kept.then_some(match resumed.counted {
            true => Unsettled::Lost,
            false => Unsettled::Before,
        });
        self.window.set_taken(true);
        self.begin(former, &resumed, (now, wall));
        resumed.cases
    }

    /// Takes in what a former boot left, and closes everything: that boot is over. This core is of no use afterwards.
    #[must_use]
    pub fn autopsy(mut self, former: &Former, now_wall: i64) -> Vec<Case> {
        let recovered = &former.recovered;
        self.began = recovered.at;
        let mut resumed = self.replay(recovered);
        let end = (recovered.at, recovered.wall);
        if former.end != LifeEnd::Stopped {
            let away = now_wall - wall_nanos(recovered.at, recovered.wall);
            let began = self.began(former, &resumed, away);
            self.take(&began.at(recovered.at), end.0, end.1);
        }
        resumed.cases.extend(self.turn(end.0, end.1, true));
        resumed.cases
    }

    /// Takes the records as they were taken the first time.
    fn replay(&mut self, recovered: &Recovered) -> Resumed {
        self.told.clone_from(&recovered.told);
        let checkpoint = recovered.checkpoint.as_deref().and_then(Checkpoint::decode);
        let counted = checkpoint.is_some();
        let (mut known, mut daemon, mut untold) = (0, None, Vec::new());
        if let Some(checkpoint) = checkpoint {
            (known, daemon) = (checkpoint.last_id, checkpoint.daemon);
            self.identities = checkpoint.identities;
            self.incidents = checkpoint.incidents.configured(self.config.incidents);
            self.ends = checkpoint.ends;
            self.starts = checkpoint.starts;
            untold.extend(checkpoint.untold);
            self.ledger = checkpoint.ledger;
        }
        let mut cases = Vec::new();
        for batch in &recovered.batches {
            for (id, record) in &batch.records {
                self.window.resume_at(*id);
                if *id > RecordId(known) {
                    if let Event::Gap(gap) = &record.event {
                        let lost = self.ledger.lost.entry((gap.class, gap.cause));
                        *lost.or_default() += gap.count;
                    }
                    self.take(record, batch.at, batch.wall);
                } else {
                    // The checkpoint knows of it; only its executable is new to it.
                    self.keep(record, batch.at);
                }
            }
            if batch.records.last().is_some_and(|(id, _)| id.0 > known) {
                cases.extend(self.turn(batch.at, batch.wall, false));
            }
        }
        untold.retain(|incident: &Incident| !self.told.contains(&incident.id()));
        if let Some(kept) = &mut self.untold {
            kept.extend(untold.iter().cloned());
        }
        let end = (recovered.at, recovered.wall);
        let untold = untold.into_iter().map(|it| self.case(it, end.0, end.1));
        cases.extend(untold.collect::<Vec<_>>());
        cases.sort_by_key(|case| case.incident.opened);
        Resumed {
            cases,
            daemon,
            records: recovered.records(),
            counted,
        }
    }

    fn keep(&mut self, record: &Record, now: BootTime) {
        if matches!(record.event, Event::Exec(_)) {
            self.identities.observe(record);
        }
        // One that is shed now was kept then, in a larger window.
        self.window.append(record, now);
    }

    fn begin(&mut self, former: &Former, resumed: &Resumed, (now, wall): (BootTime, WallOffset)) {
        let away = now.since(former.recovered.at).as_nanos();
        let away = i64::try_from(away).unwrap_or(i64::MAX);
        let began = self.began(former, resumed, away);
        self.take(&began.at(now), now, wall);
    }

    fn began(&self, former: &Former, resumed: &Resumed, away: i64) -> Began {
        Began {
            former: former.end,
            daemon: resumed.daemon,
            last: former.recovered.at,
            away,
            records: resumed.records,
            skipped: former.recovered.skipped,
            holes: former.recovered.holes,
            kernel_kept: former.kernel_kept,
            panic: former.panic.clone(),
        }
    }
}

impl Began {
    fn at(self, at: BootTime) -> Record {
        Record {
            at,
            subject: Subject::Node,
            event: Event::Began(Box::new(self)),
        }
    }
}

fn wall_nanos(at: BootTime, wall: WallOffset) -> i64 {
    i64::try_from(at.0)
        .unwrap_or(i64::MAX)
        .saturating_add(wall.nanos())
}
