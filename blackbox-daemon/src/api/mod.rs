//! The REST API: sidecars submit, people and machines read.

pub mod auth;
pub mod error;

pub use error::{ApiError, Code};
