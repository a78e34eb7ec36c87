//! `GET /api/v1/health` and `GET /api/v1/buffer/status`: how the recorder fares, from its own status.
//!
//! Health is open to everybody, so it names states and tells no secrets: no paths, no addresses.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::clock::{self, WallOffset};
use crate::record::{BootTime, Health, SourceName};
use crate::recorder::status::Status;

/// A recorder that has published nothing for so long does not record.
const SILENT: Duration = Duration::from_secs(5);

/// The component that says how what is kept on disk fares.
const DURABILITY: &str = "durability";

/// The buffer's status; health is open to everybody and apart.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(buffer))
}

/// How a part fares, in v1's words. In order: the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fitness {
    Disabled,
    Healthy,
    /// Works, less well than it could.
    Degraded,
    Unhealthy,
}

impl Fitness {
    fn of(health: Option<&Health>) -> Self {
        match health {
            Some(Health::Ok) => Self::Healthy,
            Some(Health::Disabled(_)) => Self::Disabled,
            Some(Health::Degraded(_)) => Self::Degraded,
            // A source that has said nothing yet has just been started.
            Some(Health::Failed(_)) | None => Self::Unhealthy,
        }
    }
}

/// How the daemon fares.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthAnswer {
    /// `unhealthy` (with status 503): nothing is being recorded. `degraded`: something is, and a part is down.
    status: Fitness,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    #[schema(example = "blackbox-daemon")]
    service: &'static str,
    version: &'static str,
    /// As Go writes a duration.
    #[schema(example = "1h2m3s")]
    uptime: String,
    uptime_seconds: u64,
    /// v1's ring_buffer, system_collector, pod_watcher and metrics_collector; and kernel_events, destinations, durability, privileges
    /// (degraded: something could not be given up, or the filter of system calls denied one; disabled: no filter is wanted),
    /// memory (degraded: above the soft limit, bulk records are shed and sidecars asked to wait).
    components: BTreeMap<&'static str, Fitness>,
    /// Whether what is kept on disk is kept as it should be. `degraded` is told while the daemon goes on recording.
    durability: Fitness,
    /// The parts that are degraded, and why: `reports`, `window`.
    durability_degraded: BTreeMap<String, String>,
    /// Records in the window.
    buffer_entries: u64,
    /// Share of the window's memory in use, 0 to 1.
    buffer_utilization: f64,
}

/// How the daemon fares.
///
/// Needs no key. 503 when nothing is being recorded.
#[utoipa::path(
    get, path = "/api/v1/health", tag = "operations",
    responses(
        (status = 200, description = "Recording", body = HealthAnswer),
        (status = 503, description = "Not recording", body = HealthAnswer),
    )
)]
pub async fn health(State(api): State<Api>) -> (StatusCode, Json<HealthAnswer>) {
    let (now, status) = (clock::boot_now(), api.recorder.status());
    let components = components(&api, &status, now);
    let overall = overall(&components);
    let degraded = api.durability.degraded().into_iter();
    let degraded = degraded.map(|part| (part.part, part.why)).collect();
    let code = match overall {
        Fitness::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let uptime = now.since(api.started);
    let answer = HealthAnswer {
        status: overall,
        timestamp: WallOffset::now().wall(now),
        service: "blackbox-daemon",
        version: env!("CARGO_PKG_VERSION"),
        uptime: go_duration(uptime),
        uptime_seconds: uptime.as_secs(),
        components,
        durability: durability(&api),
        durability_degraded: degraded,
        buffer_entries: status.window.decisive.records + status.window.bulk.records,
        buffer_utilization: utilization(&status),
    };
    (code, Json(answer))
}

fn components(api: &Api, status: &Status, now: BootTime) -> BTreeMap<&'static str, Fitness> {
    let source = |name| Fitness::of(status.ledger.sources.get(&name));
    let silent = now.since(status.at) > SILENT;
    let troubled = api
        .destinations
        .states()
        .iter()
        .any(|state| state.last_error.is_some());
    let sampling = source(SourceName::Procfs).max(source(SourceName::Cgroup));
    let privileges = api.privileges.as_ref().map(|state| state.health());
    let privileges = privileges.map(|health| ("privileges", Fitness::of(Some(&health))));
    let parts = [
        (
            "ring_buffer",
            if silent {
                Fitness::Unhealthy
            } else {
                Fitness::Healthy
            },
        ),
        ("kernel_events", source(SourceName::Ebpf)),
        ("system_collector", sampling),
        ("pod_watcher", source(SourceName::Kube)),
        (
            "metrics_collector",
            if api.metrics_served {
                Fitness::Healthy
            } else {
                Fitness::Disabled
            },
        ),
        (
            "destinations",
            if troubled {
                Fitness::Degraded
            } else {
                Fitness::Healthy
            },
        ),
        (DURABILITY, durability(api)),
    ];
    let memory = api.memory.as_ref().map(|memory| match memory.is_short() {
        true => ("memory", Fitness::Degraded),
        false => ("memory", Fitness::Healthy),
    });
    parts.into_iter().chain(privileges).chain(memory).collect()
}

fn durability(api: &Api) -> Fitness {
    match api.durability.degraded().is_empty() {
        true => Fitness::Healthy,
        false => Fitness::Degraded,
    }
}

/// Recording happens while the recorder lives and the kernel or the samplers feed it.
fn overall(components: &BTreeMap<&'static str, Fitness>) -> Fitness {
    let of = |name| components.get(name).copied().unwrap_or(Fitness::Unhealthy);
    let feeds = |name| matches!(of(name), Fitness::Healthy | Fitness::Degraded);
    let recording = of("ring_buffer") == Fitness::Healthy
        && (feeds("kernel_events") || feeds("system_collector"));
    match components.values().max() {
        _ if !recording => Fitness::Unhealthy,
        Some(Fitness::Degraded | Fitness::Unhealthy) => Fitness::Degraded,
        _ => Fitness::Healthy,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
fn utilization(status: &Status) -> f64 {
    let used = status.window.decisive.bytes + status.window.bulk.bytes;
    let capacity = status.storage.decisive_bytes + status.storage.bulk_bytes;
    used as f64 / capacity.max(1) as f64
}

/// As Go's `time.Duration` prints whole seconds.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// What the window holds.
#[derive(Debug, Serialize, ToSchema)]
pub struct BufferStatus {
    /// How far back the window reaches by configuration, nanoseconds (as Go writes a duration in JSON).
    window_size: u64,
    /// Records held.
    current_entries: u64,
    /// Records that would fit at their present mean size: the window is bounded in bytes. `null` while it is empty.
    #[schema(required = true)]
    max_entries: Option<u64>,
    /// Share of the window's memory in use, 0 to 100.
    utilization_percent: f64,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    oldest_entry: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    newest_entry: Option<Timestamp>,
    memory_usage_bytes: u64,
    /// Most memory the window may take.
    memory_limit_bytes: u64,
    /// Segments let go since the start, for their age or because a lane was full.
    cleanup_runs: u64,
    /// v1's time of the last cleaning. Ours happens with each record; always `null`.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_cleanup: Option<Timestamp>,
    /// Records evicted by a byte cap before their time.
    evicted_entries: u64,
}

/// What the window holds.
#[utoipa::path(
    get, operation_id = "buffer_status", path = "/api/v1/buffer/status", tag = "operations",
    responses((status = 200, description = "What the window holds", body = BufferStatus)),
    security(("bearerAuth" = []))
)]
pub async fn buffer(State(api): State<Api>) -> Json<BufferStatus> {
    let status = api.recorder.status();
    let wall = WallOffset::now();
    let lanes = [status.window.decisive, status.window.bulk];
    let sum = |of: &dyn Fn(&crate::window::LaneStats) -> u64| lanes.iter().map(of).sum::<u64>();
    let records = sum(&|lane| lane.records);
    let bytes = sum(&|lane| lane.bytes as u64);
    let limit = (status.storage.decisive_bytes + status.storage.bulk_bytes) as u64;
    let oldest = lanes.iter().filter_map(|lane| lane.oldest).min();
    let newest = lanes.iter().filter_map(|lane| lane.newest).max();
    Json(BufferStatus {
        window_size: u64::try_from(api.window.as_nanos()).unwrap_or(u64::MAX),
        current_entries: records,
        max_entries: (records * limit).checked_div(bytes),
        utilization_percent: utilization(&status) * 100.0,
        oldest_entry: oldest.map(|at| wall.wall(at)),
        newest_entry: newest.map(|at| wall.wall(at)),
        memory_usage_bytes: bytes,
        memory_limit_bytes: limit,
        cleanup_runs: sum(&|lane| lane.sealed.saturating_sub(lane.segments as u64)),
        last_cleanup: None,
        evicted_entries: sum(&|lane| lane.evicted.total()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_decides_between_degraded_and_unhealthy() {
        use Fitness::{Degraded, Disabled, Healthy, Unhealthy};
        for (ring, kernel, system, watcher, expected) in [
            (Healthy, Healthy, Healthy, Disabled, Healthy),
            (Healthy, Unhealthy, Healthy, Disabled, Degraded),
            (Healthy, Healthy, Unhealthy, Disabled, Degraded),
            (Healthy, Healthy, Healthy, Unhealthy, Degraded),
            (Healthy, Unhealthy, Unhealthy, Disabled, Unhealthy),
            (Healthy, Disabled, Unhealthy, Disabled, Unhealthy),
            (Unhealthy, Healthy, Healthy, Disabled, Unhealthy),
            (Healthy, Disabled, Degraded, Disabled, Degraded),
        ] {
            let components = BTreeMap::from([
                ("ring_buffer", ring),
                ("kernel_events", kernel),
                ("system_collector", system),
                ("pod_watcher", watcher),
            ]);
            assert_eq!(overall(&components), expected, "{components:?}");
        }
    }

    #[test]
    fn durations_as_go_prints_them() {
        for (seconds, text) in [
            (0, "0s"),
            (61, "1m1s"),
            (3600, "1h0m0s"),
            (90_061, "25h1m1s"),
        ] {
            assert_eq!(go_duration(Duration::from_secs(seconds)), text);
        }
    }
}
