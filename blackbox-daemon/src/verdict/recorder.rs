//! How did the recorder's former life end? Its journal says when and that nobody had asked it to; the kernel's records, where
//! they reach over it, say who ended the daemon.

use std::time::Duration;

use super::{Cause, Grade, Scene, Verdict};
use crate::record::{Began, LifeEnd, RecordId};
use crate::words;

/// Characters of a panic that a headline has room for.
const PANIC: usize = 200;

/// Decides about an end of the recorder itself.
#[must_use]
pub fn explain(began: &Began, id: RecordId, scene: Option<&Scene<'_>>) -> Verdict {
    let mut verdict = match began.former {
        LifeEnd::NodeDown => node_down(began, id),
        LifeEnd::Died | LifeEnd::Stopped => died(began, id, scene),
    };
    let text = format!(
        "{} records of the former life were read from its journal{}",
        began.records,
        match (began.skipped, began.holes) {
            (0, 0) => String::new(),
            (skipped, holes) => format!(
                "; {skipped} had not been written for want of room, and {holes} pieces are missing"
            ),
        }
    );
    verdict.state(Grade::Proven, text, vec![id]);
    verdict.fact("recovered_records", began.records);
    verdict.fact("skipped_records", began.skipped);
    verdict.fact("missing_blocks", began.holes);
    if let Some(daemon) = began.daemon {
        verdict.fact("pid", daemon.tgid);
    }
    verdict
}

/// How long nothing was recorded, in words.
fn away(began: &Began) -> String {
    match u64::try_from(began.away) {
        Ok(nanos) => words::duration(Duration::from_nanos(nanos)),
        Err(_) => "an unknown time (the clock was set back)".to_owned(),
    }
}

fn died(began: &Began, id: RecordId, scene: Option<&Scene<'_>>) -> Verdict {
    let who = began.daemon.map_or("the recorder".to_owned(), |daemon| {
        format!("the recorder (blackbox-daemon, pid {})", daemon.tgid)
    });
    let away = away(began);
    let seen = scene.filter(|scene| scene.exit().is_some());
    let mut verdict = match seen.map(super::decide) {
        Some(death) => Verdict {
            headline: format!("{who} died: {}", death.headline),
            ..death
        },
        None => Verdict::new(
            Cause::DaemonCrash,
            Grade::Unknown,
            format!("{who} died, and nothing that was recorded says of what"),
        ),
    };
    let text =
        format!("nobody had asked it to stop; it wrote last {away} before recording began again");
    verdict.state(Grade::Proven, text, vec![id]);
    verdict
}

fn node_down(began: &Began, id: RecordId) -> Verdict {
    let Some(panic) = &began.panic else {
        let headline =
            "the node went down without a clean stop, and the kernel left no word why".to_owned();
        let mut verdict = Verdict::new(Cause::NodeDown, Grade::Unknown, headline);
        let text = format!(
            "the boot id changed, and the recorder had not been asked to stop; it wrote last {} before it began again: power, \
             a reset, a hang or a panic without pstore look the same from here",
            away(began)
        );
        verdict.state(Grade::Proven, text, vec![id]);
        return verdict;
    };
    let line = panic_line(panic);
    let headline = format!("the node went down by a kernel panic: {line}");
    let mut verdict = Verdict::new(Cause::NodeDown, Grade::Likely, headline);
    let text = format!(
        "pstore holds what the kernel said last: {}",
        words::printable(panic)
    );
    verdict.state(Grade::Proven, text, vec![id]);
    let text = format!(
        "the boot id changed, and the recorder had not been asked to stop; it wrote last {} before it began again",
        away(began)
    );
    verdict.state(Grade::Proven, text, vec![id]);
    verdict
}

/// The line of a kernel log that says most.
fn panic_line(log: &str) -> String {
    let says = |line: &&str| line.contains("Kernel panic") || line.contains("BUG:");
    let line = log.lines().find(says).or_else(|| log.lines().last());
    let line: String = line.unwrap_or_default().chars().take(PANIC).collect();
    words::printable(line.trim()).into_owned()
}
