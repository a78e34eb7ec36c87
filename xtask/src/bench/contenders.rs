//! Who listens to system calls while a loop makes them: nobody, an empty program, the recorder, and the tools that people use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};
use rustix::process::{Pid, Signal, kill_process};

use super::peers;
use super::recorder::Recorder;
use crate::cargo::target_directory;
use crate::deaths::WATCH_CGROUPS;
use crate::timing::wait_for;

/// For a peer to begin: what it prepares before is not measured.
const BEGIN: Duration = Duration::from_secs(20);
/// And for what it prepares without saying so.
const SETTLE: Duration = Duration::from_millis(1500);
const END: Duration = Duration::from_secs(10);

/// What listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contender {
    Nobody,
    /// An empty program on the recorder's hook.
    Floor,
    /// At its defaults.
    Recorder,
    /// With every call of the loop's container kept.
    RecorderArmed,
    BpftraceCount,
    BpftraceLatency,
    Syscount,
    SyscountLatency,
    /// Enter and exit of every call of one process, overwritten.
    Ftrace,
    /// The same by perf.
    PerfOverwrite,
    PerfTrace,
    Strace,
}

impl Contender {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Floor => "an empty program",
            Self::Recorder => "blackbox",
            Self::RecorderArmed => "blackbox, armed",
            Self::BpftraceCount => "bpftrace, counts by comm and call",
            Self::BpftraceLatency => "bpftrace, latency by call",
            Self::Syscount => "syscount",
            Self::SyscountLatency => "syscount -L",
            Self::Ftrace => "ftrace, overwrite",
            Self::PerfOverwrite => "perf record --overwrite",
            Self::PerfTrace => "perf trace",
            Self::Strace => "strace -f",
        }
    }

    /// Begins to listen; to the process `pid` where it must be told one.
    ///
    /// # Errors
    /// It does not begin, with what it said.
    pub(super) fn start(self, pid: u32) -> Result<Listening> {
        let process = pid.to_string();
        Ok(match self {
            Self::Nobody => Listening::Nobody,
            Self::Floor => Listening::Floor { _loaded: floor()? },
            Self::Recorder => Listening::Recorder(Recorder::start(&[])?),
            Self::RecorderArmed => Listening::Recorder(Recorder::start(&[
                ("BLACKBOX_WATCH_CGROUPS", WATCH_CGROUPS),
                // A loop that does nothing but call is more than anybody would pay for.
                ("BLACKBOX_CPU_BUDGET_PERCENT", "100"),
                ("BLACKBOX_LOG_LEVEL", "debug"),
            ])?),
            Self::BpftraceCount => peer("bpftrace", &["-e", COUNT])?,
            Self::BpftraceLatency => peer("bpftrace", &["-e", LATENCY])?,
            Self::Syscount => peer("syscount", &["-d", "600"])?,
            Self::SyscountLatency => peer("syscount", &["-L", "-d", "600"])?,
            Self::Ftrace => Listening::Ftrace {
                _instance: Instance::start(&process)?,
            },
            Self::PerfOverwrite => {
                let words = [
                    "record",
                    "-q",
                    "--overwrite",
                    "-e",
                    RAW,
                    "-o",
                    "/dev/null",
                    "-p",
                    &process,
                ];
                peer("perf", &words)?
            }
            Self::PerfTrace => peer("perf", &["trace", "-o", "/dev/null", "-p", &process])?,
            Self::Strace => peer("strace", &["-f", "-q", "-o", "/dev/null", "-p", &process])?,
        })
    }
}

/// Both ends of every call.
const RAW: &str = "raw_syscalls:sys_enter,raw_syscalls:sys_exit";
const COUNT: &str = "tracepoint:raw_syscalls:sys_exit { @[comm, args->id] = count(); }";
const LATENCY: &str = "tracepoint:raw_syscalls:sys_enter { @start[tid] = nsecs; } \
    tracepoint:raw_syscalls:sys_exit /@start[tid]/ \
    { @[args->id] = hist(nsecs - @start[tid]); delete(@start[tid]); }";

/// Somebody who listens. Dropped, it is over.
pub(super) enum Listening {
    Nobody,
    Floor { _loaded: Ebpf },
    Recorder(Recorder),
    Peer(Child),
    Ftrace { _instance: Instance },
}

impl Drop for Listening {
    fn drop(&mut self) {
        match self {
            Self::Peer(child) => end(child),
            // They end themselves.
            Self::Nobody | Self::Floor { .. } | Self::Recorder(_) | Self::Ftrace { .. } => {}
        }
    }
}

impl Listening {
    /// Whether the recorder keeps every call of a container.
    pub(super) fn is_armed(&self) -> Result<bool> {
        match self {
            Self::Recorder(recorder) => Ok(recorder
                .daemon
                .log()?
                .lines()
                .any(|line| line.contains(" armed ") && line.contains("tail"))),
            _ => Ok(false),
        }
    }
}

/// Interrupts a peer, as a user would; kills it if that does not end it.
fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::INT).ok();
    }
    if !matches!(wait_for(END, || child.try_wait()), Ok(Some(_))) {
        child.kill().ok();
        child.wait().ok();
    }
}

fn floor() -> Result<Ebpf> {
    let object = target_directory()?.join("bpf-build/bpfel-unknown-none/release/blackbox-floor");
    let mut loaded = Ebpf::load_file(&object).with_context(|| object.display().to_string())?;
    let program: &mut BtfTracePoint = loaded
        .program_mut("floor")
        .context("no such program")?
        .try_into()?;
    program.load("sys_exit", &Btf::from_sys_fs()?)?;
    program.attach()?;
    Ok(loaded)
}

fn peer(program: &str, words: &[&str]) -> Result<Listening> {
    let mut command = Command::new(peers::find(program)?);
    let child = command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.with_context(|| program.to_owned())?;
    if program == "bpftrace" {
        let begun = wait_for(BEGIN, || anyhow::Ok(attached(child.id())?.then_some(())))?;
        begun.with_context(|| format!("{program} attaches nothing"))?;
    }
    thread::sleep(SETTLE);
    let ended = child.try_wait()?;
    ensure!(
        ended.is_none(),
        "{program} {words:?} ended at once: {ended:?}"
    );
    Ok(Listening::Peer(child))
}

/// Whether a process holds a perf event: that is what it attaches its programs to.
fn attached(pid: u32) -> Result<bool> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let held = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    Ok(held
        .into_iter()
        .any(|name| name == Path::new("anon_inode:[perf_event]")))
}

/// An instance of ftrace with a ring of its own.
pub(super) struct Instance(PathBuf);

impl Instance {
    fn start(pid: &str) -> Result<Self> {
        let folder =
            peers::tracefs()?.join(format!("instances/blackbox-bench-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let instance = Self(folder);
        instance.write("set_event_pid", pid)?;
        for event in ["sys_enter", "sys_exit"] {
            instance.write(&format!("events/raw_syscalls/{event}/enable"), "1")?;
        }
        instance.write("tracing_on", "1")?;
        Ok(instance)
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.0.join(file), value).with_context(|| format!("writing {value} to {file}"))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.write("tracing_on", "0").ok();
        fs::remove_dir(&self.0).ok();
    }
}
