//! Root tests: the built daemon and its kernel programs on the running kernel.
//!
//! Run by `cargo xtask test` where root and BPF are available; `xtask::stage` starts the daemon and stages deaths.
//! Every test has a daemon and cgroups of its own and asserts only about these: the machine may do what it likes.

mod lab;
#[path = "../kube/server/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests of the kube source need more of it"
)]
mod server;

mod attribution;
mod conservation;
mod deaths;
mod disk;
mod divergence;
mod faults;
mod filter;
mod governor;
mod last_calls;
mod last_words;
mod memory;
mod metrics;
mod namespaces;
mod pid_reuse;
mod pods;
mod privileges;
mod probes;
mod shutdown;
mod sidecars;
mod starts;
mod stops;
mod takeover;
mod throttle;
mod user;
