//! The virtual machine: qemu, started with a kernel and an initramfs, spoken to over a virtio serial port.
//!
//! Emulated in software, since KVM is seldom to be had where tests run. It has a time limit, and is ended by its own process alone.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::protocol::{self, News, Order};
use crate::exec;
use crate::setup;
use crate::timing::{Stopwatch, wait_for};

/// Without `cx16`: some 6.12 kernels take a double fault at boot when it is emulated.
const CPU: &str = "max,-cx16";
const CPUS: &str = "2";

/// qemu makes its socket right after it starts.
const SOCKET_LIMIT: Duration = Duration::from_secs(20);
/// From the last word to the end of the process.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(120);
/// News that wait to be heard; more are left in the port.
const QUEUE: usize = 1024;

/// What to boot.
pub(super) struct Boot<'a> {
    pub(super) image: &'a Path,
    pub(super) initramfs: &'a Path,
    /// The machine's host name.
    pub(super) node: &'a str,
    /// Where `console.log` and `reports.tar` go.
    pub(super) directory: &'a Path,
    /// Whether it has a network card. Through it the host's loopback is 10.0.2.2, and nothing else is used.
    pub(super) network: bool,
    /// A qcow2 image, mounted at `/disk`. Its cache is of the writing kind: what the machine has not flushed may be lost.
    pub(super) disk: Option<&'a Path>,
    /// The files it boots into take their size twice.
    pub(super) memory_mib: u32,
    /// Emulate its processors in turns. At once they are faster, but now and then one runs into code of the kernel that another is
    /// changing (an oops, `int3`): the more often programs are attached under load, the more.
    pub(super) in_turns: bool,
    /// It is killed after this.
    pub(super) limit: Duration,
}

/// A running machine. Dropped, it is killed.
pub(super) struct Machine {
    child: Child,
    to: UnixStream,
    /// With the time since each was heard.
    news: Receiver<(Stopwatch, News)>,
    console: PathBuf,
    started: Stopwatch,
    limit: Duration,
}

impl Machine {
    /// Installs what is missing of qemu and busybox.
    ///
    /// # Errors
    /// Something is missing and cannot be installed.
    pub(super) fn ensure_tools() -> Result<()> {
        let missing = |path: &str| !Path::new(path).is_file();
        let mut packages = Vec::new();
        if missing("/usr/bin/qemu-system-x86_64") {
            packages.extend(["qemu-system-x86".to_owned(), "seabios".to_owned()]);
        }
        if missing("/bin/busybox") {
            packages.push("busybox-static".to_owned());
        }
        if missing("/usr/bin/qemu-img") {
            packages.push("qemu-utils".to_owned());
        }
        if missing("/usr/sbin/mkfs.ext4") || missing("/usr/sbin/debugfs") {
            packages.push("e2fsprogs".to_owned());
        }
        if !exec::works(Command::new("strip").arg("--version")) {
            packages.push("binutils".to_owned());
        }
        setup::install(&packages)
    }

    /// Starts the machine. It says [`News::Up`] when it takes orders.
    ///
    /// # Errors
    /// qemu cannot be started.
    pub(super) fn boot(boot: &Boot<'_>) -> Result<Self> {
        let console = boot.directory.join("console.log");
        let socket = boot.directory.join("port");
        let mut command = command(boot, &socket, &console)?;
        let mut child = command.spawn().with_context(|| exec::line(&command))?;
        let to = match connect(&mut child, &socket) {
            Ok(to) => to,
            Err(error) => {
                child.kill().ok();
                child.wait().ok();
                return Err(error.context(exec::line(&command)));
            }
        };
        let (sender, news) = sync_channel(QUEUE);
        let from = to.try_clone()?;
        thread::spawn(move || listen(from, &sender));
        Ok(Self {
            child,
            to,
            news,
            console,
            started: Stopwatch::start(),
            limit: boot.limit,
        })
    }

    /// Gives an order.
    ///
    /// # Errors
    /// The machine is gone.
    pub(super) fn order(&mut self, order: &Order) -> Result<()> {
        protocol::say(&mut self.to, order).with_context(|| self.account("it takes no orders"))
    }

    /// The next of its news, if there is one within `patience`.
    ///
    /// # Errors
    /// It failed, its time is up, or it ended: with the end of its console.
    pub(super) fn hear(&mut self, patience: Duration) -> Result<Option<News>> {
        let heard = self.hear_when(patience)?;
        Ok(heard.map(|(_, news)| news))
    }

    /// As [`Self::hear`], with a stopwatch that was started when the news came out of the port.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub(super) fn hear_when(&mut self, patience: Duration) -> Result<Option<(Stopwatch, News)>> {
        ensure!(
            self.started.elapsed() < self.limit,
            self.account(&format!("not done after {} s", self.limit.as_secs()))
        );
        match self.news.recv_timeout(patience) {
            Ok((_, News::Failed { why })) => bail!(self.account(&why)),
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!(self.account("it ended")),
        }
    }

    /// Waits until it says what `wanted` takes, leaving out other news.
    ///
    /// # Errors
    /// As [`Self::hear`], or not within `limit`.
    pub(super) fn expect<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(News) -> Option<T>,
    ) -> Result<T> {
        let watch = Stopwatch::start();
        while watch.elapsed() < limit {
            if let Some(news) = self.hear(Duration::from_millis(200))?
                && let Some(found) = wanted(news)
            {
                return Ok(found);
            }
        }
        bail!(self.account(&format!("no answer after {} s", limit.as_secs())))
    }

    /// Waits for the end of the process: after [`News::Done`] it switches itself off.
    ///
    /// # Errors
    /// It goes on.
    pub(super) fn wait_off(&mut self) -> Result<()> {
        let off = wait_for(POWER_OFF_LIMIT, || self.child.try_wait())?;
        off.with_context(|| self.account("it does not switch itself off"))?;
        Ok(())
    }

    /// Cuts its power: SIGKILL, and what was in qemu's memory is gone. Returns a stopwatch that was started right before,
    /// and what the machine had still said.
    ///
    /// # Errors
    /// It had ended on its own.
    pub(super) fn cut(mut self) -> Result<(Stopwatch, Vec<(Stopwatch, News)>)> {
        let at = Stopwatch::start();
        self.child.kill().context("killing qemu")?;
        let status = self.child.wait().context("waiting for qemu")?;
        ensure!(
            status.signal() == Some(libc::SIGKILL),
            self.account(&format!("it ended before its power was cut: {status}"))
        );
        Ok((at, self.news.iter().collect()))
    }

    /// A complaint, with the end of the console.
    fn account(&self, complaint: &str) -> String {
        let text = fs::read(&self.console).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(30)..].join("\n");
        format!("the machine: {complaint}\n{end}")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            // Reaped or not, there is nobody to tell.
            self.child.wait().ok();
        }
    }
}

fn command(boot: &Boot<'_>, socket: &Path, console: &Path) -> Result<Command> {
    let path = |path: &Path| path.display().to_string();
    let mut command = Command::new("qemu-system-x86_64");
    command
        .arg("-accel")
        .arg(match boot.in_turns {
            true => "tcg,thread=single",
            false => "tcg,thread=multi",
        })
        .args([
            "-cpu",
            CPU,
            "-smp",
            CPUS,
            "-m",
            &boot.memory_mib.to_string(),
        ])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-no-reboot", "-serial", "stdio"])
        .arg("-kernel")
        .arg(boot.image)
        .arg("-initrd")
        .arg(boot.initramfs)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 panic=-1 loglevel=4 BLACKBOX_VM_NODE={}",
            boot.node
        ))
        .args(["-device", "virtio-serial-pci"])
        .arg("-chardev")
        .arg(format!(
            "socket,id=words,path={},server=on,wait=off",
            path(socket)
        ))
        .args(["-device", "virtserialport,chardev=words,nr=1"])
        .arg("-chardev")
        .arg(format!(
            "file,id=reports,path={}",
            path(&boot.directory.join("reports.tar"))
        ))
        .args(["-device", "virtserialport,chardev=reports,nr=2"]);
    if boot.network {
        command.args(["-netdev", "user,id=net,restrict=off"]);
        command.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    } else {
        command.args(["-nic", "none"]);
    }
    if let Some(disk) = boot.disk {
        let drive = format!(
            "if=none,id=disk,format=qcow2,cache=writeback,file={}",
            path(disk)
        );
        command.arg("-drive").arg(drive);
        command.args(["-device", "virtio-blk-pci,drive=disk"]);
    }
    let log = File::create(console).with_context(|| path(console))?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

fn connect(child: &mut Child, socket: &Path) -> Result<UnixStream> {
    let connected = wait_for(SOCKET_LIMIT, || {
        if let Some(status) = child.try_wait()? {
            bail!("qemu ended: {status}");
        }
        Ok(UnixStream::connect(socket).ok())
    })?;
    connected.context("qemu made no socket")
}

/// Passes on what the machine says until it is gone, or nobody listens.
fn listen(from: UnixStream, sender: &SyncSender<(Stopwatch, News)>) {
    for line in BufReader::new(from).lines() {
        let news = match line {
            Ok(line) => protocol::understand(&line).unwrap_or_else(|error| News::Failed {
                why: format!("{error:#}"),
            }),
            Err(_) => return,
        };
        if sender.send((Stopwatch::start(), news)).is_err() {
            return;
        }
    }
}
