//! What listening adds to a system call: one process calls getppid, the cheapest there is, in a cgroup of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::contenders::{Contender, Listening};
use super::recorder::binary;
use super::rounds::{self, Figures};
use super::table::{Row, Target};
use crate::stage::Cgroup;
use crate::timing::wait_for;

/// How long a loop runs, ms: longer than a turn of the scheduler, short enough for many rounds.
const SPAN: &str = "700";
/// For the recorder to arm a container whose last life ended badly.
const ARMING: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(1);

const ALL: [Contender; 10] = [
    Contender::Nobody,
    Contender::Floor,
    Contender::Recorder,
    Contender::RecorderArmed,
    Contender::BpftraceCount,
    Contender::Syscount,
    Contender::BpftraceLatency,
    Contender::SyscountLatency,
    Contender::Ftrace,
    Contender::PerfOverwrite,
];

/// A command that runs the victim as the first process of a container.
fn contained_in(cgroup: &Cgroup, victim: &Path) -> Result<Command> {
    let mut command = cgroup.command("unshare")?;
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(victim);
    Ok(command)
}

/// A process that waits for a byte, and then calls.
struct Caller {
    child: Child,
    _cgroup: Cgroup,
}

impl Caller {
    /// As the first process of a container, if `contained`; its pid is then that of its parent.
    fn start(victim: &Path, name: &str, contained: bool) -> Result<Self> {
        let cgroup = Cgroup::create(name)?;
        let mut command = match contained {
            true => contained_in(&cgroup, victim)?,
            false => cgroup.command(victim)?,
        };
        command.args(["getppid", SPAN]);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            child,
            _cgroup: cgroup,
        })
    }

    /// ns for each call.
    fn run(&mut self) -> Result<f64> {
        let stdin = self.child.stdin.as_mut().context("no input")?;
        stdin.write_all(b"\n")?;
        let mut said = String::new();
        let stdout = self.child.stdout.as_mut().context("no output")?;
        BufReader::new(stdout).read_line(&mut said)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the loop ended with {status}: {said}");
        Ok(said.trim().parse()?)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // It has ended, or nobody needs it any more.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn measure(victim: &Path, contender: Contender) -> Result<f64> {
    let name = format!("blackbox-demo-{}/loop", std::process::id());
    if contender == Contender::RecorderArmed {
        let listening = contender.start(0)?;
        bad_end(victim, &name)?;
        let mut caller = Caller::start(victim, &name, true)?;
        let armed = wait_for(ARMING, || anyhow::Ok(listening.is_armed()?.then_some(())))?;
        armed.context("the loop's container is not armed")?;
        // The programs of it are attached a moment later.
        thread::sleep(SETTLE);
        return caller.run();
    }
    let mut caller = Caller::start(victim, &name, false)?;
    let _listening: Listening = contender.start(caller.child.id())?;
    // What it takes to begin is not what listening takes; peers have had their time.
    thread::sleep(SETTLE);
    caller.run()
}

/// One life of the container ends badly: every call of the next one is kept.
fn bad_end(victim: &Path, name: &str) -> Result<()> {
    let cgroup = Cgroup::create(name)?;
    let mut command = contained_in(&cgroup, victim)?;
    let status = command.args(["exit", "3"]).stdin(Stdio::null()).status()?;
    ensure!(status.code() == Some(3), "{status}");
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

/// Measures all; the rows about single calls.
pub(super) fn rows(rounds: usize, victim: &Path) -> Result<Vec<Row>> {
    let figures = rounds::play(rounds, &ALL, |contender| {
        measure(victim, *contender).with_context(|| contender.name())
    })?;
    let of = |wanted: Contender| -> &Figures {
        let at = ALL.iter().position(|contender| *contender == wanted);
        &figures[at.unwrap_or_default()]
    };
    let nobody = of(Contender::Nobody).median();
    let added = |who: Contender| of(who).median() - nobody;
    let said = |who: Contender| {
        let (least, most) = of(who).spread();
        format!(
            "{}: +{:.0} ns ({:.0}; {least:.0}–{most:.0})",
            who.name(),
            added(who),
            of(who).median()
        )
    };
    let row = |work: &str, ours: Contender, peer: Contender, target: f64| Row {
        work: format!("{work}; nobody {nobody:.0} ns"),
        ours: said(ours),
        peer: said(peer),
        ratio: added(ours) / added(peer),
        target: Target::AtMost(target),
    };
    let (calls, tail) = (
        "getppid, failures and counters of every container",
        "every call of one container kept",
    );
    let better = match added(Contender::BpftraceLatency) < added(Contender::SyscountLatency) {
        true => Contender::BpftraceLatency,
        false => Contender::SyscountLatency,
    };
    Ok(vec![
        row(calls, Contender::Recorder, Contender::Floor, 1.4),
        row(calls, Contender::Recorder, Contender::BpftraceCount, 1.0),
        row(calls, Contender::Recorder, Contender::Syscount, 1.0),
        row(tail, Contender::RecorderArmed, Contender::Ftrace, 0.8),
        row(
            tail,
            Contender::RecorderArmed,
            Contender::PerfOverwrite,
            0.25,
        ),
        row(
            "calls with their latency",
            Contender::RecorderArmed,
            better,
            0.6,
        ),
    ])
}

/// The victim that was built with the daemon.
pub(super) fn victim() -> Result<PathBuf> {
    let path = binary()?.with_file_name("blackbox-victim");
    ensure!(path.is_file(), "{} is not built", path.display());
    Ok(path)
}
