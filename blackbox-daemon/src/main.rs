//! The story: arguments → configuration → build (load, attach, drop privileges) → run → exit code.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use blackbox_daemon::app::App;
use blackbox_daemon::config::Config;
use blackbox_daemon::config::args::{self, Cli, Command};
use blackbox_daemon::{bundle, doctor, log};
use clap::FromArgMatches;

/// After the drain nothing that matters is left; a write that hangs in the kernel must not hold up the end.
const RUNTIME_END: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let parsed = args::command()
        .try_get_matches()
        .and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    match tell(cli) {
        Ok(code) => code,
        Err(error) => {
            // The log may not be set up yet; a start that fails speaks to a person.
            let written = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(if written.is_ok() { 2 } else { 1 })
        }
    }
}

fn tell(cli: Cli) -> anyhow::Result<ExitCode> {
    let environment: Vec<String> = std::env::vars_os()
        .map(|(key, _)| key.to_string_lossy().into_owned())
        .collect();
    let logging = (cli.settings.log.log_level, cli.settings.log.log_json);
    let config = Config::new(cli.settings, &environment)?;
    if let Some(command) = cli.command {
        return instead(command, &config);
    }
    log::start(logging.0, logging.1);
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed already");
    }
    let app = App::build(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(app.run());
    runtime.shutdown_timeout(RUNTIME_END);
    ended.map(|()| ExitCode::SUCCESS)
}

/// What is done instead of recording.
fn instead(command: Command, config: &Config) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let well = match command {
        Command::Doctor { json } => {
            let findings = doctor::examine(config);
            if let Some(path) = json {
                std::fs::write(&path, serde_json::to_vec_pretty(&findings)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            doctor::print(&findings, &mut out)?
        }
        Command::Report {
            bundle,
            files,
            format,
        } => {
            bundle::command::report(&bundle, files.as_deref(), format, &mut out)?;
            true
        }
        Command::Replay { bundle, format } => bundle::command::replay(&bundle, format, &mut out)?,
        Command::Verify { bundle } => {
            bundle::command::verify(&bundle, &mut out)?;
            true
        }
    };
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
