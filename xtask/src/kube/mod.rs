//! `cargo xtask kube`: a real kube-apiserver on loopback, for development; the library part is for tests.
//!
//! In reading order: where the programs come from (`apt`, `recipe`, `programs`), then what runs them. Nothing but
//! loopback is listened on, and nothing of the machine is changed: the programs are in a cache directory, everything
//! else under the directory of one cluster.

mod apt;
mod programs;
mod recipe;

mod background;
mod certificates;
mod cluster;
mod kubelet;
mod server;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

pub use cluster::Cluster;
pub use kubelet::Kubelet;
pub use programs::{Programs, find};
pub use user::User;

pub(crate) use programs::ensure;

/// `cargo xtask kube`.
#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Start etcd and a kube-apiserver that stay; says how to reach them.
    Up(Place),
    /// End those that `up` started, and remove what they kept.
    Down(Place),
}

#[derive(clap::Args, Debug)]
struct Place {
    /// Where their data, logs and credentials are; `target/kube` if not given.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The programs cannot be had, do not start, or do not end.
pub fn run(options: &Options) -> Result<ExitCode> {
    match &options.task {
        Task::Up(place) => background::up(place.directory.as_deref()),
        Task::Down(place) => background::down(place.directory.as_deref()),
    }
}
