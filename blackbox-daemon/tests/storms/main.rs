//! Root tests that want the whole machine, one after the other: a crowd of processes, floods, a recorder that stands still.
//!
//! Run by `cargo xtask test` after the other root tests. `TESTED_DAEMON=target/release/blackbox-daemon` tests that build instead:
//! figures of memory are promised of the release profile.

#[path = "../kernel/lab.rs"]
#[expect(dead_code, reason = "the other root tests need more of it")]
mod lab;
#[path = "../kube/server/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests of the kube source need more of it"
)]
mod server;

mod memory;
mod metrics;
mod node;
mod promise;
mod rate;
mod small;
mod soft;
mod storm;
