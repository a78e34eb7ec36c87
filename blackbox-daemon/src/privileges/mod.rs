//! What the daemon gives up once it has started, thread by thread.
//!
//! All of it belongs to a thread and is inherited by the threads it starts, so it must be done before the async runtime
//! starts. In this order, as each step takes what a later one removes: `no_new_privs`; the bounding and ambient sets
//! (`capabilities`); uid 0, where nothing needs it (`standing` decides, `ids` does); all capabilities; all system calls
//! that are not needed (`seccomp`). One thread, started before, keeps the two capabilities that attaching needs
//! (`sources/ebpf/switch`), and may attach instead of reading maps.

pub mod capabilities;
mod handover;
pub mod ids;
pub mod seccomp;
pub mod standing;
pub mod trial;

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, set_no_new_privs};

pub use self::capabilities::{drop_all, missing};
use self::ids::{Ids, RunAs};
use self::seccomp::Role;
use self::standing::Standing;
use crate::record::Health;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub run_as: RunAs,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

/// What a thread is to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vow {
    /// The ids it takes. `None`: it stays who it is.
    ids: Option<Ids>,
    seccomp: bool,
}

/// How that went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// What could not be given up, and why.
    pub failed: Vec<String>,
    /// Whether the bounding set could not be emptied, for CAP_SETPCAP is missing.
    pub bounds_left: bool,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

impl Vow {
    /// For a thread of a daemon that is to stand so.
    #[must_use]
    pub fn of(config: Config, standing: &Standing) -> Self {
        Self {
            ids: standing.changes.then_some(standing.ids),
            seccomp: config.seccomp,
        }
    }

    /// Of capabilities only: for those that load the programs to look at them.
    #[must_use]
    pub fn capabilities_only() -> Self {
        Self {
            ids: None,
            seccomp: false,
        }
    }

    /// Makes this thread, and those that it will start, give it up. What cannot be given up is told; the rest is.
    #[must_use]
    pub fn take(self, role: Role) -> Kept {
        let mut kept = Kept::default();
        let mut tried = |what: &str, outcome: io::Result<()>| {
            if let Err(error) = outcome {
                kept.failed.push(format!("{what}: {error}"));
            }
        };
        tried("no_new_privs", set_no_new_privs(true).map_err(Into::into));
        let emptied = capabilities::empty_bounds();
        let bounds_left = matches!(emptied, Ok(false));
        tried("bounding set", emptied.map(drop));
        if let Some(ids) = self.ids {
            tried("uid and gid", ids.take());
        }
        let wanted = match role {
            Role::Most => CapabilitySet::empty(),
            Role::Attach => capabilities::for_attaching(),
        };
        tried("capabilities", capabilities::keep_only(wanted));
        if self.seccomp {
            let filtered = seccomp::install(role);
            kept.seccomp = filtered.is_ok();
            tried("seccomp filter", filtered.map_err(io::Error::other));
        }
        kept.bounds_left = bounds_left;
        kept
    }
}

/// How the running daemon stands. Clones share nothing and are for showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    config: Config,
    /// Who it is: what `standing` says, unless that failed.
    ids: Ids,
    standing: Standing,
    kept: Kept,
}

impl State {
    /// Of a daemon whose threads have given up what `kept` says.
    #[must_use]
    pub fn new(config: Config, standing: Standing, kept: Kept) -> Self {
        Self {
            config,
            ids: Ids::own(),
            standing,
            kept,
        }
    }

    /// With what the thread that attaches could not give up.
    #[must_use]
    pub fn with_attaching(mut self, kept: Kept) -> Self {
        let failed = kept.failed.iter();
        let failed = failed.map(|what| format!("the thread that attaches: {what}"));
        self.kept.failed.extend(failed);
        self
    }

    /// Who it is.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// Whether system calls are filtered.
    #[must_use]
    pub fn filtered(&self) -> bool {
        self.kept.seccomp
    }

    /// Whether everything was given up that should have been, and was not needed since.
    #[must_use]
    pub fn health(&self) -> Health {
        let denied = seccomp::denied::by_call();
        match () {
            () if !self.kept.failed.is_empty() => Health::Degraded(self.kept.failed.join("; ")),
            () if !denied.is_empty() => {
                let calls: Vec<&str> = denied.into_iter().map(|(call, _)| call).collect();
                Health::Degraded(format!("the seccomp filter denied {}", calls.join(", ")))
            }
            () if !self.config.seccomp => Health::Disabled("BLACKBOX_SECCOMP=off".to_owned()),
            () => Health::Ok,
        }
    }

    /// Logs it.
    pub fn tell(&self) {
        let Standing { why, lost, .. } = &self.standing;
        let ids = self.ids;
        for failed in &self.kept.failed {
            tracing::warn!(%failed, "a privilege could not be given up");
        }
        for lost in lost {
            tracing::warn!(%ids, %lost, "lost by BLACKBOX_RUN_AS");
        }
        tracing::info!(%ids, %why, seccomp = self.kept.seccomp, "privileges are given up");
    }
}

/// Keeps the memory of this process, in which there are keys and what was not yet searched for secrets, from core dumps and
/// from other processes of its user.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub fn hide_memory() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
