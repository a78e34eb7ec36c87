//! What the host and the machine say to each other: one JSON object a line, over a virtio serial port.
//!
//! The host plays the kubelet and gives orders; the machine plays the container runtime, and tells what became of them.
//! All times are of the machine's wall clock.

use std::io::{self, Write};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::pod::Pod;

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
    /// Wait for this many reports and a while longer, stop the daemon, send the reports, switch the machine off.
    Finish { reports: usize },
}

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
    Up { kernel: String },
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
