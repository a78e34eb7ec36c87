//! Who the daemon is going to be, and why: decided before anything starts, by trying.
//!
//! Reads the configuration; a thread that takes the other ids for good tries every directory and file that will be used.
//! Guarantee: `auto` gives uid 0 up only when nothing is lost by that. Directories that are surely the daemon's own
//! change hands with it (`handover`).

use std::error::Error as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::capabilities;
use super::handover::{self, Own};
use super::ids::{Ids, RunAs};
use crate::config::{Config, Kubernetes};
use crate::destinations::{DestinationConfig, file};
use crate::sources::cgroup::Hierarchies;

/// Who the daemon is going to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Who it is after its start.
    pub ids: Ids,
    /// Whether these are others than those it was started with.
    pub changes: bool,
    /// Why these.
    pub why: String,
    /// What is enabled and cannot be used, or not always, by that.
    pub lost: Vec<String>,
}

/// The user that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "BLACKBOX_RUN_AS={ids}: {source}; it takes CAP_SETUID and CAP_SETGID, and ids that its user namespace has. Start it as \
     that user with the ambient capabilities CAP_BPF and CAP_PERFMON instead, or set BLACKBOX_RUN_AS=keep"
)]
pub struct NotAllowed {
    ids: Ids,
    source: io::Error,
}

/// Whether directories change hands, or it is only said what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hands {
    Give,
    Look,
}

/// How a directory of the daemon's own becomes another user's.
type Give = fn(&Own, Ids) -> io::Result<()>;

impl Standing {
    /// Decides, and hands directories over.
    ///
    /// # Errors
    /// A user was asked for who cannot be had. To go on as another would be silent disobedience.
    pub fn decide(config: &Config, hands: Hands) -> Result<Self, NotAllowed> {
        let own = Ids::own();
        let stays = |why: String| Self {
            ids: own,
            changes: false,
            why,
            lost: Vec::new(),
        };
        Ok(match config.privileges.run_as {
            RunAs::Keep => stays("BLACKBOX_RUN_AS=keep".to_owned()),
            RunAs::Ids(ids) if ids == own => stays("BLACKBOX_RUN_AS".to_owned()),
            RunAs::Ids(ids) => {
                let tried = tried(config, ids, (hands, Own::give));
                let (_given, mut lost) = tried.map_err(|source| NotAllowed { ids, source })?;
                let needed = roots_files(config).into_iter();
                lost.extend(needed.filter(|_| ids.uid != 0));
                Self {
                    ids,
                    changes: true,
                    why: "BLACKBOX_RUN_AS".to_owned(),
                    lost,
                }
            }
            RunAs::Auto if own.uid != 0 => stays("as it was started".to_owned()),
            RunAs::Auto => match auto(config, hands) {
                Ok(()) => Self {
                    ids: Ids::NOBODY,
                    changes: true,
                    why: "nothing that is enabled needs uid 0".to_owned(),
                    lost: Vec::new(),
                },
                Err(why) => stays(why),
            },
        })
    }
}

/// # Errors
/// Why uid 0 is kept.
fn auto(config: &Config, hands: Hands) -> Result<(), String> {
    let needed = roots_files(config);
    if !needed.is_empty() {
        return Err(needed.join("; "));
    }
    if !capabilities::may_change_ids() {
        let why = "CAP_SETUID and CAP_SETGID are missing, which giving it up takes";
        return Err(why.to_owned());
    }
    let (given, lost) =
        tried(config, Ids::NOBODY, (hands, Own::share)).map_err(|error| error.to_string())?;
    if lost.is_empty() {
        return Ok(());
    }
    take_back(&given);
    Err(lost.join("; "))
}

fn take_back(given: &[Own]) {
    for own in given {
        if let Err(error) = own.take_back() {
            tracing::warn!(%error, "a directory that was handed over could not be taken back");
        }
    }
}

/// What reads files that only root may, whatever there is now: which will be read is not known yet.
fn roots_files(config: &Config) -> Vec<String> {
    let logs = (config.kubernetes == Kubernetes::On).then_some("the logs of pods are root's");
    let stacks = config.kernel.as_ref().map(|_| {
        "the functions in the stack of a crash are named from executables and libraries that may be root's alone"
    });
    logs.into_iter().chain(stacks).map(str::to_owned).collect()
}

/// Hands over what can be, and tries as `ids` what the daemon will use: what was handed over, and what cannot be used.
fn tried(
    config: &Config,
    ids: Ids,
    (hands, give): (Hands, Give),
) -> io::Result<(Vec<Own>, Vec<String>)> {
    let (mut given, mut to_write) = (Vec::new(), Vec::new());
    for directory in directories(config) {
        let own = handover::own(directory, ids).ok().flatten();
        match (own, hands) {
            (Some(_), Hands::Look) => continue,
            (Some(own), Hands::Give) if give(&own, ids).is_ok() => given.push(own),
            _ => {}
        }
        to_write.push(directory);
    }
    // What cannot be read as it is, is not lost by this.
    let mut to_read = files(config);
    to_read.retain(|file| File::open(file).is_ok());
    let tries = std::thread::scope(|scope| {
        let trial = scope.spawn(|| {
            ids.take()?;
            capabilities::drop_all()?;
            Ok(unusable(config, &to_write, &to_read))
        });
        let panicked = |_| Err(io::Error::other("the trial panicked"));
        trial.join().unwrap_or_else(panicked)
    });
    if tries.is_err() {
        take_back(&given);
    }
    Ok((given, tries?))
}

/// The directories that are written.
fn directories(config: &Config) -> Vec<&Path> {
    let reports = config.destinations.iter().filter_map(|one| match one {
        DestinationConfig::File(file) => Some(file.directory.as_path()),
        DestinationConfig::Stdout | DestinationConfig::Http(_) => None,
    });
    reports.chain(config.cluster.state_dir.as_deref()).collect()
}

/// The files that are read now and then, for they may change.
fn files(config: &Config) -> Vec<PathBuf> {
    let api = config.api.iter().flat_map(|api| {
        let tls = api.tls.iter().flat_map(|(cert, key)| [cert, key]);
        tls.chain(&api.auth.keys_file)
    });
    // hidepid (proc(5)) hides the processes of others, whose memory is told when a cgroup runs out.
    let others = config.proc_root.join("1/stat");
    let configured = api.chain(&config.cluster.access.kubeconfig).cloned();
    configured.chain([others]).collect()
}

/// What this thread cannot use.
fn unusable(config: &Config, directories: &[&Path], files: &[PathBuf]) -> Vec<String> {
    let mut lost = Vec::new();
    for directory in directories {
        if let Err(error) = file::check(directory) {
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            lost.push(format!(
                "{} cannot be written: {source}",
                directory.display()
            ));
        }
    }
    for file in files {
        if let Err(error) = File::open(file) {
            lost.push(format!("{} cannot be read: {error}", file.display()));
        }
    }
    let cgroups = Hierarchies::discover(&config.proc_root).map(|found| found.survey());
    if let Ok(Err(error)) = cgroups {
        lost.push(format!("cgroups cannot be read: {error}"));
    }
    lost
}
