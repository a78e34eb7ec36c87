//! The REST API: sidecars submit, people and machines read.

pub mod answer;
pub mod auth;
pub mod body;
pub mod error;
pub mod limits;
pub mod server;
pub mod tls;

pub use error::{ApiError, Code};
