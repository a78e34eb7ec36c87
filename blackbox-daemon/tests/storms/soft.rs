//! The soft limit of the daemon's own memory, gone over for real and come back from.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, Lab, Life, VICTIM};
use crate::memory::Resident;

pub(crate) const PORT: u16 = 18_972;
/// What it may take beyond what the daemon has at rest, bytes. It is restored below nine tenths of all of it, and a debug build
/// has 55 MiB at rest: this leaves 9 MiB above what stays, of which the pages of its program that a report needs are two.
const ROOM: u64 = 16 << 20;

/// Asks the API; gives the status and the whole answer.
fn ask(method: &str, path: &str, body: &Value) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
    let body = body.to_string();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: n\r\nconnection: close\r\nauthorization: Bearer key\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.context("no status")?, answer))
}

/// Submits as a sidecar does; gives the status and the whole answer.
pub(crate) fn telemetry() -> Result<(u16, String)> {
    let object = json!({"pod_name": "p", "namespace": "n", "runtime": "go", "timestamp": jiff::Timestamp::now().to_string(),
        "data": {"heap": 1}});
    ask("POST", "/api/v1/telemetry", &object)
}

fn is_degraded() -> Result<bool> {
    let (_, answer) = ask("GET", "/api/v1/health", &Value::Null)?;
    Ok(answer.contains("\"memory\":\"degraded\""))
}

fn wait_degraded(degraded: bool, limit: Duration) -> Result<()> {
    let told = wait_for(limit, || {
        anyhow::Ok((is_degraded()? == degraded).then_some(()))
    })?;
    told.with_context(|| format!("health never says that memory is degraded: {degraded}"))
}

#[test]
fn above_the_soft_limit_bulk_is_shed_and_counted_and_sidecars_wait_and_deaths_are_proven()
-> Result<()> {
    let start = |limit: Option<u64>| {
        let limit = limit.map(|bytes| format!("{}KiB", bytes >> 10));
        let port = PORT.to_string();
        let mut env = vec![
            ("BLACKBOX_API_KEY", "key"),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_API_PORT", &port),
            ("BLACKBOX_BUFFER_WINDOW_SIZE", "8s"),
            ("BLACKBOX_WINDOW_BULK_BYTES", "64MiB"),
            ("BLACKBOX_SYSCALL_RATE", "200000"),
            ("BLACKBOX_SYSCALL_BURST", "1000000"),
        ];
        if let Some(limit) = &limit {
            env.push(("BLACKBOX_MEMORY_SOFT_LIMIT", limit));
        }
        Lab::start(&env)
    };
    // What this build takes on this machine decides where the limit is.
    let rest = {
        let lab = start(None)?;
        std::thread::sleep(Duration::from_secs(3));
        assert!(!is_degraded()?);
        Resident::of(lab.daemon.pid())?.now
    };
    let mut lab = start(Some(rest + ROOM))?;
    let cgroup = lab::cgroup("soft")?;
    let sleeper = Life::start(&cgroup, VICTIM, &["sleep"])?;
    assert_eq!(telemetry()?.0, 200);
    let flood = Life::start(&cgroup, VICTIM, &["calls", "10"])?;
    wait_degraded(true, LIMIT)?;
    let (status, answer) = telemetry()?;
    assert_eq!(status, 429, "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("retry-after: 10"),
        "{answer}"
    );
    flood.end()?;
    let report = lab.report(sleeper.kill()?)?;
    assert_eq!(
        report["verdict"]["grade"], "proven",
        "{:#}",
        report["verdict"]
    );
    let completeness = &report["completeness"];
    let gaps = completeness["gaps"].as_array().into_iter().flatten();
    let shed: u64 = gaps
        .filter(|gap| gap["cause"] == "memory")
        .filter_map(|gap| gap["count"].as_u64())
        .sum();
    assert!(shed > 1_000, "{completeness:#}");
    let decisive = ["exec", "exit", "signal", "oom", "cgroup_lifecycle"];
    for row in completeness["classes"].as_array().into_iter().flatten() {
        assert!(
            row["lost"]["memory"].is_null() || !decisive.iter().any(|class| row["class"] == *class),
            "{row:#}"
        );
    }
    // The window ages out, and what it took is given back.
    wait_degraded(false, LIMIT * 2)?;
    assert_eq!(telemetry()?.0, 200);
    drop(lab);
    Ok(())
}
