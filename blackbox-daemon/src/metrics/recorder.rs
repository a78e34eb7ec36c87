//! What the recorder holds, counted and lost, as it published it within the last second.

use std::collections::BTreeMap;

use super::families::{Families, number};
use crate::record::{BootTime, Class, Health, LaneName, LossCause};
use crate::recorder::status::Status;
use crate::report::ledger::Ledger;
use crate::sources::feed::{BULK_BATCHES, DECISIVE_BATCHES};
use crate::window::LaneStats;

pub(super) fn collect(families: &mut Families, status: &Status, now: BootTime) {
    counts(families, status);
    window(families, status);
    buffer(families, status);
    queues(families, status);
    sources(families, &status.ledger);
    families
        .gauge(
            "blackbox_incidents_open",
            "Incidents that have not settled yet.",
        )
        .add(&[], status.open_incidents as f64);
    families
        .gauge(
            "blackbox_armed_containers",
            "Containers of which every system call is kept for the moment.",
        )
        .add(&[], status.armed as f64);
    families
        .counter(
            "blackbox_ends_meant_total",
            "Ends of containers whose pods were being deleted: no incidents.",
        )
        .add(&[], number(status.ends_meant));
    families
        .counter(
            "blackbox_reports_dropped_total",
            "Incidents without a report because too many waited for one.",
        )
        .add(&[], number(status.ledger.reports_dropped));
    families
        .gauge(
            "blackbox_recorder_status_age_seconds",
            "Time since the recorder published its status. It does each second, unless it hangs.",
        )
        .add(&[], now.since(status.at).as_secs_f64());
}

fn counts(families: &mut Families, status: &Status) {
    let ledger = &status.ledger;
    let recorded = |class: Class| number(ledger.recorded.get(&class).copied().unwrap_or(0));
    let mut family = families.counter(
        "blackbox_records_recorded_total",
        "Records that reached the window.",
    );
    for class in Class::ALL {
        let labels = [("class", class.name()), ("lane", lane_name(class.lane()))];
        family.add(&labels, recorded(class));
    }
    let mut family = families.counter(
        "blackbox_records_attempted_total",
        "Records made or tried: the kernel's own count as of its last tally, else what the source offered.",
    );
    for row in ledger.rows() {
        family.add(&[("class", row.class.name())], number(row.attempted));
    }
    let mut family = families.counter(
        "blackbox_records_lost_total",
        "Records that were made and are not in the window, by cause.",
    );
    for ((class, cause), count) in lost(ledger) {
        let labels = [("class", class.name()), ("cause", cause.name())];
        family.add(&labels, number(count));
    }
    let mut family = families.counter(
        "blackbox_records_evicted_total",
        "Records that left the window before their time because their lane was full.",
    );
    for class in Class::ALL {
        let labels = [("class", class.name()), ("lane", lane_name(class.lane()))];
        let evicted = lane(status, class.lane()).evicted.of(class);
        family.add(&labels, number(evicted));
    }
    let mut family = families.counter(
        "blackbox_telemetry_entries_total",
        "Samples of the system and telemetry objects of sidecars that were recorded.",
    );
    let system = recorded(Class::NodeSample) + recorded(Class::CgroupSample);
    family.add(&[("source", "system")], system);
    family.add(&[("source", "sidecar")], recorded(Class::Telemetry));
    let all: f64 = Class::ALL.into_iter().map(recorded).sum();
    let evicted = status.window.decisive.evicted.total() + status.window.bulk.evicted.total();
    families
        .counter(
            "blackbox_buffer_operations_total",
            "Records appended to the window, and evicted before their time.",
        )
        .add(&[("operation", "append")], all)
        .add(&[("operation", "evict")], number(evicted));
}

/// Losses by class and cause. Those that can happen to any recorder are there from the start with 0: `increase()`
/// does not see a counter's first value.
fn lost(ledger: &Ledger) -> BTreeMap<(Class, LossCause), u64> {
    let mut lost = ledger.lost.clone();
    lost.entry((Class::Recorder, LossCause::Malformed))
        .or_default();
    for class in Class::ALL {
        for cause in [LossCause::FeedFull, LossCause::Share] {
            lost.entry((class, cause)).or_default();
        }
    }
    let rows = ledger.tally.iter().flat_map(|counted| &counted.kernel.rows);
    for row in rows {
        // The kernel's counts are told twice, as a tally and as gaps; neither is ever too large.
        for (cause, count) in [
            (LossCause::Throttled, row.throttled),
            (LossCause::RingFull, row.ring_full),
        ] {
            let known = lost.entry((row.class, cause)).or_default();
            *known = count.max(*known);
        }
    }
    lost
}

fn window(families: &mut Families, status: &Status) {
    type Read = fn(&LaneStats) -> Option<f64>;
    let gauges: [(&str, &str, Read); 4] = [
        ("blackbox_window_bytes", "Memory held.", |lane| {
            Some(lane.bytes as f64)
        }),
        ("blackbox_window_records", "Records held.", |lane| {
            Some(number(lane.records))
        }),
        ("blackbox_window_segments", "Segments held.", |lane| {
            Some(lane.segments as f64)
        }),
        (
            "blackbox_window_span_seconds",
            "Time between the oldest and the newest record held.",
            |lane| Some(lane.newest?.since(lane.oldest?).as_secs_f64()),
        ),
    ];
    for (name, help, read) in gauges {
        let mut family = families.gauge(name, help);
        for name in LANES {
            family.add_known(&[("lane", lane_name(name))], read(lane(status, name)));
        }
    }
    let mut family = families.gauge("blackbox_window_capacity_bytes", "Most memory it may hold.");
    for name in LANES {
        family.add(&[("lane", lane_name(name))], capacity(status, name));
    }
}

/// The window under the names v1 and its documentation gave its ring.
fn buffer(families: &mut Families, status: &Status) {
    let of = |read: fn(&LaneStats) -> f64| LANES.map(|name| read(lane(status, name)));
    let bytes: f64 = of(|lane| lane.bytes as f64).iter().sum();
    let records: f64 = of(|lane| number(lane.records)).iter().sum();
    let fullest = LANES
        .map(|name| lane(status, name).bytes as f64 / capacity(status, name).max(1.0))
        .into_iter()
        .fold(0.0, f64::max);
    for (name, help, value) in [
        (
            "blackbox_buffer_size_bytes",
            "Memory the window holds.",
            bytes,
        ),
        (
            "blackbox_buffer_memory_bytes",
            "Same as blackbox_buffer_size_bytes.",
            bytes,
        ),
        (
            "blackbox_buffer_entries_total",
            "Records the window holds.",
            records,
        ),
        (
            "blackbox_buffer_utilization_percent",
            "How full the fuller lane of the window is, 0-100.",
            100.0 * fullest,
        ),
    ] {
        families.gauge(name, help).add(&[], value);
    }
}

fn queues(families: &mut Families, status: &Status) {
    families
        .gauge(
            "blackbox_queue_depth",
            "Batches that wait for the recorder.",
        )
        .add(&[("queue", "decisive")], status.decisive_queued as f64)
        .add(&[("queue", "bulk")], status.bulk_queued as f64);
    families
        .gauge(
            "blackbox_queue_capacity",
            "Batches that may wait for the recorder.",
        )
        .add(&[("queue", "decisive")], DECISIVE_BATCHES as f64)
        .add(&[("queue", "bulk")], BULK_BATCHES as f64);
}

fn sources(families: &mut Families, ledger: &Ledger) {
    let mut family = families.gauge(
        "blackbox_source_state",
        "1 for the state a source is in, 0 for the others.",
    );
    for (source, health) in &ledger.sources {
        let current = match health {
            Health::Ok => "ok",
            Health::Degraded(_) => "degraded",
            Health::Disabled(_) => "disabled",
            Health::Failed(_) => "failed",
        };
        for state in ["ok", "degraded", "disabled", "failed"] {
            let labels = [("source", source.name()), ("state", state)];
            family.add(&labels, f64::from(u8::from(state == current)));
        }
    }
}

const LANES: [LaneName; 2] = [LaneName::Decisive, LaneName::Bulk];

fn lane_name(lane: LaneName) -> &'static str {
    match lane {
        LaneName::Decisive => "decisive",
        LaneName::Bulk => "bulk",
    }
}

fn lane(status: &Status, name: LaneName) -> &LaneStats {
    match name {
        LaneName::Decisive => &status.window.decisive,
        LaneName::Bulk => &status.window.bulk,
    }
}

fn capacity(status: &Status, name: LaneName) -> f64 {
    let bytes = match name {
        LaneName::Decisive => status.storage.decisive_bytes,
        LaneName::Bulk => status.storage.bulk_bytes,
    };
    bytes as f64
}
