//! What the kube source asked and heard, under the names v1's documentation gives.

use super::families::{Families, number};
use crate::clock::WallOffset;
use crate::sources::kube::Counted;

pub(super) fn collect(families: &mut Families, counted: &Counted, wall: WallOffset) {
    let pods = counted.pods.map(number);
    for name in ["k8s_pods_watched_total", "blackbox_k8s_pods_total"] {
        families
            .gauge(name, "Pods of this node that the API server has told of.")
            .add_known(&[], pods);
    }
    families
        .counter(
            "blackbox_k8s_container_ends_total",
            "Ends of containers that the API server has told of.",
        )
        .add(&[], number(counted.ends));
    let mut requests = families.counter("k8s_api_requests_total", "Requests to the API server.");
    for (verb, count) in &counted.requests {
        requests.add(&[("verb", verb)], number(*count));
    }
    let mut times = families.summary(
        "k8s_api_request_duration_seconds",
        "Time until the API server began to answer.",
    );
    for (verb, took) in &counted.took {
        let count = counted.requests.get(verb).copied().unwrap_or(0);
        times.add_times(&[("verb", verb)], count, *took);
    }
    let mut events = families.counter(
        "k8s_pod_events_total",
        "Changes of pods of this node, by the API server's word for them.",
    );
    for (kind, count) in &counted.pod_changes {
        events.add(&[("type", kind)], number(*count));
    }
    families
        .counter(
            "blackbox_kube_events_total",
            "Events to be written on pods, by what became of them.",
        )
        .add(&[("result", "written")], number(counted.events_written))
        .add(&[("result", "failed")], number(counted.events_failed));
    let mut errors = families.counter(
        "k8s_api_errors_total",
        "Requests and watches that failed, by HTTP status or by what went wrong.",
    );
    for (code, count) in &counted.errors {
        errors.add(&[("code", code)], number(*count));
    }
    let mut changes = families.counter(
        "k8s_watch_events_total",
        "Changes that the API server has told of.",
    );
    for (what, count) in &counted.changes {
        changes.add(&[("resource", what)], number(*count));
    }
    families
        .counter(
            "k8s_watch_reconnections_total",
            "Watches that had ended in good order and were opened again.",
        )
        .add(&[], number(counted.reconnections));
    let last = counted.last_told.map(|at| wall.wall(at).as_second());
    families
        .gauge(
            "k8s_watch_last_event_timestamp",
            "When the API server last said something, seconds after 1970.",
        )
        .add_known(&[], last.map(|seconds| seconds as f64));
}
