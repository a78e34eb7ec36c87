//! The daemon's own log: one line per event on standard error, as JSON or text.

use tracing_subscriber::filter::LevelFilter;

use crate::config::args::LogLevel;

/// Starts logging; also takes what libraries (and, through aya-log, kernel programs) say by `log`.
pub fn start(level: LogLevel, json: bool) {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    match json {
        true => lines.json().init(),
        false => lines.with_ansi(false).init(),
    }
}
