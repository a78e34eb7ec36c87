//! From records to reports, without a clock: what was fed to the recorder's core decides every byte of the report.

mod cluster;
mod completeness;
mod deaths;
mod diagnosis;
mod divergence;
mod formats;
mod incidents;
mod kube;
mod oom_ledger;
mod overflow;
mod pods;
mod restart;
mod sidecars;
mod slices;
#[path = "../support/mod.rs"]
mod support;
