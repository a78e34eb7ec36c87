//! Requests of the REST API, counted where they are answered, and what sidecars submitted by them.

use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::Metrics;
use super::instruments::{OTHER, one_of};
use crate::clock;
use crate::record::Severity;

/// v1's runtimes; any other is `other`.
const RUNTIMES: [&str; 7] = ["jvm", "nodejs", "python", "dotnet", "go", "ruby", "custom"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Counts and times every request of a router: `router.layer(middleware::from_fn_with_state(metrics, observe))`.
/// The time ends when the answer's head is made; a stream may go on.
pub async fn observe(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = clock::boot_now();
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let took = clock::boot_now().since(started);
    metrics.api_request(endpoint.as_ref(), &method, response.status(), took);
    response
}

impl Metrics {
    /// Counts an answer of the API. `endpoint`: the route's template; `None`, no route: `other`.
    pub fn api_request(
        &self,
        endpoint: Option<&MatchedPath>,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        let all = &self.0.instruments;
        let endpoint = endpoint.map_or(OTHER, MatchedPath::as_str);
        let labels = [endpoint, one_of(&METHODS, method.as_str()), status.as_str()];
        for counter in [&all.api_requests, &all.http_requests] {
            counter.with_label_values(&labels).inc();
        }
        for seconds in [&all.api_seconds, &all.http_seconds] {
            let seconds = seconds.with_label_values(&labels[..2]);
            seconds.observe(took.as_secs_f64());
        }
        if status.is_client_error() || status.is_server_error() {
            all.http_errors.with_label_values(&labels).inc();
        }
    }

    /// Counts one accepted request with telemetry: of each object its runtime and its entries (keys of its data).
    pub fn telemetry<'a>(&self, objects: impl IntoIterator<Item = (&'a str, u64)>) {
        let all = &self.0.instruments;
        all.sidecar_requests.with_label_values::<&str>(&[]).inc();
        for (runtime, entries) in objects {
            let runtime = one_of(&RUNTIMES, runtime);
            all.received.with_label_values(&[runtime]).inc_by(entries);
        }
    }

    /// Counts an incident that was reported through the API.
    pub fn incident_reported(&self, severity: Severity) {
        let reported = &self.0.instruments.reported;
        reported.with_label_values(&[severity.name()]).inc();
    }
}
