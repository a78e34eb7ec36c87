//! What listening takes from servers: redis and nginx on loopback, asked as fast as they answer.
//!
//! Each has a processor, and who asks has another one, so that the scheduler's choices are no part of the figure. Each server
//! is asked before somebody listens, while he does, and afterwards: what it keeps is the ratio of the second to the mean of the
//! others, so that a server that gets faster or a machine that gets slower meanwhile is no part of it either.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::contenders::Contender;
use super::peers;
use super::rounds::{self, Figures};
use super::table::{Row, Target};
use crate::exec;
use crate::stage::Cgroup;
use crate::timing::wait_for;

const READY: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(3);
/// How often a server is asked before somebody listens, while he does, and afterwards, about a second each time.
const ASKED: usize = 3;

const ALL: [Contender; 6] = [
    Contender::Nobody,
    Contender::Floor,
    Contender::Recorder,
    Contender::BpftraceCount,
    Contender::PerfTrace,
    Contender::Strace,
];

/// A server with files of its own, in a cgroup of its own. Dropped, it is killed.
struct Server {
    child: Child,
    port: u16,
    _cgroup: Cgroup,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(
        name: &str,
        make: impl Fn(&Path, u16) -> Result<(&'static str, Vec<String>)>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (program, words) = make(folder.path(), port)?;
        let cgroup = Cgroup::create(&format!("blackbox-demo-{}/{name}", std::process::id()))?;
        let mut command = cgroup.command("taskset")?;
        let child = command
            .args(["-c", "0"])
            .arg(peers::find(program)?)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self {
            child,
            port,
            _cgroup: cgroup,
            _folder: folder,
        };
        let answers = wait_for(READY, || {
            anyhow::Ok(TcpStream::connect(("127.0.0.1", port)).ok())
        })?;
        answers.with_context(|| format!("{program} does not answer"))?;
        Ok(server)
    }

    fn redis() -> Result<Self> {
        Self::start("redis", |folder, port| {
            let folder = folder.to_string_lossy().into_owned();
            let (save, only) = (["--save", ""], ["--appendonly", "no"]);
            let words = [
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--dir",
                &folder,
            ]
            .map(str::to_owned);
            Ok((
                "redis-server",
                words
                    .into_iter()
                    .chain([save, only].concat().into_iter().map(str::to_owned))
                    .collect(),
            ))
        })
    }

    /// One worker and no master, so that one process is the server.
    fn nginx() -> Result<Self> {
        Self::start("nginx", |folder, port| {
            let place = folder.display();
            fs::write(folder.join("index.html"), vec![b'x'; 1024])?;
            let config = format!(
                "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log; events {{}} \
                 http {{ access_log {place}/access.log; client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; \
                 fastcgi_temp_path {place}/fastcgi; uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi; \
                 server {{ listen 127.0.0.1:{port}; root {place}; }} }}"
            );
            let path = folder.join("nginx.conf");
            fs::write(&path, config)?;
            Ok((
                "nginx",
                vec!["-c".to_owned(), path.to_string_lossy().into_owned()],
            ))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing of it is kept.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A command on the last processor.
fn asker(program: &str) -> Result<Command> {
    let last = thread::available_parallelism()?.get() - 1;
    let mut command = Command::new("taskset");
    command
        .args(["-c", &last.to_string()])
        .arg(peers::find(program)?);
    Ok(command)
}

/// Requests a second. Who stops at every call needs the time of a hundred thousand for a few thousand.
fn ask_redis(server: &Server, slowly: bool) -> Result<f64> {
    let requests = if slowly { "3000" } else { "125000" };
    let port = server.port.to_string();
    let said = exec::read(asker("redis-benchmark")?.args([
        "-p", &port, "-t", "set", "-c", "32", "-n", requests, "--csv",
    ]))?;
    // "SET","123456.78",…
    let line = said
        .lines()
        .find(|line| line.starts_with("\"SET\""))
        .context("no line of SET")?;
    let rate = line.split(',').nth(1).context("no rate")?;
    Ok(rate.trim_matches('"').parse()?)
}

fn ask_nginx(server: &Server, _slowly: bool) -> Result<f64> {
    let url = format!("http://127.0.0.1:{}/", server.port);
    let said = exec::read(asker("wrk")?.args(["-t", "1", "-c", "32", "-d", "1s", &url]))?;
    ensure!(!said.contains("Non-2xx"), "{said}");
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.with_context(|| said.clone())?.trim().parse()?)
}

/// Measures both; the rows about servers.
pub(super) fn rows(rounds: usize) -> Result<Vec<Row>> {
    let mut rows = servers(
        rounds,
        "redis-benchmark SET",
        Server::redis,
        ask_redis,
        |_floor| 0.98,
    )?;
    // No more than three points beyond what any program costs there.
    rows.extend(servers(
        rounds,
        "nginx + wrk",
        Server::nginx,
        ask_nginx,
        |floor| floor - 0.03,
    )?);
    Ok(rows)
}

/// The greatest of a few answers: whatever else runs on a shared machine only takes away.
fn best(ask: impl Fn() -> Result<f64>) -> Result<f64> {
    let mut greatest = f64::NAN;
    for _ in 0..ASKED {
        greatest = ask()?.max(greatest);
    }
    Ok(greatest)
}

fn servers(
    rounds: usize,
    work: &str,
    start: fn() -> Result<Server>,
    ask: fn(&Server, bool) -> Result<f64>,
    target: fn(f64) -> f64,
) -> Result<Vec<Row>> {
    let figures = rounds::play(rounds, &ALL, |contender| {
        let measure = || {
            let server = start()?;
            // The first time it is slow, whoever listens.
            ask(&server, false)?;
            let before = best(|| ask(&server, false))?;
            let listening = contender.start(server.child.id())?;
            // What it takes to begin is not what listening takes.
            thread::sleep(SETTLE);
            let slowly = matches!(contender, Contender::Strace | Contender::PerfTrace);
            let meanwhile = best(|| ask(&server, slowly))?;
            drop(listening);
            let afterwards = best(|| ask(&server, false))?;
            anyhow::Ok(2.0 * meanwhile / (before + afterwards))
        };
        measure().with_context(|| format!("{work}: {}", contender.name()))
    })?;
    let said = |contender: Contender, figures: &Figures| {
        let (least, most) = figures.spread();
        format!(
            "{}: keeps {:.3} ({least:.3}–{most:.3})",
            contender.name(),
            figures.median()
        )
    };
    let (floor, ours) = (figures[1].median(), &figures[2]);
    let row = |(contender, figures): (&Contender, &Figures)| Row {
        work: work.to_owned(),
        ours: said(Contender::Recorder, ours),
        peer: said(*contender, figures),
        ratio: ours.median() / figures.median(),
        target: Target::AtLeast(match contender {
            Contender::Nobody => target(floor / figures.median()),
            Contender::Floor => 0.97,
            _ => 1.0,
        }),
    };
    let peers = ALL
        .iter()
        .zip(&figures)
        .filter(|(contender, _)| **contender != Contender::Recorder);
    Ok(peers.map(row).collect())
}
