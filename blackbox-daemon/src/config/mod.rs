//! Configuration: keys to each part's own config, checked as a whole before anything starts.
//!
//! Reads the command line and the environment, makes a [`Config`]. A wrong value, an unknown `BLACKBOX_*` key
//! and a contradiction are errors that name the key, the value and what is allowed.

pub mod args;
mod serving;
pub mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use self::args::Settings;
use crate::api;
use crate::destinations::{DestinationConfig, file};
use crate::incident;
use crate::incident::trigger::Rules;
use crate::journal;
use crate::memory;
use crate::metrics;
use crate::privileges;
use crate::redact::Redactor;
use crate::report::format::{Format, Options};
use crate::sources::ebpf::limits::Limits;
use crate::sources::kube;
use crate::window;

/// v1's default place for reports.
const DEFAULT_DIRECTORY: &str = "/var/log/blackbox";

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unknown key {key}; did you mean {nearest}? (`blackbox-daemon --help` lists all keys)")]
    Unknown { key: String, nearest: String },
    #[error("{key}={value}: {allowed}")]
    Value {
        key: &'static str,
        value: String,
        allowed: String,
    },
    #[error("{one} and {other} contradict each other: set one of them")]
    Contradiction {
        one: &'static str,
        other: &'static str,
    },
    #[error("{key} is required {when}")]
    Required {
        key: &'static str,
        when: &'static str,
    },
}

/// What the daemon is told, part by part.
#[derive(Debug)]
pub struct Config {
    pub window: Duration,
    pub interval: Duration,
    pub proc_root: PathBuf,
    pub storage: window::Config,
    pub incidents: incident::Config,
    pub rules: Rules,
    /// `None`: kernel programs are switched off.
    pub kernel: Option<Limits>,
    pub formats: Vec<Format>,
    /// What formats are told.
    pub options: Options,
    pub destinations: Vec<DestinationConfig>,
    pub kubernetes: Kubernetes,
    /// How the API server is reached, if it is.
    pub cluster: Cluster,
    pub node_name: Option<String>,
    /// `None`: nobody could use it, for there is neither a key nor a cluster.
    pub api: Option<api::Config>,
    pub metrics: Option<metrics::Config>,
    /// What is given up after the start.
    pub privileges: privileges::Config,
    /// Hides secrets before anything is kept.
    pub redactor: Redactor,
    /// Soft limit of the daemon's own memory, bytes.
    pub memory: u64,
    /// Where the window is kept on disk, or why it is not.
    pub journal: Result<journal::Config, &'static str>,
}

/// Whether a cluster is asked, after `auto` was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kubernetes {
    Off(&'static str),
    On,
}

/// How the API server is reached, and what is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub access: kube::Access,
    /// First pause before another attempt.
    pub retry: Duration,
    /// How long a pod may be pending.
    pub pending: Duration,
    pub state_dir: Option<PathBuf>,
    /// Write an Event on the pod for each incident.
    pub events: bool,
    /// The kubelet's log directories.
    pub logs: kube::Directories,
    /// Most bytes of a dead container's log in a report.
    pub log_bytes: u64,
}

/// How late records may come and a turn of the recorder may be; the window holds this much more.
const LATE: Duration = Duration::from_secs(1);

impl Config {
    /// Checks the settings as a whole. `environment` are all variables the process has.
    ///
    /// # Errors
    /// On an unknown key, a contradiction, or a wrong value that a single key could not show.
    pub fn new(settings: Settings, environment: &[String]) -> Result<Self, Error> {
        known_keys_only(environment)?;
        let kubernetes = serving::kubernetes(&settings, environment)?;
        let destinations = destinations(&settings)?;
        let node_name = settings.kubernetes.node_name.clone();
        let node_name = node_name.filter(|name| !name.is_empty());
        let api = serving::api(&settings, &kubernetes, node_name.as_deref())?;
        let metrics = serving::metrics(&settings);
        let cluster = serving::cluster(&settings);
        let scope = serving::scope(&settings);
        let Settings {
            recording,
            kernel,
            output,
            privileges,
            ..
        } = settings;
        let settle = recording.settle_time;
        let journal = journal(&recording);
        let kept = recording.window_decisive_bytes
            + recording.window_bulk_bytes
            + u64::from(kernel.ring_crit_bytes)
            + u64::from(kernel.ring_bulk_bytes);
        let fitting = || memory::fitting(kept, memory::allowed());
        let memory = recording.memory_soft_limit.unwrap_or_else(fitting);
        let redactor = redactor(recording.redact_patterns.as_deref().unwrap_or_default())?;
        Ok(Self {
            window: recording.buffer_window_size,
            interval: recording.collection_interval,
            proc_root: recording.proc_root,
            storage: window::Config {
                // The minute before a death must still be there when the incident has been closed.
                retention: recording.buffer_window_size + settle + incident::PATIENCE + LATE,
                decisive_bytes: bounded(recording.window_decisive_bytes),
                bulk_bytes: bounded(recording.window_bulk_bytes),
                bulk_share_percent: recording.window_share_percent,
                ..window::Config::default()
            },
            incidents: incident::Config {
                settle,
                throttle: recording.throttle_interval,
            },
            rules: Rules {
                watch: recording.watch_cgroups,
                scope,
            },
            kernel: (kernel.ebpf == args::Ebpf::Auto).then_some(Limits {
                crit_ring: kernel.ring_crit_bytes,
                bulk_ring: kernel.ring_bulk_bytes,
                calls_per_second: kernel.syscall_rate,
                calls_burst: kernel.syscall_burst,
                errno_ignored: kernel.syscall_ignore.0,
                words: kernel.last_words,
                tails: kernel.tail_containers,
                budget: kernel.cpu_budget_percent,
                bpffs: kernel.bpffs,
            }),
            options: Options {
                brief_tokens: output.brief_tokens,
            },
            formats: output.output_formatters.0,
            destinations,
            kubernetes,
            cluster,
            node_name,
            api,
            metrics,
            privileges: privileges::Config {
                run_as: privileges.run_as,
                seccomp: privileges.seccomp == args::Seccomp::On,
            },
            redactor,
            memory,
            journal,
        })
    }
}

fn journal(recording: &args::Recording) -> Result<journal::Config, &'static str> {
    use args::Journal;
    let pace = match recording.journal {
        Journal::Ssd => journal::Pace::SSD,
        Journal::Emmc => journal::Pace::EMMC,
        Journal::Ram => journal::Pace::RAM,
        Journal::Off => return Err("BLACKBOX_JOURNAL=off"),
    };
    let directory = recording.state_dir.clone();
    Ok(journal::Config {
        directory: directory.ok_or("BLACKBOX_STATE_DIR is not set")?,
        size: recording.journal_bytes,
        pace,
    })
}

/// The built-in rules, and one of the operator's in each line that is not blank.
fn redactor(patterns: &str) -> Result<Redactor, Error> {
    let lines = patterns.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty()).map(str::to_owned);
    Redactor::new(&lines.collect::<Vec<_>>()).map_err(|error| Error::Value {
        key: "BLACKBOX_REDACT_PATTERNS",
        value: patterns.to_owned(),
        allowed: format!("{error}; allowed: one regular expression in each line"),
    })
}

fn bounded(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Refuses `BLACKBOX_*` variables that no part knows: a misspelt key would silently do nothing.
fn known_keys_only(environment: &[String]) -> Result<(), Error> {
    let command = args::command();
    let known: Vec<String> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env().map(|key| key.to_string_lossy().into_owned()))
        .collect();
    for key in environment
        .iter()
        .filter(|key| key.starts_with("BLACKBOX_"))
    {
        if known.contains(key) || is_service_link(key, environment) {
            continue;
        }
        let nearest = known.iter().max_by(|a, b| {
            let likeness = |other: &str| strsim::jaro_winkler(key, other);
            likeness(a).total_cmp(&likeness(b))
        });
        let nearest = nearest.cloned().unwrap_or_default();
        return Err(Error::Unknown {
            key: key.clone(),
            nearest,
        });
    }
    Ok(())
}

/// Kubernetes tells every pod of the Services in its namespace by variables of their names; a Service called
/// `blackbox-…` must not stop its own daemon.
fn is_service_link(key: &str, environment: &[String]) -> bool {
    environment.iter().any(|other| {
        other.strip_suffix("_SERVICE_HOST").is_some_and(|service| {
            key.strip_prefix(service)
                .is_some_and(|rest| rest.starts_with('_'))
        })
    })
}

fn destinations(settings: &Settings) -> Result<Vec<DestinationConfig>, Error> {
    let output = &settings.output;
    let mut wanted = match (&output.emitters, output.output_path.is_empty()) {
        (Some(_), false) => {
            return Err(Error::Contradiction {
                one: "BLACKBOX_EMITTERS",
                other: "BLACKBOX_OUTPUT_PATH",
            });
        }
        (Some(json), true) => emitters(json)?,
        (None, false) => output.output_path.clone(),
        (None, true) => vec![directory(DEFAULT_DIRECTORY)],
    };
    wanted.extend(output.http_endpoint.clone());
    let mut names: Vec<String> = Vec::new();
    wanted.retain_mut(|destination| {
        if let DestinationConfig::File(file) = destination {
            file.max_files = output.output_max_files as usize;
            file.max_bytes = output.output_max_bytes;
            file.bundles = output.output_bundles;
            file.reserve = output.output_reserve_bytes;
        }
        let name = destination.name();
        let new = !names.contains(&name);
        names.push(name);
        new
    });
    Ok(wanted)
}

fn directory(path: impl Into<PathBuf>) -> DestinationConfig {
    DestinationConfig::File(file::Config::new(path.into()))
}

/// One of v1's emitters. `create_dirs` and `append` are accepted: directories are always made, and each report
/// is a file of its own, so there is nothing to append to.
#[derive(Debug, Deserialize)]
struct Emitter {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: EmitterConfig,
}

#[derive(Debug, Default, Deserialize)]
struct EmitterConfig {
    path: Option<String>,
    url: Option<String>,
    endpoint: Option<String>,
}

fn emitters(json: &str) -> Result<Vec<DestinationConfig>, Error> {
    const KEY: &str = "BLACKBOX_EMITTERS";
    let wrong = |allowed: String| Error::Value {
        key: KEY,
        value: json.to_owned(),
        allowed,
    };
    let parsed: Vec<Emitter> = serde_json::from_str(json).map_err(|error| {
        wrong(format!(
            "{error}; allowed: [{{\"type\": \"file\", \"config\": {{\"path\": \"…\"}}}}]"
        ))
    })?;
    if parsed.is_empty() {
        return Err(wrong("allowed: at least one emitter".to_owned()));
    }
    let destination = |Emitter { kind, config }: Emitter| match kind.as_str() {
        "file" => {
            let path = config.path.as_deref().unwrap_or(DEFAULT_DIRECTORY);
            Ok(directory(directory_of(Path::new(path))))
        }
        "stdout" => Ok(DestinationConfig::Stdout),
        "http" => match config.url.or(config.endpoint) {
            Some(url) => values::http_url(&url).map_err(wrong),
            None => Err(wrong("an http emitter needs config.url".to_owned())),
        },
        other => Err(wrong(format!(
            "unknown type {other:?}; allowed: file, stdout, http"
        ))),
    };
    parsed.into_iter().map(destination).collect()
}

/// v1's path is a file that everything is appended to; ours is the directory it lies in.
fn directory_of(path: &Path) -> PathBuf {
    match (path.extension(), path.parent()) {
        (Some(_), Some(parent)) => parent.to_owned(),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
