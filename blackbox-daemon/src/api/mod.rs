//! The REST API: sidecars submit, people and machines read.
//!
//! Reads requests, hands what sidecars say to the sidecar source, and answers from the recorder's views, its status
//! and the reports on disk. Nothing here owns records, and nothing the recorder does waits for it.

pub mod answer;
pub mod auth;
pub mod body;
pub mod error;
mod export;
mod json;
pub mod limits;
mod moment;
pub mod openapi;
mod query;
mod reports;
pub mod router;
mod selection;
pub mod server;
pub mod status;
pub mod stream;
pub mod submit;
pub mod tls;
pub mod views;
mod window;

use std::net::IpAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use utoipa_axum::router::OpenApiRouter;

use self::body::Bodies;
use self::stream::Live;
use self::views::Views;
use crate::destinations::{Archive, Destinations};
use crate::durability::Durability;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::privileges::State;
use crate::record::BootTime;
use crate::recorder::status::Handle;
use crate::sources::sidecar::Sidecars;
pub use error::{ApiError, Code, ErrorBody};

/// How the API is served.
#[derive(Debug)]
pub struct Config {
    /// `None`: every address.
    pub address: Option<IpAddr>,
    pub port: u16,
    /// Largest body, bytes.
    pub max_body: u64,
    /// Longest time from a request's head to its answer.
    pub timeout: Duration,
    pub telemetry_per_minute: u32,
    /// Origins browsers may call from; `*` for all.
    pub cors_origins: Vec<String>,
    /// Serve the description and its browser page.
    pub swagger: bool,
    pub auth: auth::Config,
    /// Certificate and key files, PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// What the handlers work with. Clones share it, and are cheap: each request makes several.
#[derive(Clone, Debug)]
pub struct Api(Arc<Parts>);

impl Api {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an [`Api`] is made of.
#[derive(Debug)]
pub struct Parts {
    pub recorder: Handle,
    pub sidecars: Sidecars,
    pub destinations: Destinations,
    /// How what is kept on disk fares.
    pub durability: Durability,
    pub metrics: Metrics,
    /// The reports on disk. `None`: no destination is a directory.
    pub archive: Option<Archive>,
    /// Who reads the window, a few at a time.
    pub views: Views,
    /// What happens, as it happens.
    pub live: Live,
    /// Bounds of a body, and the room for all.
    pub body: Bodies,
    /// When the daemon started.
    pub started: BootTime,
    /// The window the user asked for.
    pub window: Duration,
    /// Whether metrics are served.
    pub metrics_served: bool,
    /// What the daemon has given up. `None`: nothing is known of that.
    pub privileges: Option<State>,
    /// How the daemon stands to its soft limit of memory. `None`: nothing is known of that.
    pub memory: Option<Memory>,
}

/// What is read, without scopes and limits. The export, which is dear, is apart.
pub fn reads() -> OpenApiRouter<Api> {
    reports::router()
        .merge(window::router())
        .merge(stream::router())
}

/// The export, without scope and limit.
pub fn exports() -> OpenApiRouter<Api> {
    export::router()
}
