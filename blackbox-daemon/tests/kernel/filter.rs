//! A whole life of the daemon under its filter of system calls, with everything switched on: no call is denied.
//!
//! The daemon counts what its filter denies; a call that is missing in its list is a number here that is not 0. Besides, every
//! test with a `Lab` fails when its daemon had a call denied.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use xtask::stage::{Daemon, DaemonOptions};

use crate::lab::{self, DAEMON, LIMIT, Life, VICTIM, is_about};

const KEY: &str = "a-key-of-the-tests";

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Takes what is posted; tells the path of each.
fn sink() -> Result<(u16, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    // One is waited for; what comes later is taken all the same.
    let (told, heard) = sync_channel(1);
    thread::spawn(move || -> Result<()> {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream?);
            while let Some(line) = post(&mut reader)? {
                told.try_send(line).ok();
            }
        }
        Ok(())
    });
    Ok((port, heard))
}

/// One request; `None`: there is no more.
fn post(reader: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse()?;
        }
        if line.is_empty() {
            break;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    reader
        .get_mut()
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    Ok(Some(first))
}

/// Asks over TLS, or not, as `url` says; the answer with its status at the end.
fn curl(url: &str, more: &[&str]) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["-sk", "--max-time", "5", "-w", "\n%{http_code}"]);
    curl.args(["-H", &format!("Authorization: Bearer {KEY}")])
        .args(more);
    Ok(String::from_utf8_lossy(&curl.arg(url).output()?.stdout).into_owned())
}

fn ask(url: &str, more: &[&str]) -> Result<String> {
    let answer = curl(url, more)?;
    ensure!(answer.ends_with("\n200"), "{url}: {answer}");
    Ok(answer)
}

fn certificate(directory: &Path) -> Result<[(String, String); 2]> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| directory.join(name));
    std::fs::write(&cert, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    Ok([
        (
            "BLACKBOX_API_TLS_CERT_FILE".into(),
            cert.display().to_string(),
        ),
        (
            "BLACKBOX_API_TLS_KEY_FILE".into(),
            key.display().to_string(),
        ),
    ])
}

/// What can be read and said at the API.
fn use_the_api(api: &str) -> Result<()> {
    for path in ["window", "incidents", "buffer/status", "export"] {
        ask(&format!("{api}/api/v1/{path}"), &[])?;
    }
    ask(&format!("{api}/swagger/"), &[])?;
    // It never ends: what curl says is that the time is over.
    curl(&format!("{api}/api/v1/stream"), &["--max-time", "1"])?;
    let json = ["-H", "Content-Type: application/json", "-d"];
    let telemetry = r#"{"pod_name":"p","namespace":"n","runtime":"go","data":{"a":1}}"#;
    let incident =
        r#"{"pod_name":"p","namespace":"n","severity":"high","type":"crash","message":"m"}"#;
    for (path, body) in [("telemetry", telemetry), ("incident", incident)] {
        ask(
            &format!("{api}/api/v1/{path}"),
            &[&json[..], &[body]].concat(),
        )?;
    }
    Ok(())
}

/// A daemon with everything switched on that needs no cluster; `ports`: of the API, of the metrics, and where reports are
/// posted to.
fn start(directory: &Path, ports: [u16; 3]) -> Result<Daemon> {
    let [api, metrics, sink] = ports;
    let reports = directory.join("reports");
    let outputs = format!("{},stdout,http://localhost:{sink}/in", reports.display());
    let settings = [
        ("BLACKBOX_OUTPUT_PATH", outputs.as_str()),
        (
            "BLACKBOX_OUTPUT_FORMATTERS",
            "default,json,csv,markdown,brief",
        ),
        ("BLACKBOX_API_KEY", KEY),
        (
            "BLACKBOX_STATE_DIR",
            &directory.join("state").display().to_string(),
        ),
        ("BLACKBOX_API_PORT", &api.to_string()),
        ("BLACKBOX_SWAGGER_ENABLE", "true"),
        ("BLACKBOX_METRICS_ENABLED", "true"),
        ("BLACKBOX_METRICS_PORT", &metrics.to_string()),
        ("BLACKBOX_SETTLE_TIME", "500ms"),
        ("BLACKBOX_THROTTLE_INTERVAL", "0s"),
        ("BLACKBOX_WATCH_CGROUPS", "/blackbox-test-*"),
    ];
    let owned = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: DAEMON.into(),
        directory: directory.to_owned(),
        env: owned.into_iter().chain(certificate(directory)?).collect(),
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(LIMIT)?;
    Ok(daemon)
}

/// A crash whose stack is named, a second life whose calls are all kept, and an OOM kill that is looked after.
fn deaths(daemon: &mut Daemon) -> Result<()> {
    let cgroup = lab::cgroup("filter")?;
    let (pid, _, _) = lab::run_as(&cgroup, VICTIM, &["abort"])?;
    let (_, report) = daemon.wait_report(LIMIT, |report| is_about(report, pid))?;
    let frames = report["stack"]["frames"].as_array().context("no stack")?;
    let named = |frame: &Value| frame["function"].is_string();
    assert!(frames.iter().any(named), "{frames:#?}");

    let script = "sleep 0.3; exit 3";
    let args = ["--pid", "--fork", "--kill-child", "sh", "-c", script];
    for armed in [false, true] {
        let cgroup = lab::cgroup("filter-lives")?;
        lab::run_as(&cgroup, "unshare", &args)?;
        let pid = Life::start(&cgroup, VICTIM, &["sleep"])?.kill()?;
        let (_, report) = daemon.wait_report(LIMIT, |report| is_about(report, pid))?;
        assert_eq!(report["tail"].is_object(), armed, "{:#}", report["tail"]);
    }

    let small = lab::cgroup("filter-small")?;
    small.set_memory_limit(64 << 20)?;
    let (pid, _, _) = lab::run_as(&small, VICTIM, &["oom"])?;
    daemon.wait_report(LIMIT, |report| is_about(report, pid))?;
    Ok(())
}

#[test]
fn a_whole_life_makes_no_call_that_is_denied() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (sink, posted) = sink()?;
    let (port, metrics) = (free_port()?, free_port()?);
    let mut daemon = start(directory.path(), [port, metrics, sink])?;
    lab::each_thread(daemon.pid(), "Seccomp:", "2")?;
    deaths(&mut daemon)?;
    let api = format!("https://localhost:{port}");
    use_the_api(&api)?;
    daemon.wait_report(LIMIT, |report| report["incident"]["pod_name"] == "p")?;
    posted.recv_timeout(LIMIT).context("nothing was posted")?;

    let page = ask(&format!("http://localhost:{metrics}/metrics"), &[])?;
    assert!(page.contains("\nblackbox_denied_calls_total 0\n"), "{page}");
    let info = "blackbox_privileges_info{uid=\"0\",seccomp=\"on\"} 1";
    assert!(page.contains(info), "{page}");
    let health = ask(&format!("{api}/api/v1/health"), &[])?;
    assert!(health.contains(r#""privileges":"healthy""#), "{health}");
    // Looks into the log too: what came after the metrics counts.
    assert_eq!(daemon.stop()?.code(), Some(0));
    let mut written = std::fs::read_dir(daemon.reports_directory())?;
    let bundle = |name: std::ffi::OsString| name.to_string_lossy().ends_with(".tar.zst");
    assert!(written.any(|file| file.is_ok_and(|file| bundle(file.file_name()))));
    Ok(())
}
