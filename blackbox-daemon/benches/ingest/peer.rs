//! The peer: axum, parsing a body as any JSON and answering a small one. In a process of its own.

use std::net::Ipv4Addr;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// The variable that makes this program the peer, and says its port.
pub(crate) const PORT: &str = "INGEST_PEER_PORT";

/// Serves for ever, with the daemon's number of workers.
pub(crate) fn serve(port: &str) -> anyhow::Result<()> {
    let port: u16 = port.parse()?;
    let accept = async |Json(body): Json<Value>| {
        let size = body.as_object().map_or(0, serde_json::Map::len);
        Json(json!({"status": "accepted", "size": size}))
    };
    let router = Router::new().route("/api/v1/telemetry", post(accept));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(axum::serve(listener, router).await?)
    })
}

/// The running peer. Dropped, it is killed.
pub(crate) struct Peer(Child);

impl Peer {
    pub(crate) fn start(port: u16) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?;
        let child = Command::new(program).env(PORT, port.to_string()).spawn();
        let mut peer = Self(child.context("the peer does not start")?);
        for _ in 0..100 {
            if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(peer);
            }
            if let Some(status) = peer.0.try_wait()? {
                bail!("the peer ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the peer does not listen")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            // Reaped or not, there is nobody to tell.
            self.0.wait().ok();
        }
    }
}
