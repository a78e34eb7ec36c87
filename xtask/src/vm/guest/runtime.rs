//! The container runtime and its shims: containers in cgroups and pid namespaces of their own, sandboxes, logs.
//!
//! As containerd does, a container's process enters its cgroup before it becomes the program, the scope is removed as
//! soon as it has died, and the sandbox and the pod's cgroup stay until the pod is removed.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::super::pod::Pod;
use super::super::protocol::{Life, News};
use super::Host;
use crate::deaths::container_id;
use crate::stage::Cgroup;
use crate::timing::now;

const VICTIM: &str = "/bin/blackbox-victim";
/// A sandbox's process.
const PAUSE: &[&str] = &["init", "0"];
const DIE: &[&str] = &["oom"];
const LOG_LINES: usize = 8;

/// Everything that runs.
#[derive(Clone)]
pub(super) struct Runtime {
    host: Host,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    sandboxes: HashMap<String, Sandbox>,
    /// The pids of containers.
    running: HashMap<String, u32>,
}

/// A pod's pause container, and what is to be removed with it.
struct Sandbox {
    pod: Pod,
    pause: Child,
    scope: Cgroup,
    slice: Cgroup,
    links: Vec<String>,
}

impl Runtime {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            state: Arc::default(),
        }
    }

    /// Runs a container to its end, in a thread that plays its shim.
    pub(super) fn run(&self, pod: Pod, container: String, life: Life) {
        self.shim(move |runtime| runtime.live(&pod, &container, life));
    }

    /// Asks a container to end.
    ///
    /// # Errors
    /// It has not started or has ended.
    pub(super) fn stop(&self, container: &str) -> Result<()> {
        let pid = self.lock().running.get(container).copied();
        terminate(pid.with_context(|| format!("container {container} does not run"))?)
    }

    /// Ends a sandbox and removes what is left of its pod.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn remove(&self, uid: &str) -> Result<()> {
        let sandbox = self.lock().sandboxes.remove(uid);
        let sandbox = sandbox.with_context(|| format!("there is no pod {uid}"))?;
        let uid = uid.to_owned();
        self.shim(move |runtime| {
            sandbox.remove()?;
            runtime.host.tell(&News::Removed { uid });
            Ok(())
        });
        Ok(())
    }

    fn shim(&self, work: impl FnOnce(&Self) -> Result<()> + Send + 'static) {
        let runtime = self.clone();
        let named = thread::Builder::new().name("containerd-shim".to_owned());
        let started = named.spawn(move || {
            if let Err(error) = work(&runtime) {
                runtime.host.tell_failure(&error);
            }
        });
        if let Err(error) = started {
            self.host.tell_failure(&error.into());
        }
    }

    fn live(&self, pod: &Pod, container: &str, life: Life) -> Result<()> {
        self.prepare(pod, container)?;
        let scope = Cgroup::create(&pod.scope(container))?;
        scope.set_memory_limit(pod.limit_bytes)?;
        let group = scope.folder().join("memory.oom.group");
        fs::write(&group, if pod.kill_group { "1" } else { "0" })?;
        let mode = match life {
            Life::OutOfMemory => DIE,
            Life::Serve => &["serve"],
            Life::ServeAsInit => &["init", "143"],
        };
        let mut child = spawn(&scope, mode)?;
        self.lock().running.insert(container.to_owned(), child.id());
        self.host.tell(&News::Started {
            container: container.to_owned(),
            pid: child.id(),
            at: now(),
        });
        let status = child.wait()?;
        let at = now();
        self.lock().running.remove(container);
        drop(scope);
        self.host.tell(&News::Ended {
            container: container.to_owned(),
            signal: status.signal(),
            code: status.code(),
            at,
        });
        Ok(())
    }

    /// Makes the pod's sandbox if it has none, and the container's log.
    fn prepare(&self, pod: &Pod, container: &str) -> Result<()> {
        if !self.lock().sandboxes.contains_key(&pod.uid) {
            let sandbox = Sandbox::start(pod)?;
            self.lock().sandboxes.insert(pod.uid.clone(), sandbox);
        }
        write_log(pod, container)?;
        let mut state = self.lock();
        let sandbox = state.sandboxes.get_mut(&pod.uid).context("just made")?;
        sandbox.links.push(pod.link(container));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    fn start(pod: &Pod) -> Result<Self> {
        let slice = Cgroup::create(&pod.slice())?;
        let scope = Cgroup::create(&pod.scope(&container_id()))?;
        let pod_for_thread = scope.folder();
        let pause = spawn(&scope, PAUSE)
            .with_context(|| format!("the sandbox in {}", pod_for_thread.display()))?;
        Ok(Self {
            pod: pod.clone(),
            pause,
            scope,
            slice,
            links: Vec::new(),
        })
    }

    fn remove(mut self) -> Result<()> {
        terminate(self.pause.id())?;
        self.pause.wait()?;
        drop(self.scope);
        drop(self.slice);
        for link in self.links {
            fs::remove_file(&link).with_context(|| link.clone())?;
        }
        let logs = self.pod.logs();
        fs::remove_dir_all(&logs).with_context(|| logs.clone())
    }
}

/// Starts the victim in `scope` as the first process of a pid namespace. The namespace is of the thread's children,
/// so the thread does nothing else.
fn spawn(scope: &Cgroup, mode: &[&str]) -> Result<Child> {
    let mut command = scope.command(VICTIM)?;
    command
        .args(mode)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let thread = thread::Builder::new()
        .name("containerd-shim".to_owned())
        .spawn(move || {
            enter_new_pid_namespace()?;
            command
                .spawn()
                .with_context(|| format!("starting {VICTIM}"))
        })?;
    let started = thread.join();
    let mut child = started.map_err(|_panic| anyhow!("a shim panicked"))??;
    if mode != DIE {
        // It says when it is ready. Before, the first process of a namespace would not hear SIGTERM.
        let stdout = child.stdout.as_mut().context("a pipe")?;
        let ready = BufReader::new(stdout).read_line(&mut String::new())?;
        ensure!(ready > 0, "{VICTIM} {} ended at once", mode.join(" "));
    }
    Ok(child)
}

#[expect(
    unsafe_code,
    reason = "rustix marks it so for flags that this is not one of"
)]
fn enter_new_pid_namespace() -> Result<()> {
    // SAFETY: only which namespace this thread's children are made in changes; no descriptor table is unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }
        .context("unsharing the pid namespace")
}

fn terminate(pid: u32) -> Result<()> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(raw.context("a pid is positive")?, Signal::TERM)
        .with_context(|| format!("sending SIGTERM to {pid}"))
}

/// A few lines as the kubelet's log files have them (the CRI's log format), and the link to them.
fn write_log(pod: &Pod, container: &str) -> Result<()> {
    let folder = Path::new(&pod.logs()).join(&pod.container);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let lines: String = (1..=LOG_LINES)
        .map(|n| {
            format!(
                "{:.9} stdout F {}: loading batch {n} of {LOG_LINES}\n",
                now(),
                pod.name
            )
        })
        .collect();
    let instance = fs::read_dir(&folder)?.count();
    let log = folder.join(format!("{instance}.log"));
    fs::write(&log, lines).with_context(|| log.display().to_string())?;
    let link = pod.link(container);
    if let Some(links) = Path::new(&link).parent() {
        fs::create_dir_all(links)?;
    }
    std::os::unix::fs::symlink(&log, &link).with_context(|| link.clone())
}
