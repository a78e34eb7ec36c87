//! The node: everything built, packed and booted; at the end, the reports.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::clerks::{Clerks, Credentials};
use super::machine::Machine;
use super::packed::{NAME, Packed, Size};
use super::protocol::{News, Order};
use super::report::Written;
use crate::build_ebpf;
use crate::cargo::{cargo, target_directory};
use crate::exec::{self, step};

const RECORDING_LIMIT: Duration = Duration::from_secs(180);
const REPORTS_LIMIT: Duration = Duration::from_secs(1200);
/// The files it boots into, the reports it writes, and room for 200 containers.
const MEMORY_MIB: u32 = 4096;
/// The machine is killed after this.
const LIMIT: Duration = Duration::from_secs(3000);
const KUBECONFIG: &str = "/etc/blackbox/kubeconfig";

const AUTHORITY: &str = "/etc/blackbox/ca.crt";

/// How the daemon reaches the API server.
pub(super) struct Access {
    kubeconfig: Value,
    /// The certificate of who signed the server's, in PEM.
    authority: String,
    /// Whether it is outside of the machine.
    network: bool,
}

impl Access {
    /// To a server that is down: nothing listens there.
    ///
    /// # Errors
    /// A certificate cannot be made.
    pub(super) fn down() -> Result<Self> {
        let key = KeyPair::generate()?;
        let authority = CertificateParams::new(Vec::new())?.self_signed(&key)?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {
                "server": "https://127.0.0.1:1", "certificate-authority": AUTHORITY}}],
            "users": [{"name": "u", "user": {"token": "none"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        Ok(Self {
            kubeconfig,
            authority: authority.pem(),
            network: false,
        })
    }

    /// To the host's API server.
    ///
    /// # Errors
    /// It gives no credentials.
    pub(super) fn up(clerks: &Clerks) -> Result<Self> {
        let Credentials {
            kubeconfig,
            authority,
        } = clerks.credentials(Path::new(AUTHORITY))?;
        let authority =
            fs::read_to_string(&authority).with_context(|| authority.display().to_string())?;
        Ok(Self {
            kubeconfig,
            authority,
            network: true,
        })
    }
}

/// Which daemon records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// Optimised, as it is shipped.
    Shipped,
    /// The one that other tests have built. Emulated, it takes seconds to make a report of a whole minute.
    Tested,
}

impl Build {
    /// By a command's option.
    pub(super) fn chosen(tested: bool) -> Self {
        match tested {
            true => Self::Tested,
            false => Self::Shipped,
        }
    }

    /// How far back its window reaches.
    pub(super) fn window(self) -> &'static str {
        match self {
            Self::Shipped => "60s",
            Self::Tested => "10s",
        }
    }

    /// Builds it, if it is not built yet; gives the folder it is in.
    pub(super) fn programs(self) -> Result<PathBuf> {
        let target = target_directory()?;
        match self {
            Self::Tested => Ok(target.join("debug")),
            Self::Shipped => {
                build_ebpf::build(&build_ebpf::Options::default())?;
                let mut command = cargo();
                command.args(["build", "--quiet", "--release"]).args([
                    "--package",
                    "blackbox-daemon",
                    "--bins",
                ]);
                step("vm: building the daemon", || exec::run(&mut command))?;
                Ok(target.join("release"))
            }
        }
    }
}

/// A booted machine.
pub(super) struct Node {
    pub(super) machine: Machine,
    /// Its `uname -r`.
    pub(super) kernel: String,
    /// Where what it leaves behind goes.
    directory: PathBuf,
}

/// What the recorder wrote.
pub(super) struct Recorded {
    pub(super) reports: Vec<Written>,
    /// What the daemon used of a processor.
    pub(super) cpu_ms: u64,
    pub(super) directory: PathBuf,
}

impl Node {
    /// Builds what is needed and boots the newest kernel of `series`.
    ///
    /// # Errors
    /// Something is missing, does not build, or the machine does not come up.
    pub(super) fn start(series: &str, build: Build, access: &Access) -> Result<Self> {
        let work = tempfile::tempdir()?;
        let (kubeconfig, authority) = (work.path().join("kubeconfig"), work.path().join("ca.crt"));
        fs::write(&kubeconfig, access.kubeconfig.to_string())?;
        fs::write(&authority, &access.authority)?;
        let files = [(&*kubeconfig, KUBECONFIG), (&*authority, AUTHORITY)];
        let packed = Packed::make(series, build, &files, access.network)?;
        let booted = packed.boot(Size {
            disk: None,
            memory_mib: MEMORY_MIB,
            in_turns: false,
            limit: LIMIT,
        })?;
        Ok(Self {
            machine: booted.machine,
            kernel: booted.kernel,
            directory: packed.forget()?,
        })
    }

    /// Starts the daemon.
    ///
    /// # Errors
    /// It does not record.
    pub(super) fn record(&mut self, build: Build) -> Result<()> {
        let env = [
            ("BLACKBOX_KUBERNETES", "on"),
            ("KUBECONFIG", KUBECONFIG),
            ("NODE_NAME", NAME),
            ("BLACKBOX_BUFFER_WINDOW_SIZE", build.window()),
            ("BLACKBOX_API_KEY", "only-in-this-machine"),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_STATE_DIR", "/run/blackbox-state"),
            ("BLACKBOX_OUTPUT_FORMATTERS", "json"),
            ("BLACKBOX_OUTPUT_MAX_FILES", "10000"),
            ("BLACKBOX_OUTPUT_MAX_BYTES", "2GiB"),
        ];
        let env = env.map(|(key, value)| (key.to_owned(), value.to_owned()));
        step("vm: starting the daemon", || {
            self.machine.order(&Order::Record { env: env.into() })?;
            let recording = |news| matches!(news, News::Recording).then_some(());
            self.machine.expect(RECORDING_LIMIT, recording)
        })
    }

    /// Waits for `expected` reports, ends the daemon, switches the machine off, and reads what it wrote.
    ///
    /// # Errors
    /// The machine fails, or a report cannot be read.
    pub(super) fn finish(mut self, expected: usize) -> Result<Recorded> {
        self.machine.order(&Order::Finish { reports: expected })?;
        let mut files = Vec::new();
        let (status, cpu_ms) = self.machine.expect(REPORTS_LIMIT, |news| match news {
            News::Written { file, at } => {
                files.push((file, at));
                None
            }
            News::Done { daemon, cpu_ms } => Some((daemon, cpu_ms)),
            _ => None,
        })?;
        self.machine.wait_off()?;
        let archive = self.directory.join("reports.tar");
        let mut unpack = Command::new("tar");
        unpack
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(&self.directory);
        exec::run(&mut unpack)?;
        fs::remove_file(&archive)?;
        anyhow::ensure!(
            status == "exit status: 0",
            "the daemon ended with {status}: {}",
            self.directory.join("daemon.log").display()
        );
        let read = |(file, at)| {
            let path = self.directory.join("reports").join(file);
            let open = File::open(&path).with_context(|| path.display().to_string())?;
            let report = serde_json::from_reader(BufReader::new(open))
                .with_context(|| format!("{} is no report", path.display()))?;
            Ok(Written { report, at })
        };
        Ok(Recorded {
            reports: files.into_iter().map(read).collect::<Result<_>>()?,
            cpu_ms,
            directory: self.directory,
        })
    }
}
