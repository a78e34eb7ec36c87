//! What the host and the machine say to each other: one JSON object a line, over a virtio serial port.
//!
//! The host plays the kubelet and gives orders; the machine plays the container runtime, and tells what became of them.
//! All times are of the machine's wall clock.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::matrix::exam::Answer;
use super::pod::Pod;
use crate::deaths::{Death, Truth};

/// Where the daemon's API is, and the key to it.
pub(super) const API_PORT: u16 = 8080;
pub(super) const METRICS_PORT: u16 = 9090;
pub(super) const API_KEY: &str = "only-in-this-machine";

/// What the kubelet asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// Record, with these variables in the daemon's environment; answered by [`News::Recording`].
    Record { env: Vec<(String, String)> },
    /// Run a container; the pod's sandbox is made first if it is not there.
    Run {
        pod: Pod,
        container: String,
        life: Life,
    },
    /// Send SIGTERM to a container.
    Stop { container: String },
    /// End the sandbox, remove the pod's cgroup and logs. Its containers have ended.
    Remove { uid: String },
    /// Limit the memory of the daemon that is started next.
    LimitMemory { bytes: u64 },
    /// Limit the daemon to a share of one processor.
    LimitCpu { percent: u64 },
    /// Flood the node with failing calls, in so many cgroups, and with short-lived processes; answered by [`News::Stormed`].
    Storm { seconds: u64, floods: u64 },
    /// Examine daemon and kernel; answered by [`News::Examined`].
    Examine,
    /// Set the wall clock to `nanos` after 1970.
    SetClock { nanos: i64 },
    /// Kill the daemon and start it again; answered by [`News::Restarted`].
    Restart,
    /// Read what the daemon uses and counts; answered by [`News::Measured`].
    Measure,
    /// Submit telemetry as a sidecar does, one object each `every_ms`, and let calls fail; each object that the daemon takes is
    /// told by [`News::Accepted`].
    Load { every_ms: u64 },
    /// Let a process die; answered by [`News::Staged`].
    Stage { death: Death },
    /// Read the reports; answered by [`News::Seen`].
    Look { wanted: Wanted },
    /// Wait for this many reports and a while longer, stop the daemon, send the reports, switch the machine off.
    Finish { reports: usize },
}

/// Which reports are waited for, for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    /// The boot they are of.
    pub(super) boot: String,
    /// Types of incidents, each at least once.
    pub(super) kinds: Vec<String>,
    /// Processes that died.
    pub(super) pids: Vec<u32>,
    /// How long is waited, s.
    pub(super) patience: u64,
}

/// What is read of a report's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) file: String,
    /// The incident's type.
    pub(super) kind: String,
    /// The boot it is of.
    pub(super) boot: String,
    /// Who died, if a process did.
    pub(super) pid: Option<u32>,
    /// It was written in this boot.
    pub(super) fresh: bool,
}

/// What the daemon uses, and what it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Most memory of its cgroup, bytes; the kernel's for it too.
    pub(super) peak: u64,
    pub(super) current: u64,
    /// `memory.events`.
    pub(super) events: BTreeMap<String, u64>,
    /// `memory.stat`.
    pub(super) memory: BTreeMap<String, u64>,
    /// `cpu.stat`.
    pub(super) cpu: BTreeMap<String, u64>,
    /// How far back each lane of the window reaches, s.
    pub(super) reach: BTreeMap<String, u64>,
    /// Records, by the labels of the metric.
    pub(super) lost: BTreeMap<String, u64>,
    pub(super) recorded: BTreeMap<String, u64>,
}

impl Measured {
    /// Lost records that are rare and decisive.
    pub(super) fn lost_decisive(&self) -> u64 {
        let of = |class: &str, labels: &str| labels.contains(&format!("class=\"{class}\""));
        let decisive =
            |(labels, _): &(&String, &u64)| DECISIVE.iter().any(|class| of(class, labels));
        self.lost
            .iter()
            .filter(decisive)
            .map(|(_, count)| count)
            .sum()
    }
}

/// The classes that come through the kernel's ring for decisive records.
const DECISIVE: [&str; 8] = [
    "exec",
    "exit",
    "signal",
    "oom",
    "crash_stack",
    "words",
    "last_call",
    "cgroup_lifecycle",
];

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Life {
    /// Allocates until the kernel ends it.
    OutOfMemory,
    /// Goes on until SIGTERM, which it handles, and then ends with code 143.
    Serve,
    /// The same without a handler: it waits for the signal, as the small init programs of containers do.
    ServeAsInit,
}

impl Life {
    /// Either way to serve, in turns.
    pub(super) fn serving(number: usize) -> Self {
        match number % 2 {
            0 => Self::Serve,
            _ => Self::ServeAsInit,
        }
    }
}

/// What the runtime tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum News {
    /// It is there and takes orders.
    Up { kernel: String, boot: String },
    /// The daemon records.
    Recording,
    /// A container runs.
    Started {
        container: String,
        pid: u32,
        at: Timestamp,
    },
    /// A container's main process was reaped.
    Ended {
        container: String,
        signal: Option<i32>,
        code: Option<i32>,
        at: Timestamp,
    },
    /// Nothing is left of a pod.
    Removed { uid: String },
    /// When a report file was last written to before it got its name.
    Written { file: String, at: Timestamp },
    /// The daemon has taken a telemetry object, at `at` ns of boot time or a little before.
    Accepted { counter: u64, at: u64 },
    /// A death was staged, and was over at `at` ns of boot time.
    Staged { truth: Truth, at: u64 },
    /// The storm is over; what those who made it say of it.
    Stormed { said: String },
    /// It records again. `read`: what it says of the window of its former life.
    Restarted { read: String },
    /// What came of the exam.
    Examined { answers: Vec<Answer> },
    /// As of now.
    Measured(Measured),
    /// What is in the directory of reports. `broken`: files that are not whole, and why.
    Seen {
        reports: Vec<Seen>,
        bundles: usize,
        broken: Vec<String>,
    },
    /// The daemon has ended, and everything it wrote is on its way.
    Done { daemon: String, cpu_ms: u64 },
    /// Something could not be done: nothing is proven about the recorder.
    Failed { why: String },
}

/// Writes one line.
///
/// # Errors
/// The other side is gone.
pub(super) fn say(to: &mut impl Write, words: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(words)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Understands one line.
///
/// # Errors
/// It is something else.
pub(super) fn understand<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("not understood: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_way() {
        let news = News::Ended {
            container: "ab".to_owned(),
            signal: Some(9),
            code: None,
            at: Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap(),
        };
        let mut line = Vec::new();
        say(&mut line, &news).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(understand::<News>(line.trim_end()).unwrap(), news);
        assert!(understand::<News>("[    1.5] kernel: hello").is_err());
    }
}
