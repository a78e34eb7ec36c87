//! The REST API: sidecars submit, people and machines read.
//!
//! Reads requests, hands what sidecars say to the sidecar source, and answers from the recorder's views, its status
//! and the reports on disk. Nothing here owns records, and nothing the recorder does waits for it.

pub mod answer;
pub mod auth;
pub mod body;
pub mod error;
mod export;
pub mod limits;
mod query;
mod reports;
mod selection;
pub mod server;
pub mod stream;
pub mod tls;
pub mod views;
mod window;

use utoipa_axum::router::OpenApiRouter;

use self::stream::Live;
use self::views::Views;
use crate::destinations::Archive;
use crate::recorder::status::Handle;
use crate::sources::sidecar::Sidecars;
pub use error::{ApiError, Code, ErrorBody};

/// What the handlers work with. Clones share it.
#[derive(Clone, Debug)]
pub struct Api {
    pub recorder: Handle,
    pub sidecars: Sidecars,
    /// The reports on disk. `None`: no destination is a directory.
    pub archive: Option<Archive>,
    /// Who reads the window, a few at a time.
    pub views: Views,
    /// What happens, as it happens.
    pub live: Live,
}

/// Everything that is read, without scopes and limits.
pub fn reads() -> OpenApiRouter<Api> {
    reports::router()
        .merge(window::router())
        .merge(export::router())
        .merge(stream::router())
}
