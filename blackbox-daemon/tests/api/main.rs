//! The built daemon's REST API and metrics, asked over TCP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod access;
mod ends;
mod metrics;
mod reads;
mod running;
mod v1;
