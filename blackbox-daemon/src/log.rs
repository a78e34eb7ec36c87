//! The daemon's own log: one line per event on standard error, as JSON or text.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::args::LogLevel;

/// Starts logging; also takes what libraries (and, through aya-log, kernel programs) say by `log`.
pub fn start(level: LogLevel, json: bool) {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // It makes an error of every attempt at an API server that is down; the kube source says so once.
    let quiet = Targets::new()
        .with_default(level)
        .with_target("kube_client", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    match json {
        true => lines.json().finish().with(quiet).init(),
        false => lines.with_ansi(false).finish().with(quiet).init(),
    }
}
