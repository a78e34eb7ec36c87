//! A daemon whose reports are on a disk of its own, in a mount namespace of its own: when it ends, so does the mount.
//!
//! Its files are seen through `/proc/PID/root`. What lies beside its directory is listed before and after.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use xtask::stage::{Daemon, DaemonOptions};
use xtask::timing::{Stopwatch, wait_for};

use super::client::Client;
use crate::lab::{self, DAEMON, LIMIT, Life, VICTIM, is_about};

/// Its reports are in this folder of its disk.
const REPORTS: &str = "reports";
/// The first line of a report in the reserve begins so.
const MARK: &str = "blackbox-reserve ";
/// What entries of the reserve are aligned to.
const BLOCK: usize = 4096;

/// What is mounted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disk {
    /// ext4 in a file of 48 MiB.
    Ext4,
    /// A tmpfs of 24 MiB with 100 inodes.
    Tmpfs,
    /// ext4 without a journal, in a file with holes on a tmpfs: once that is full, what was never written cannot be.
    Hollow,
}

/// A running daemon on its disk. Dropped, all is gone.
pub(super) struct Ground {
    pub(super) daemon: Daemon,
    pub(super) client: Client,
    options: DaemonOptions,
    /// Holds the mounts while no daemon does.
    holder: Option<Child>,
    root: TempDir,
    before: BTreeMap<PathBuf, Seen>,
}

/// What a file was like: type and mode, owner, size, change of content, content.
type Seen = (u32, u32, u64, i64, Vec<u8>);

impl Ground {
    pub(super) fn start(disk: Disk) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let run = root.path().join("run");
        for folder in ["disk", "outside", "below"] {
            fs::create_dir_all(run.join(folder))?;
        }
        fs::write(run.join("outside/victim"), vec![b'v'; 1 << 20])?;
        let image = run.join("image");
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let script = match disk {
            Disk::Tmpfs => "mount -t tmpfs -o size=24m,nr_inodes=100,mode=755 tmpfs \"$0/disk\"".to_owned(),
            Disk::Ext4 => {
                File::create(&image)?.set_len(48 << 20)?;
                run_to_end("mkfs.ext4", &["-q", "-F", "-m", "0", path(&image)?])?;
                "mount -o loop \"$0/image\" \"$0/disk\"".to_owned()
            }
            Disk::Hollow => "mount -t tmpfs -o size=40m tmpfs \"$0/below\" && truncate -s 100M \"$0/below/image\" && \
                 mkfs.ext4 -q -F -m 0 -O ^has_journal -E lazy_itable_init=0,nodiscard \"$0/below/image\" && \
                 mount -o loop,errors=continue \"$0/below/image\" \"$0/disk\""
                .to_owned(),
        };
        let script = format!("{script} && echo kept > \"$0/disk/neighbour\" && exec \"$@\"");
        let words = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            &script,
            path(&run)?,
        ];
        let output = run.join("disk").join(REPORTS);
        let env = [
            ("BLACKBOX_OUTPUT_PATH", path(&output)?),
            ("BLACKBOX_OUTPUT_FORMATTERS", "default,json"),
            ("BLACKBOX_WATCH_CGROUPS", "/blackbox-test-*"),
            ("BLACKBOX_SETTLE_TIME", "500ms"),
            ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
            // Other tests let die as well, and all deaths of the machine are told here.
            ("BLACKBOX_OUTPUT_RESERVE_BYTES", "8MiB"),
            ("BLACKBOX_API_KEY", super::client::KEY),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_API_PORT", &port.to_string()),
        ];
        let options = DaemonOptions {
            binary: DAEMON.into(),
            directory: run.clone(),
            env: env
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            wrapper: words.map(str::to_owned).into(),
        };
        let mut daemon = Daemon::start(&options)?;
        daemon.wait_ready(LIMIT)?;
        let mut ground = Self {
            daemon,
            client: Client::new(port),
            options,
            holder: None,
            root,
            before: BTreeMap::new(),
        };
        ground.before = ground.inventory()?;
        ensure!(ground.before.len() >= 4, "{:?}", ground.before.keys());
        ground.client.until_degraded(false, LIMIT)?;
        Ok(ground)
    }

    /// Kills the daemon, and starts another on the same disk.
    pub(super) fn restart(&mut self) -> Result<()> {
        let pid = self.daemon.pid().to_string();
        let words = ["--target", &pid, "--mount", "--", "sleep", "600"];
        let holder = self
            .holder
            .insert(Command::new("nsenter").args(words).spawn()?);
        let holder = holder.id().to_string();
        let comm = format!("/proc/{holder}/comm");
        let entered = wait_for(LIMIT, || {
            let name = fs::read_to_string(&comm)?;
            anyhow::Ok((name.trim() == "sleep").then_some(()))
        })?;
        entered.context("nsenter does not enter")?;
        self.daemon.signal(rustix::process::Signal::KILL)?;
        self.daemon.stop()?;
        let words = ["nsenter", "--target", &holder, "--mount", "--"];
        self.options.wrapper = words.map(str::to_owned).into();
        self.daemon = Daemon::start(&self.options)?;
        self.client.forget();
        self.daemon.wait_ready(LIMIT)
    }

    /// A path of its run, as its own mounts show it.
    pub(super) fn inside(&self, name: &str) -> PathBuf {
        let run = self.root.path().join("run").join(name);
        let seen = PathBuf::from(format!("/proc/{}/root", self.daemon.pid()));
        seen.join(run.strip_prefix("/").unwrap_or(&run))
    }

    /// The directory of its reports.
    pub(super) fn reports(&self) -> PathBuf {
        self.inside("disk").join(REPORTS)
    }

    /// Does something in its mount namespace.
    pub(super) fn enter(&self, words: &[&str]) -> Result<()> {
        let pid = self.daemon.pid().to_string();
        let mut all = vec!["--target", &pid, "--mount", "--"];
        all.extend(words);
        run_to_end("nsenter", &all)
    }

    /// The path of its disk in its own namespace.
    pub(super) fn own(&self, name: &str) -> Result<String> {
        Ok(path(&self.root.path().join("run").join(name))?.to_owned())
    }

    /// Lets a process die and returns its pid.
    pub(super) fn death(&self, name: &str) -> Result<u32> {
        let cgroup = lab::cgroup(name)?;
        Life::start(&cgroup, VICTIM, &["sleep"])?.kill()
    }

    /// Waits for the JSON file about a process; how long that took.
    pub(super) fn until_file(&self, pid: u32, limit: Duration) -> Result<Duration> {
        self.until(limit, "no report as a file", |ground| {
            let mut files = ground.files("json")?.into_iter();
            Ok(files.any(|report| is_about(&report, pid)))
        })
    }

    /// Waits for a whole JSON report about a process in the reserve; how long that took.
    pub(super) fn until_reserved(&self, pid: u32, limit: Duration) -> Result<Duration> {
        self.until(limit, "no report in the reserve", |ground| {
            let mut reports = ground.reserved()?.into_iter();
            Ok(reports.any(|report| is_about(&report, pid)))
        })
    }

    fn until(
        &self,
        limit: Duration,
        complaint: &str,
        done: impl Fn(&Self) -> Result<bool>,
    ) -> Result<Duration> {
        let watch = Stopwatch::start();
        let found = wait_for(limit, || Ok::<_, anyhow::Error>(done(self)?.then_some(())))?;
        found.with_context(|| format!("{complaint}\n{}", self.daemon.log().unwrap_or_default()))?;
        Ok(watch.elapsed())
    }

    /// The JSON reports that are files. Each must be whole.
    pub(super) fn files(&self, ending: &str) -> Result<Vec<Value>> {
        let entries = match fs::read_dir(self.reports()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut reports = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == ending) {
                reports.push(serde_json::from_slice(&fs::read(&path)?).context("half a report")?);
            }
        }
        Ok(reports)
    }

    /// The JSON reports in the reserve.
    fn reserved(&self) -> Result<Vec<Value>> {
        let bytes = match fs::read(self.reports().join(".reserve")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes?,
        };
        let (mut reports, mut rest) = (Vec::new(), &bytes[..]);
        while rest.starts_with(MARK.as_bytes()) {
            let line = rest
                .split(|byte| *byte == b'\n')
                .next()
                .context("no line")?;
            let text = String::from_utf8_lossy(line);
            let words: Vec<&str> = text.split(' ').collect();
            let length: usize = words.get(2).context("no length")?.parse()?;
            let body = &rest[line.len() + 1..][..length];
            if text.ends_with(".json") {
                reports.extend(serde_json::from_slice::<Value>(body).ok());
            }
            let used = line.len() + 1 + length;
            rest = &rest[used.next_multiple_of(BLOCK).min(rest.len())..];
        }
        Ok(reports)
    }

    /// Takes every block there is on a file system, and every one that becomes free within a second.
    pub(super) fn fill(&self, below: &str) -> Result<PathBuf> {
        let hog = self.inside(below).join("hog");
        let mut file = File::create(&hog)?;
        for size in [1 << 20, 4096, 1] {
            loop {
                match file.write_all(&vec![b'h'; size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        ensure!(
            File::create(hog.with_extension("more"))
                .and_then(|mut more| more.write_all(b"x"))
                .is_err()
        );
        Ok(hog)
    }

    /// Takes every inode there is on its disk; returns those files.
    pub(super) fn fill_inodes(&self) -> Result<Vec<PathBuf>> {
        let mut hogs = Vec::new();
        loop {
            let hog = self.inside("disk").join(format!("hog-{}", hogs.len()));
            match File::create(&hog) {
                Ok(_) => hogs.push(hog),
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(hogs),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Everything beside its directory, its log and the images of disks.
    fn inventory(&self) -> Result<BTreeMap<PathBuf, Seen>> {
        let mut seen = BTreeMap::new();
        let reports = self.reports();
        let mut folders = vec![self.inside("")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                if path == reports
                    || name.starts_with("hog")
                    || ["daemon.log", "image", "lost+found"].contains(&&*name)
                {
                    continue;
                }
                let meta = fs::symlink_metadata(&path)?;
                let content = match meta.is_file() {
                    true => fs::read(&path)?,
                    false => Vec::new(),
                };
                if meta.is_dir() {
                    folders.push(path.clone());
                }
                let changed = if meta.is_file() { meta.mtime_nsec() } else { 0 };
                let size = content.len() as u64;
                let path = path.strip_prefix(self.inside(""))?.to_owned();
                seen.insert(path, (meta.mode(), meta.uid(), size, changed, content));
            }
        }
        Ok(seen)
    }

    /// It lives, works again, and nothing beside its directory has changed.
    pub(super) fn finish(&mut self) -> Result<()> {
        ensure!(
            self.daemon.ended()?.is_none(),
            "it died: {}",
            self.daemon.log()?
        );
        let after = self.inventory()?;
        let names = |seen: &BTreeMap<PathBuf, Seen>| seen.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&self.before));
        assert!(
            after == self.before,
            "something beside its directory was changed"
        );
        let status = self.daemon.stop()?;
        assert_eq!(status.code(), Some(0), "{}", self.daemon.log()?);
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            // It sleeps, or has ended.
            holder.kill().ok();
            holder.wait().ok();
        }
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn run_to_end(program: &str, words: &[&str]) -> Result<()> {
    let mut command = Command::new(program);
    let output = command
        .args(words)
        .stdin(Stdio::null())
        .output()
        .context(program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words:?}: {said}");
    Ok(())
}
