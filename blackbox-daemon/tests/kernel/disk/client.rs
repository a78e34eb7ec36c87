//! A client of the API with one connection, opened before anything breaks: a daemon without descriptors takes no other.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use xtask::timing::{Stopwatch, wait_for};

pub(super) const KEY: &str = "the key of this test";

pub(super) struct Client {
    port: u16,
    open: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(super) fn new(port: u16) -> Self {
        Self { port, open: None }
    }

    /// Connects anew next time.
    pub(super) fn forget(&mut self) {
        self.open = None;
    }

    /// The answer to a GET as JSON, whatever its status.
    pub(super) fn get(&mut self, path: &str) -> Result<Value> {
        let answer = self.try_get(path);
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    fn try_get(&mut self, path: &str) -> Result<Value> {
        let stream = match &mut self.open {
            Some(open) => open,
            closed => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                closed.insert(BufReader::new(stream))
            }
        };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: node\r\nAuthorization: Bearer {KEY}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes())?;
        let mut length = None;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                bail!("the connection was closed");
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.context("no length")?];
        stream.read_exact(&mut body)?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Waits until health says that reports are degraded, or no longer; how long that took and why.
    pub(super) fn until_degraded(
        &mut self,
        degraded: bool,
        limit: Duration,
    ) -> Result<(Duration, String)> {
        let watch = Stopwatch::start();
        let mut last = Value::Null;
        let found = wait_for(limit, || {
            last = match self.get("/api/v1/health") {
                Ok(answer) => answer,
                // Its port may still be another's.
                Err(error) if refused(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let why = last["durability_degraded"]["reports"].as_str();
            let word = if degraded { "degraded" } else { "healthy" };
            let as_wanted = why.is_some() == degraded && last["durability"] == word;
            anyhow::Ok(as_wanted.then(|| why.unwrap_or_default().to_owned()))
        })?;
        let why =
            found.with_context(|| format!("degraded = {degraded} not in {limit:?}: {last}"))?;
        Ok((watch.elapsed(), why))
    }
}

fn refused(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}
