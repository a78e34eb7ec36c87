//! A program as process 1 of a container: a cgroup named like a runtime's, and pid and mount namespaces of its own.
//!
//! Its parent stays outside, as a container runtime's shim does. Mounts end with the namespace; cgroups go when the
//! container is dropped. Its output goes through pipes to a log file.
#![expect(
    unsafe_code,
    reason = "namespaces and mounts are entered between fork and exec"
)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::cases::{Case, Need};
use crate::deaths::container_id;
use crate::stage::Cgroup;
use crate::timing::wait_for;

/// How long a program may take to die.
const DEATH_LIMIT: Duration = Duration::from_secs(45);

/// Where cgroup v1 has its pids controller.
const PIDS: &str = "/sys/fs/cgroup/pids";

/// A started case.
pub(super) struct Container {
    child: Child,
    pub(super) cgroup: Cgroup,
    _pids: Option<PidsCgroup>,
}

impl Container {
    /// Starts `words` in `folder`.
    ///
    /// # Errors
    /// The cgroup or a namespace cannot be made, or the program cannot be started.
    pub(super) fn start(case: &Case, words: &[PathBuf], folder: &Path) -> Result<Self> {
        let root = root();
        let cgroup = Cgroup::create(&format!("{root}/docker-{}.scope", container_id()))?;
        cgroup.set_memory_limit(case.memory_mib << 20)?;
        let pids = case
            .pids
            .map(|most| PidsCgroup::create(case.name, most, &cgroup))
            .transpose()?;
        let [program, arguments @ ..] = words else {
            bail!("nothing to start");
        };
        let mut command = cgroup.command(program)?;
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let processes = pids.as_ref().map(PidsCgroup::processes).transpose()?;
        let disk = match case.need {
            Need::SmallDisk => {
                let data = folder.join("data");
                fs::create_dir_all(&data)?;
                Some(CString::new(data.as_os_str().as_bytes())?)
            }
            _ => None,
        };
        let files = case.files;
        // SAFETY: system calls with what was made before fork; nothing is allocated or locked.
        unsafe {
            command.pre_exec(move || {
                if let Some(processes) = &processes {
                    rustix::io::write(processes, b"0")?;
                }
                enter(disk.as_ref(), files)
            });
        }
        let mut child = in_new_pid_namespace(move || command.spawn())
            .with_context(|| format!("starting {}", case.name))?;
        let log = File::create(folder.join("output.log"))?;
        let streams: [Option<Box<dyn io::Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for mut stream in streams.into_iter().flatten() {
            let mut log = log.try_clone()?;
            // Ends with the last process that has the pipe.
            thread::spawn(move || io::copy(&mut stream, &mut log));
        }
        Ok(Self {
            child,
            cgroup,
            _pids: pids,
        })
    }

    /// The first process, as the host counts.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the first process a signal from outside.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("a pid is positive")?, signal)
            .with_context(|| format!("sending {signal:?}"))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It takes too long.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        wait_for(DEATH_LIMIT, || self.child.try_wait())?
            .with_context(|| format!("it did not die within {} s", DEATH_LIMIT.as_secs()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The end of process 1 is the end of all of them. Both fail where it has ended, and that is well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The cgroup above all containers of this run.
pub(super) fn root() -> String {
    format!("blackbox-zoo-{}", std::process::id())
}

/// Runs `spawn` where the next child is process 1 of a new pid namespace: in a thread that ends with it.
fn in_new_pid_namespace(
    spawn: impl FnOnce() -> io::Result<Child> + Send + 'static,
) -> Result<Child> {
    let thread = thread::spawn(move || {
        // SAFETY: takes an integer; it concerns the children of this thread only.
        if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
            return Err(io::Error::last_os_error());
        }
        spawn()
    });
    match thread.join() {
        Ok(child) => child.context("as process 1 of a pid namespace"),
        Err(_panic) => bail!("the thread that starts it panicked"),
    }
}

/// What the first process does before it becomes the program: its own mounts, `/proc`, a disk, a limit of files.
fn enter(disk: Option<&CString>, files: Option<u64>) -> io::Result<()> {
    let done = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    };
    let none = std::ptr::null();
    // SAFETY: every pointer is null or a string with an end, and lives through the call.
    unsafe {
        done(libc::unshare(libc::CLONE_NEWNS))?;
        let private = libc::MS_REC | libc::MS_PRIVATE;
        done(libc::mount(none, c"/".as_ptr(), none, private, none.cast()))?;
        let proc = c"proc".as_ptr();
        done(libc::mount(proc, c"/proc".as_ptr(), proc, 0, none.cast()))?;
        if let Some(disk) = disk {
            let tmpfs = c"tmpfs".as_ptr();
            let size = c"size=2m".as_ptr();
            done(libc::mount(tmpfs, disk.as_ptr(), tmpfs, 0, size.cast()))?;
        }
        if let Some(files) = files {
            let limit = libc::rlimit {
                rlim_cur: files,
                rlim_max: files,
            };
            done(libc::setrlimit(libc::RLIMIT_NOFILE, &limit))?;
        }
    }
    Ok(())
}

/// A limit of processes: of its own in cgroup v1, a file of the container's cgroup in v2.
struct PidsCgroup {
    folder: PathBuf,
    own: bool,
}

impl PidsCgroup {
    fn create(name: &str, most: u32, container: &Cgroup) -> Result<Self> {
        let own = Path::new(PIDS).join("cgroup.procs").is_file();
        let folder = match own {
            true => Path::new(PIDS).join(format!("{}-{name}", root())),
            false => container.folder(),
        };
        if own {
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let limit = Self { folder, own };
        let file = limit.folder.join("pids.max");
        fs::write(&file, most.to_string()).with_context(|| file.display().to_string())?;
        Ok(limit)
    }

    fn processes(&self) -> Result<File> {
        let path = self.folder.join("cgroup.procs");
        let file = File::options().write(true).open(&path);
        file.with_context(|| path.display().to_string())
    }
}

impl Drop for PidsCgroup {
    fn drop(&mut self) {
        if self.own {
            // Busy until the last process is reaped; whatever goes wrong, there is nobody to tell.
            wait_for(Duration::from_secs(3), || {
                Ok::<_, io::Error>(fs::remove_dir(&self.folder).ok())
            })
            .ok();
        }
    }
}
