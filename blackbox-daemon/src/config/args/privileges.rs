//! Keys of what the daemon gives up once it has started.

use clap::{Args, ValueEnum};

use crate::privileges::ids::RunAs;

/// What it gives up.
#[derive(Debug, Args)]
#[command(next_help_heading = "Privileges (all capabilities are given up anyway)")]
pub struct Privileges {
    /// User after the start: uid or uid:gid, as numbers; auto gives uid 0 up where nothing that is enabled needs root's
    /// files (doctor says what does), keep never.
    #[arg(long, env = "BLACKBOX_RUN_AS", default_value = "auto", value_parser = RunAs::parse)]
    pub run_as: RunAs,
    /// Filter of system calls: after the start only those that the daemon needs; others answer EPERM, and are counted.
    #[arg(long, env = "BLACKBOX_SECCOMP", default_value = "on")]
    pub seccomp: Seccomp,
}

/// Whether system calls are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Seccomp {
    On,
    Off,
}
