//! The kube source against a scripted API server, which does what a real one will not do on demand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "../api/running.rs"]
#[expect(dead_code, reason = "the tests of the API need more of it")]
mod running;

#[path = "../abuse/process.rs"]
#[expect(dead_code, reason = "the tests of abuse need more of it")]
mod process;

/// Of tests that measure time or memory, one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

mod bounds;
mod daemon;
mod memory;
mod order;
mod outages;
mod refusals;
mod replay;
mod rights;
mod server;
mod stage;
mod watch;
