//! One life of a machine: load, deaths, and at a random moment the end. What it said before is what it must still know.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::packed::Booted;
use super::super::protocol::{News, Order};
use crate::deaths::{Death, Truth};
use crate::timing::Stopwatch;

/// From one object of telemetry to the next.
const EVERY_MS: u64 = 10;
/// What may be lost: a second to the next sync, and what writing and syncing take.
pub(super) const MAY_LOSE: Duration = Duration::from_millis(1500);
/// Ways to die that take no time.
const DEATHS: [Death; 3] = [Death::Segv, Death::Abort, Death::Exit];

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// `uname -r`.
    pub(super) kernel: String,
    pub(super) boot: String,
    /// What the daemon had taken, by number, with the boot time in ns.
    pub(super) accepted: Vec<(u64, u64)>,
    /// Who had died, with the boot time in ns.
    pub(super) staged: Vec<(Truth, u64)>,
    /// When the power was cut, boot time ns; rather too early by what news take.
    pub(super) cut: u64,
    /// Seconds under load.
    pub(super) seconds: f32,
}

impl Life {
    fn note(&mut self, news: News) -> Option<u64> {
        match news {
            News::Accepted { counter, at } => {
                self.accepted.push((counter, at));
                Some(at)
            }
            News::Staged { truth, at } => {
                self.staged.push((truth, at));
                Some(at)
            }
            _ => None,
        }
    }

    /// Whether what happened at `at` may be lost.
    pub(super) fn may_lose(&self, at: u64) -> bool {
        self.cut.saturating_sub(at) <= MAY_LOSE.as_nanos() as u64
    }

    /// The processes whose deaths cannot have been lost.
    pub(super) fn told_for_sure(&self) -> Vec<u32> {
        let sure = self.staged.iter().filter(|(_, at)| !self.may_lose(*at));
        sure.map(|(truth, _)| truth.pid).collect()
    }
}

/// Loads the machine, lets processes die early and right before the end, and cuts the power.
///
/// # Errors
/// The machine fails before.
pub(super) fn live(booted: Booted) -> Result<Life> {
    let mut machine = booted.machine;
    let mut life = Life {
        kernel: booted.kernel,
        boot: booted.boot,
        ..Life::default()
    };
    let seconds = between(4.0, 12.0);
    // One is told before the end, one is still settling; of the last the disk may know nothing.
    let mut deaths = [
        between(0.5, 1.5),
        seconds - between(1.7, 3.4),
        seconds - between(0.1, 1.7),
    ];
    deaths.sort_by(f64::total_cmp);
    machine.order(&Order::Load { every_ms: EVERY_MS })?;
    let watch = Stopwatch::start();
    let mut stamps: Vec<(Stopwatch, u64)> = Vec::new();
    let mut staged = 0;
    while watch.elapsed().as_secs_f64() < seconds {
        if deaths
            .get(staged)
            .is_some_and(|due| watch.elapsed().as_secs_f64() >= *due)
        {
            let death = DEATHS[staged % DEATHS.len()];
            machine.order(&Order::Stage { death })?;
            staged += 1;
        }
        if let Some((heard, news)) = machine.hear_when(Duration::from_millis(2))?
            && let Some(at) = life.note(news)
        {
            stamps.push((heard, at));
        }
    }
    life.seconds = watch.elapsed().as_secs_f32();
    let (cut, rest) = machine.cut()?;
    for (heard, news) in rest {
        stamps.extend(life.note(news).map(|at| (heard, at)));
    }
    let at_cut = |(heard, at): &(Stopwatch, u64)| {
        let before = heard.elapsed().saturating_sub(cut.elapsed());
        at + before.as_nanos() as u64
    };
    life.cut = stamps
        .iter()
        .map(at_cut)
        .max()
        .context("nothing was accepted")?;
    Ok(life)
}

fn between(least: f64, most: f64) -> f64 {
    let random = RandomState::new().build_hasher().finish() >> 11;
    least + (most - least) * random as f64 / (1_u64 << 53) as f64
}
