//! Says what a `window.ring` holds of its last boot, as JSON: for tests that take it out of a machine whose power was cut.
//!
//! What must be there is told by the file itself: the writer pads to a page only after a sync that succeeded, so everything
//! before the last padding was durable.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::Context as _;
use blackbox_daemon::journal::layout::{self, PAGE, Section};
use blackbox_daemon::journal::scan::{Found, Scan, scan};
use blackbox_daemon::record::{Event, Record, RecordId};
use blackbox_daemon::window::read_piece;
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .context("usage: window-ring FILE")?;
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let scanned = scan(&bytes)?;
    let blocks = scanned.of_last_boot();
    // Nothing at all is an answer too.
    let last = blocks.last().map(|found| found.stamp);
    let synced = synced(blocks);
    let (records, broken) = records(&bytes, &scanned, blocks);
    let told = json!({
        "boot": last.map_or(String::new(), |last| format!("{:032x}", u128::from_be_bytes(last.boot))),
        "blocks": blocks.len(),
        "synced": synced,
        "synced_at": blocks[..synced].last().map(|found| found.stamp.at.0),
        "last_at": last.map(|last| last.at.0),
        "holes": Scan::holes(blocks),
        "synced_holes": Scan::holes(&blocks[..synced]),
        "records": records.len(),
        "missing_ids": missing(&records),
        "skipped": last.map(|last| last.skipped),
        "broken": broken,
        "steps_back_ms": steps_back_ms(&records),
        "telemetry": telemetry(&records),
    });
    serde_json::to_writer(std::io::stdout().lock(), &told)?;
    writeln!(std::io::stdout())?;
    Ok(())
}

/// How many of the blocks were synced for certain.
fn synced(blocks: &[Found]) -> usize {
    let padded = |pair: &[Found]| {
        let (end, start) = (pair[0].place.end, pair[1].place.start);
        let own = !layout::begins_life(pair[1].stamp.sequence);
        own && end < start && start == end.next_multiple_of(PAGE as usize)
    };
    blocks.windows(2).rposition(padded).map_or(0, |at| at + 1)
}

/// Everything that can be read, and how much cannot.
fn records(bytes: &[u8], scanned: &Scan, blocks: &[Found]) -> (BTreeMap<RecordId, Record>, u64) {
    let (mut all, mut broken) = (BTreeMap::new(), 0);
    for found in blocks {
        for section in found.sections(bytes, &scanned.head) {
            if let Section::Frames {
                first_id,
                count,
                bytes,
                ..
            } = section
            {
                let (records, unread) = read_piece(RecordId(first_id), count, bytes);
                all.extend(records);
                broken += unread;
            }
        }
    }
    (all, broken)
}

/// Ids between the first and the last that no record has.
fn missing(records: &BTreeMap<RecordId, Record>) -> u64 {
    let ends = records.keys().next().zip(records.keys().next_back());
    ends.map_or(0, |(first, last)| {
        last.0 - first.0 + 1 - records.len() as u64
    })
}

/// By class: the largest step back in time from one record to the next one by id. The beginning of a life is not compared: it is
/// told when the window of the one before was read, and only then what sources said meanwhile is taken.
fn steps_back_ms(records: &BTreeMap<RecordId, Record>) -> BTreeMap<&'static str, u64> {
    let mut last = BTreeMap::new();
    let mut steps = BTreeMap::new();
    let told = |record: &&Record| !matches!(record.event, Event::Began(_));
    for record in records.values().filter(told) {
        let class = record.event.class().name();
        if let Some(before) = last.insert(class, record.at) {
            let back = u64::try_from(before.since(record.at).as_millis()).unwrap_or(u64::MAX);
            let most = steps.entry(class).or_insert(0);
            *most = back.max(*most);
        }
    }
    steps
}

/// What sidecars submitted: the objects, as they are kept.
fn telemetry(records: &BTreeMap<RecordId, Record>) -> Vec<serde_json::Value> {
    let of = |record: &Record| match &record.event {
        Event::Telemetry(telemetry) => {
            Some(serde_json::from_str(&telemetry.data).unwrap_or_default())
        }
        _ => None,
    };
    records.values().filter_map(of).collect()
}
