//! Deaths whose truth is known: each is staged, and the report about it is compared with what was done.
//!
//! [`Death::stage`] plays one and returns the [`Truth`]; [`check()`] lists what a report says that is not so.

mod check;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use check::{check, concerns};

use crate::stage::Cgroup;
use crate::timing::wait_for;

/// The cgroups the daemon must be told to watch (`BLACKBOX_WATCH_CGROUPS`): an exit code is an incident only there.
pub const WATCH_CGROUPS: &str = "/blackbox-demo-*";

/// The memory limit of every victim's cgroup.
const LIMIT_BYTES: u64 = 64 << 20;

/// How long a victim may take to die.
const DEATH_LIMIT: Duration = Duration::from_secs(20);

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Death {
    /// The memory limit of its cgroup.
    Oom,
    /// The same, of a child whose parent lives on.
    ChildOom,
    /// A write to address 0x10.
    Segv,
    /// abort().
    Abort,
    /// SIGKILL from a process in a Docker container's cgroup.
    Sigkill,
    /// Exit code 3.
    Exit,
}

impl Death {
    /// All of them, in the order of the demo.
    pub const ALL: [Self; 6] = [
        Self::Oom,
        Self::ChildOom,
        Self::Segv,
        Self::Abort,
        Self::Sigkill,
        Self::Exit,
    ];

    /// Its name on the command line and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::ChildOom => "child-oom",
            Self::Segv => "segv",
            Self::Abort => "abort",
            Self::Sigkill => "sigkill",
            Self::Exit => "exit",
        }
    }

    /// The arguments of `blackbox-victim`.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Oom => &["oom"],
            Self::ChildOom => &["child-oom"],
            Self::Segv => &["segv-null"],
            Self::Abort => &["abort"],
            Self::Sigkill => &["sleep"],
            Self::Exit => &["exit", "3"],
        }
    }

    /// How the started process ends when the stage works.
    fn ends_as_staged(self, status: ExitStatus) -> bool {
        match self {
            Self::Oom | Self::Sigkill => status.signal() == Some(libc::SIGKILL),
            Self::ChildOom => status.success(),
            Self::Segv => status.signal() == Some(libc::SIGSEGV),
            Self::Abort => status.signal() == Some(libc::SIGABRT),
            Self::Exit => status.code() == Some(3),
        }
    }

    /// Lets `victim` (the built `blackbox-victim`) die this way in a cgroup of its own, and waits for its end.
    ///
    /// # Errors
    /// The cgroup cannot be made, or the victim does not die as it should: then nothing is proven about a report.
    pub fn stage(self, victim: &Path) -> Result<Staged> {
        let root = format!("blackbox-demo-{}", std::process::id());
        let cgroup = Cgroup::create(&format!("{root}/{}", self.name()))?;
        cgroup.set_memory_limit(LIMIT_BYTES)?;
        let mut command = cgroup.command(victim)?;
        command
            .args(self.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", victim.display()))?;

        let mut truth = Truth {
            death: self,
            pid: child.id(),
            parent_pid: None,
            sender: None,
            cgroup: cgroup.path(),
            limit_bytes: LIMIT_BYTES,
        };
        let mut cgroups = vec![cgroup];
        if self == Self::Sigkill {
            let container = container_id();
            let cgroup = Cgroup::create(&format!("{root}/docker-{container}.scope"))?;
            let pid = kill(&cgroup, victim, child.id())?;
            truth.sender = Some(Sender { pid, container });
            cgroups.push(cgroup);
        }
        let (status, output) = finish(child)?;
        ensure!(
            self.ends_as_staged(status),
            "staging {}: the victim ended with {status}",
            self.name()
        );
        if self == Self::ChildOom {
            truth.parent_pid = Some(truth.pid);
            truth.pid = killed_child(&output)?;
        }
        Ok(Staged {
            truth,
            _cgroups: cgroups,
        })
    }
}

/// A death that was staged. Its cgroups go when this does.
#[derive(Debug)]
pub struct Staged {
    /// What happened.
    pub truth: Truth,
    _cgroups: Vec<Cgroup>,
}

/// What happened, as far as a report can be right or wrong about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// How it was staged.
    pub death: Death,
    /// Who died.
    pub pid: u32,
    /// Its parent, if that lived on and is part of the story.
    pub parent_pid: Option<u32>,
    /// Who killed it, if a process did.
    pub sender: Option<Sender>,
    /// The victim's cgroup, as a path in the watched hierarchy.
    pub cgroup: String,
    /// The memory limit of that cgroup.
    pub limit_bytes: u64,
}

/// The process that sent the fatal signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Its pid.
    pub pid: u32,
    /// Its container's id: 64 hexadecimal digits.
    pub container: String,
}

/// Sends SIGKILL to `target` from a process in `cgroup`, and returns the pid of that process.
pub(crate) fn kill(cgroup: &Cgroup, victim: &Path, target: u32) -> Result<u32> {
    // Time for the victim to be what it will be: killed in its exec it would still bear our name.
    thread::sleep(Duration::from_millis(300));
    let mut command = cgroup.command(victim)?;
    let killer = command
        .args(["kill", &target.to_string(), "9"])
        .stdout(Stdio::piped())
        .spawn()?;
    let pid = killer.id();
    let (status, _output) = finish(killer)?;
    ensure!(status.success(), "the killer ended with {status}");
    Ok(pid)
}

/// Waits for a process of ours and reads what it wrote; kills it if it outlives [`DEATH_LIMIT`].
fn finish(mut child: Child) -> Result<(ExitStatus, String)> {
    let Some(status) = wait_for(DEATH_LIMIT, || child.try_wait())? else {
        child.kill()?;
        child.wait()?;
        bail!("the victim did not die within {} s", DEATH_LIMIT.as_secs());
    };
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut output)?;
    }
    Ok((status, output))
}

/// The child in the last line of mode `child-oom`: `{"child":17,"signal":9,"exit_code":null}`.
fn killed_child(output: &str) -> Result<u32> {
    let line = output
        .lines()
        .last()
        .context("the victim said nothing of its child")?;
    let fate: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
    ensure!(
        fate["signal"] == libc::SIGKILL,
        "staging child-oom: the child's fate is {line}"
    );
    let pid = fate["child"]
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok());
    pid.with_context(|| line.to_owned())
}

/// An id such as container runtimes make: 64 random hexadecimal digits.
pub(crate) fn container_id() -> String {
    (0..4)
        .map(|_| format!("{:016x}", RandomState::new().build_hasher().finish()))
        .collect()
}

/// Whether `program` can be started at all, so that a missing build is not taken for a failed stage.
///
/// # Errors
/// It cannot.
pub fn require_victim(program: &Path) -> Result<()> {
    let status = Command::new(program).arg("short").status();
    let status = status.with_context(|| format!("starting {}", program.display()))?;
    ensure!(
        status.code() == Some(3),
        "{} is not blackbox-victim",
        program.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_killed_child_is_in_the_last_line() {
        let output = "{\"child\":17}\n{\"child\":17,\"signal\":9,\"exit_code\":null}\n";
        assert_eq!(killed_child(output).unwrap(), 17);
        assert!(killed_child("{\"child\":17,\"signal\":null,\"exit_code\":9}\n").is_err());
        assert!(killed_child("").is_err());
    }

    #[test]
    fn container_ids_look_like_a_runtimes() {
        let id = container_id();
        assert!(
            id.len() == 64 && id.chars().all(|digit| digit.is_ascii_hexdigit()),
            "{id}"
        );
        assert_ne!(id, container_id());
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        use clap::ValueEnum as _;
        for death in Death::ALL {
            assert_eq!(death.to_possible_value().unwrap().get_name(), death.name());
            assert_eq!(serde_json::to_value(death).unwrap(), death.name());
        }
    }
}
