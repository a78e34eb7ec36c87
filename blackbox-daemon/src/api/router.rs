//! The routes: which path needs which scope, counts against which limit, and what every request passes.
//!
//! ```text
//!  answer (ids, errors as JSON) ─► CORS ─► counts ─► time-out ─┬─► health, description: open to everybody
//!                                                             └─► authenticate ─► scope, rate limit ─► handler
//! ```
//!
//! As in v1, who has no key learns nothing: an unknown path and a wrong method answer 401 before 404 and 405.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::answering;
use super::auth::{Authorizer, Caller, Scope, authenticate, require};
use super::limits::{Class, RateLimits, Rates};
use super::{Api, ApiError, Code, Config, exports, openapi, reads, status, submit};
use crate::clock::{self, WallOffset};
use crate::metrics::observe;

/// What stands before a group of routes.
#[derive(Clone)]
struct Gate {
    scope: Scope,
    class: Class,
    limits: Arc<RateLimits>,
}

/// Every route, ready to be served.
pub fn router(api: Api, config: &Config, authorizer: Authorizer) -> Router {
    let (metrics, timeout) = (api.metrics.clone(), config.timeout);
    let limits = Arc::new(RateLimits::new(Rates {
        telemetry: config.telemetry_per_minute,
        ..Rates::default()
    }));
    let gated = |routes: OpenApiRouter<Api>, scope, class| {
        let limits = Arc::clone(&limits);
        let gate = Gate {
            scope,
            class,
            limits,
        };
        routes.route_layer(from_fn_with_state(gate, pass))
    };
    let protected = OpenApiRouter::new()
        .merge(gated(
            submit::telemetry::router(),
            Scope::Telemetry,
            Class::Telemetry,
        ))
        .merge(gated(
            submit::incident::router(),
            Scope::Telemetry,
            Class::Incident,
        ))
        .merge(gated(exports(), Scope::Read, Class::Export))
        .merge(gated(
            reads().merge(status::router()),
            Scope::Read,
            Class::Other,
        ));
    let (protected, mut description) = protected.split_for_parts();
    let protected = protected
        .fallback(nothing_here)
        .layer(from_fn_with_state(authorizer, authenticate));
    let (open, described) = OpenApiRouter::new()
        .routes(routes!(status::health))
        .split_for_parts();
    description.merge(described);
    let mut router = protected.merge(open).with_state(api);
    if config.swagger {
        router = router.merge(openapi::pages(&openapi::complete(description)));
    }
    let router = router
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            timeout,
        ))
        .layer(from_fn_with_state(metrics, observe))
        .layer(cors(&config.cors_origins));
    answering(router)
}

/// Scope first, then the caller's rate: what is forbidden costs nobody anything.
async fn pass(
    State(gate): State<Gate>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    require(&caller, gate.scope)?;
    let now = clock::boot_now();
    let decision = gate.limits.take(&caller.name, gate.class, now);
    let mut response = match decision.allowed {
        true => next.run(request).await,
        false => decision.refusal().into_response(),
    };
    decision.put(response.headers_mut(), WallOffset::now().wall(now));
    Ok(response)
}

async fn nothing_here() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "no such path; GET /swagger.json lists them, where it is enabled",
    )
}

/// Browsers may call from `origins`; keys are sent in a header of their own, never as cookies.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = match origins.iter().any(|origin| origin.trim() == "*") {
        true => AllowOrigin::any(),
        false => {
            let values = origins
                .iter()
                .map(|origin| HeaderValue::from_str(origin.trim()));
            AllowOrigin::list(values.filter_map(Result::ok))
        }
    };
    let exposed = [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-request-id",
    ];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT])
        .expose_headers(exposed.map(HeaderName::from_static))
        .max_age(Duration::from_secs(3600))
}
