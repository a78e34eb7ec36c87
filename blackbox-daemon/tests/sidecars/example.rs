//! The examples of `docs/integration`, and how each is started.
//!
//! Reads the files as they are documented; makes commands with nothing of our own `BLACKBOX_*` environment. A runtime
//! that is missing is a failure that names it.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use xtask::runtimes;

/// The pod that examples are told they are in.
pub(crate) const POD: &str = "checkout-7d9f8";
pub(crate) const NAMESPACE: &str = "shop";
/// Most time for one run: the first start of a JVM on a busy machine is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// An example that is run as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Example {
    program: &'static str,
    file: &'static str,
    /// What it calls its runtime.
    pub(crate) runtime: &'static str,
    /// Some of its measurements and the type of each.
    own_kinds: &'static [(&'static str, &'static str)],
    /// Its code after SIGTERM: a JVM's is always 143.
    pub(crate) code_when_stopped: i32,
}

/// Types that all examples' measurements have.
const COMMON: [(&str, &str); 2] = [
    ("telemetry_errors_total", "application"),
    ("telemetry_dropped_total", "custom"),
];

pub(crate) const CURL: Example = Example {
    program: "sh",
    file: "curl/sidecar.sh",
    runtime: "custom",
    own_kinds: &[
        ("connections_established", "network"),
        ("runtime_uptime_seconds", "runtime"),
    ],
    code_when_stopped: 0,
};

pub(crate) const PYTHON: Example = Example {
    program: "python3",
    file: "python/sidecar.py",
    runtime: "python",
    own_kinds: &[
        ("memory_rss_bytes", "memory"),
        ("heap_blocks", "memory"),
        ("gc_collections_total", "memory"),
        ("cpu_seconds_total", "cpu"),
        ("threads", "cpu"),
        ("sockets_open", "network"),
        ("runtime_version", "runtime"),
    ],
    code_when_stopped: 0,
};

pub(crate) const NODE: Example = Example {
    program: "node",
    file: "node/sidecar.mjs",
    runtime: "nodejs",
    own_kinds: &[
        ("memory_rss_bytes", "memory"),
        ("heap_used_bytes", "memory"),
        ("gc_pauses_total", "memory"),
        ("cpu_seconds_total", "cpu"),
        ("sockets_open", "network"),
        ("runtime_event_loop_delay_max_ms", "runtime"),
    ],
    code_when_stopped: 0,
};

pub(crate) const JAVA: Example = Example {
    program: "java",
    file: "java/Sidecar.java",
    runtime: "jvm",
    own_kinds: &[
        ("heap_used_bytes", "memory"),
        ("gc_collections_total", "memory"),
        ("cpu_seconds_total", "cpu"),
        ("threads", "cpu"),
        ("sockets_open", "network"),
        ("jvm_version", "runtime"),
    ],
    code_when_stopped: 143,
};

impl Example {
    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        root.join("../docs/integration").join(self.file)
    }

    /// A command that runs it against the daemon at `url`.
    pub(crate) fn command(&self, url: &str, key: &str) -> Command {
        let mut command = program(self.program, url, key);
        command.arg(self.path());
        command
    }

    /// Its measurements and their types.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &(&str, &str)> {
        self.own_kinds.iter().chain(&COMMON)
    }
}

/// A command that knows the daemon at `url` and its pod, and dies with its handle.
pub(crate) fn program(name: &str, url: &str, key: &str) -> Command {
    let mut command = Command::new(runtimes::find(name).unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BLACKBOX_") {
            command.env_remove(name);
        }
    }
    command
        .env("BLACKBOX_URL", url)
        .env("BLACKBOX_API_KEY", key)
        .env("BLACKBOX_INTERVAL", "1")
        .env("POD_NAME", POD)
        .env("POD_NAMESPACE", NAMESPACE)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub(crate) async fn run(mut command: Command) -> Output {
    let running = command.output();
    let ended = tokio::time::timeout(LIMIT, running).await;
    let ended = ended.unwrap_or_else(|_| panic!("{command:?} did not end within {LIMIT:?}"));
    ended.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}
