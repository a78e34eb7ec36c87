//! A probe that fails because its container has too little CPU: a real limit, real throttling, real requests that time out.
//! Only the kubelet's words are ours.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use xtask::stage::CpuLimit;
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, VICTIM};
use crate::pods::Pod;

/// A kubelet's default (`timeoutSeconds`).
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks as a kubelet does. Whether there was an answer in time.
fn probe(port: u16) -> bool {
    let ask = || -> Result<bool> {
        let mut server = TcpStream::connect(("127.0.0.1", port))?;
        server.set_read_timeout(Some(PROBE_TIMEOUT))?;
        server.write_all(b"GET /healthz HTTP/1.1\r\nhost: pod\r\n\r\n")?;
        let mut answer = [0; 64];
        let read = server.read(&mut answer)?;
        Ok(answer[..read].starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

impl Pod {
    fn happens(&self, reason: &str, message: &str) {
        let name = format!("checkout.{reason}.{message:.20}").to_lowercase();
        self.server.happen(json!({
            "kind": "Event", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "checkout", "uid": self.uid,
                "fieldPath": "spec.containers{app}"},
            "reason": reason, "message": message, "type": "Warning", "count": 1,
            "source": {"component": "kubelet", "host": "n"},
            "lastTimestamp": jiff::Timestamp::now().to_string(),
        }));
    }
}

#[test]
fn a_container_that_is_throttled_until_its_probe_fails() -> Result<()> {
    let mut pod = Pod::start('e')?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let (maker, pid) = pod.run(&[VICTIM, "answer", &port.to_string()])?;
    let up = wait_for(LIMIT, || anyhow::Ok(probe(port).then_some(())))?;
    up.context("it does not answer even without a limit")?;
    let quota = (Duration::from_millis(2), Duration::from_millis(100));
    let _limit = CpuLimit::set(&pod.container, quota, &[pid])?;
    // Three failures in a row, as a kubelet's default is; and long enough for some samples.
    let mut failed = 0;
    let starved = wait_for(LIMIT, || {
        failed = if probe(port) { 0 } else { failed + 1 };
        anyhow::Ok((failed >= 4).then_some(()))
    })?;
    starved.context("it answers in spite of its limit")?;
    let address = format!("http://10.0.0.7:{port}/healthz");
    pod.happens(
        "Unhealthy",
        &format!("Liveness probe failed: Get \"{address}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
    );
    pod.happens(
        "Killing",
        "Container app failed liveness probe, will be restarted",
    );
    lab::send(&pod.runtime, pid, "15")?;
    std::thread::sleep(Duration::from_secs(2));
    lab::send(&pod.runtime, pid, "9")?;
    maker.end()?;
    pod.ended(137, "Error");
    let report = pod.report()?;
    let (verdict, diagnosis) = (&report["verdict"], &report["diagnosis"]);
    assert_eq!(verdict["cause"], "probe_failed", "{verdict:#}");
    assert_eq!(diagnosis["code"], "BBX-CPU-STARVED", "{diagnosis:#}");
    let said = diagnosis["facts"][0]["text"].as_str().context("no fact")?;
    assert!(said.contains("% of the periods"), "{said}");
    Ok(())
}
