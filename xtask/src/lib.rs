//! BlackBox's development commands, one file each, and the stage on which deaths are played.
//!
//! In reading order: what every command uses, the commands, then the stage (also used by the daemon's root tests).

mod cargo;
mod exec;
mod output;
pub mod timing;

pub mod prometheus;
pub mod renderers;
pub mod runtimes;
pub mod schemathesis;
pub mod setup;
mod test_tools;
mod toolchain;
mod tools;

pub mod bench;
pub mod build_ebpf;
pub mod check;
mod deny;
mod fuzz;
pub mod image;
pub mod kube;
pub mod manifests;
mod miri;
pub mod test;

pub mod deaths;
pub mod demo;
pub mod stage;
pub mod vm;
pub mod zoo;
