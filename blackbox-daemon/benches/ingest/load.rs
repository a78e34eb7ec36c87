//! The load: `wrk` with a script, and what a server's process spent meanwhile.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

const SECONDS: u32 = 3;
const CONNECTIONS: u32 = 16;
/// Objects in a batch.
const BATCH: usize = 100;
/// Different requests, each of another pod.
const PODS: usize = 32;

/// What one request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Batch,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::One => "1 object, 400 bytes",
            Self::Batch => "100 objects, 40 kB",
        }
    }
}

/// What one turn came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) per_second: f64,
    /// Seconds of processor time, user and system, of the server.
    pub(crate) cpu_per_ten_thousand: f64,
}

/// # Errors
/// `wrk` is missing.
pub(crate) fn require() -> anyhow::Result<()> {
    // It has no command that succeeds without a URL; that it can be started will do.
    match Command::new("wrk").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => bail!("cannot start wrk ({error}): install Debian's package `wrk`"),
    }
}

/// Requests, ready to be sent.
pub(crate) struct Load {
    script: PathBuf,
}

impl Load {
    pub(crate) fn new(directory: &Path, shape: Shape, key: &str) -> anyhow::Result<Self> {
        let mut script = "local bodies = {\n".to_owned();
        for pod in 0..PODS {
            let body = match shape {
                Shape::One => object(pod),
                Shape::Batch => format!("{{\"entries\":[{}]}}", vec![object(pod); BATCH].join(",")),
            };
            writeln!(script, "[==[{body}]==],")?;
        }
        write!(
            script,
            r#"}}
local headers = {{["Authorization"] = "Bearer {key}", ["Content-Type"] = "application/json"}}
local requests, next = {{}}, 0
init = function()
  for i, body in ipairs(bodies) do
    requests[i] = wrk.format("POST", "/api/v1/telemetry", headers, body)
  end
end
request = function()
  next = next % #requests + 1
  return requests[next]
end
done = function(summary)
  local errors = summary.errors
  print(string.format("TOTAL %d %d %d %d", summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"#
        )?;
        let path = directory.join(format!("{shape:?}.lua"));
        std::fs::write(&path, script)?;
        Ok(Self { script: path })
    }

    /// A turn whose figures are not used.
    pub(crate) fn warm(&self, port: u16, pid: u32) -> anyhow::Result<()> {
        self.run(port, pid, 1).map(drop)
    }

    /// # Errors
    /// Anything but 200 was answered.
    pub(crate) fn turn(&self, port: u16, pid: u32) -> anyhow::Result<Turn> {
        self.run(port, pid, SECONDS)
    }

    fn run(&self, port: u16, pid: u32, seconds: u32) -> anyhow::Result<Turn> {
        let before = cpu(pid)?;
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{seconds}s"), "--script"])
            .arg(&self.script)
            .arg(format!("http://127.0.0.1:{port}/api/v1/telemetry"))
            .output()?;
        let spent = cpu(pid)? - before;
        let text = String::from_utf8_lossy(&output.stdout);
        let total = text.lines().find_map(|line| line.strip_prefix("TOTAL "));
        let total = total.with_context(|| format!("wrk said no total: {text}{output:?}"))?;
        let numbers: Vec<f64> = total.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [requests, micros, refused, failed] = numbers[..] else {
            bail!("four numbers are expected: {total}");
        };
        ensure!(
            refused + failed == 0.0,
            "{refused} of {requests} requests were refused, {failed} failed"
        );
        Ok(Turn {
            per_second: requests / micros * 1e6,
            cpu_per_ten_thousand: spent / requests * 1e4,
        })
    }
}

/// What a sidecar of a JVM sends, about 400 bytes.
fn object(pod: usize) -> String {
    format!(
        r#"{{"pod_name":"checkout-7d9f8c6b5-{pod:05}","namespace":"shop","container_id":"containerd://4e1f2b6a9c0d4e1f2b6a9c0d4e1f2b6a9c0d4e1f2b6a9c0d4e1f2b6a9c0d{pod:04}","runtime":"jvm","data":{{"heap_used_mb":412.5,"heap_max_mb":1024,"gc_pause_ms":12.75,"gc_count":1834,"threads":87,"active_connections":17,"queue_depth":3,"last_error":"connection reset by peer","healthy":true}},"tags":{{"version":"2.14.1","zone":"eu-west-1b"}}}}"#
    )
}

/// Seconds of processor time a process has used: fields 14 and 15 of `stat`, in ticks (proc_pid_stat(5)).
fn cpu(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("stat has no name")?;
    let ticks: Vec<u64> = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64)
}
