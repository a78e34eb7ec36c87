//! The metrics as Prometheus sees them: a real recorder, reporter and destinations, scraped over HTTP.
//!
//! Needs Prometheus and promtool: `cargo xtask setup` unpacks them. Without them the tests that use them fail.

mod dashboard;
mod exposition;
mod promql;
mod promtool;
mod samples;
mod scrapes;
mod server;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod v1;
