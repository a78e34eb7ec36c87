//! The kube source against a scripted API server, which does what a real one will not do on demand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "../api/running.rs"]
#[expect(dead_code, reason = "the tests of the API need more of it")]
mod running;

mod daemon;
mod outages;
mod replay;
mod server;
mod stage;
mod watch;
