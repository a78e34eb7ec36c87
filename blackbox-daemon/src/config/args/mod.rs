//! Every key the daemon understands, once: `--flag` and environment variable, default, and what it means.
//!
//! `--help` is made from this file. v1's keys keep their names and defaults.

mod output;
mod privileges;
mod recording;
mod service;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use super::values;
use crate::report::format::Format;
pub use output::Output;
pub use privileges::{Privileges, Seccomp};
pub use recording::{Ebpf, Journal, Kernel, Recording};
pub use service::{Api, Kubernetes, KubernetesMode, Metrics};

const ABOUT: &str = "Records all the time; when something dies, says who killed it, and why.";

const AFTER_HELP: &str = "\
Every flag is also an environment variable, the name in <brackets>; a flag wins. Durations are written as in Go \
(500ms, 60s, 1m30s), sizes with a unit (512KiB, 32MiB), switches as true or false.

  blackbox-daemon                          record; reports go to /var/log/blackbox
  blackbox-daemon --output-path stdout     record; reports go to the terminal
  blackbox-daemon doctor                   what this machine offers, what is degraded, and how to mend it
  blackbox-daemon report FILE.tar.zst      the report of a bundle; also: replay, verify

Recording kernel events needs CAP_BPF and CAP_PERFMON (or root) at start; they are dropped right after.";

/// The command line as clap knows it: a value is called by its variable in help and errors, is never shown in
/// help (it may be a secret), and may stand before or after a command.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command().mut_args(|arg| {
        match arg.get_env().map(|key| key.to_string_lossy().into_owned()) {
            Some(key) => arg.value_name(key).hide_env(true).global(true),
            None => arg,
        }
    })
}

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "blackbox-daemon", version, about = ABOUT, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub settings: Settings,
}

/// What to do instead of recording.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say which kernel features, privileges and sources this machine has, and what is degraded.
    Doctor {
        /// Also write the findings to this file as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Show the report of a bundle (INCIDENT.tar.zst), as it was told.
    Report {
        bundle: PathBuf,
        /// Name the functions of the stack anew, from the files below this directory: the root of the container, or of its
        /// image unpacked.
        #[arg(long, value_name = "DIRECTORY")]
        files: Option<PathBuf>,
        /// What it looks like.
        #[arg(long, value_name = "FORMAT", default_value = "default", value_parser = values::format)]
        format: Format,
    },
    /// Make the report of a bundle anew with this program's rules; exit code 1, if it is not what was told.
    Replay {
        bundle: PathBuf,
        /// Write the new report in this format.
        #[arg(long, value_name = "FORMAT", value_parser = values::format)]
        format: Option<Format>,
    },
    /// Verify that a bundle is whole: every entry is what its manifest says.
    Verify { bundle: PathBuf },
}

/// All settings, by part.
#[derive(Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    pub recording: Recording,
    #[command(flatten)]
    pub kernel: Kernel,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub kubernetes: Kubernetes,
    #[command(flatten)]
    pub api: Api,
    #[command(flatten)]
    pub metrics: Metrics,
    #[command(flatten)]
    pub privileges: Privileges,
    #[command(flatten)]
    pub log: Log,
}

/// The daemon's own log, on standard error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct Log {
    /// Least severe level that is logged.
    #[arg(
        long,
        env = "BLACKBOX_LOG_LEVEL",
        default_value = "info",
        ignore_case = true
    )]
    pub log_level: LogLevel,
    /// Log lines as JSON.
    #[arg(
        long, env = "BLACKBOX_LOG_JSON", default_value = "true", value_parser = values::go_bool,
        action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true"
    )]
    pub log_json: bool,
}

/// Levels of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}
