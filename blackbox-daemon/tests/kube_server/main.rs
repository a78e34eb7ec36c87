//! The daemon with a real kube-apiserver (1.20, made by `cargo xtask kube up`): with the rights it ships and no others,
//! told what kubelets tell.
//!
//! Run by `cargo xtask test kube`. Each test has a cluster of its own on loopback; no kubelet and no controller runs in
//! it, so that nothing happens but what the test does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "../api/running.rs"]
#[expect(dead_code, reason = "the tests of the API need more of it")]
mod running;

mod access;
mod lives;
mod pods;
mod stage;
mod walks;

mod manifest;
mod outages;
mod rights;
mod told;
mod written;
