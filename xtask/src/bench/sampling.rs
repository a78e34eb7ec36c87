//! What it costs to look at a node each second: the recorder, beside node_exporter scraped each second and pidstat, and beside a
//! walk over all processes with the procfs crate.
//!
//! Of the recorder what its two samplers take: they do nothing but look, each on a thread of its own. What the whole daemon takes
//! meanwhile, which also hears the kernel and keeps the window, stands beside it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::peers;
use super::process::{cpu, cpu_of_threads, resident};
use super::recorder::Recorder;
use super::rounds::{self, Figures};
use super::table::{Row, Target};
use crate::stage::Cgroup;
use crate::timing::wait_for;

/// Containers, and processes in each.
const NODES: [(usize, usize); 3] = [(30, 3), (100, 10), (250, 12)];
/// How long each is watched, s: so many ticks.
const TICKS: u32 = 6;
/// What happens at the start of each is not what a tick costs.
const WARM: Duration = Duration::from_secs(3);
const READY: Duration = Duration::from_secs(60);

/// Containers with processes that sleep. Dropped, these end before their cgroups go.
struct Node {
    crowds: Vec<Child>,
    _cgroups: Vec<Cgroup>,
}

impl Node {
    fn of(victim: &Path, (containers, processes): (usize, usize)) -> Result<Self> {
        let (mut crowds, mut cgroups) = (Vec::new(), Vec::new());
        for number in 0..containers {
            let cgroup =
                Cgroup::create(&format!("blackbox-demo-{}/c{number}", std::process::id()))?;
            let mut command = cgroup.command(victim)?;
            command.args(["crowd", &(processes - 1).to_string()]);
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut said = String::new();
            BufReader::new(child.stdout.as_mut().context("no output")?).read_line(&mut said)?;
            ensure!(said.trim() == "ready", "the crowd says {said:?}");
            crowds.push(child);
            cgroups.push(cgroup);
        }
        Ok(Self {
            crowds,
            _cgroups: cgroups,
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for crowd in &mut self.crowds {
            // Its children end with it.
            crowd.kill().ok();
            crowd.wait().ok();
        }
    }
}

/// A peer on its own. Dropped, it is killed.
struct Peer(Child);

impl Peer {
    fn start(program: &str, words: &[&str]) -> Result<Self> {
        let mut command = Command::new(peers::find(program)?);
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self(command.spawn().with_context(|| program.to_owned())?))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// node_exporter, scraped.
struct Exporter {
    peer: Peer,
    port: u16,
}

impl Exporter {
    fn start() -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let peer = Peer::start(
            "prometheus-node-exporter",
            &[&format!("--web.listen-address=127.0.0.1:{port}")],
        )?;
        let exporter = Self { peer, port };
        let answers = wait_for(READY, || anyhow::Ok(exporter.scrape().ok()))?;
        answers.context("node_exporter does not answer")?;
        Ok(exporter)
    }

    fn scrape(&self) -> Result<usize> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: n\r\nconnection: close\r\n\r\n")?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page)?;
        ensure!(page.len() > 10_000, "a page of {} bytes", page.len());
        Ok(page.len())
    }
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looker {
    Recorder,
    Exporter,
    Pidstat,
    /// This very program, which reads the `stat` and the `io` of every process.
    Walk,
}

const LOOKERS: [Looker; 4] = [
    Looker::Recorder,
    Looker::Exporter,
    Looker::Pidstat,
    Looker::Walk,
];

/// What a sampler of processes would read: processor time, memory and IO of each. How many it found.
fn walk() -> Result<usize> {
    let found = procfs::process::all_processes()?.flatten();
    // A process may end while it is read.
    let read = found.filter_map(|process| Some((process.stat().ok()?, process.io().ok())));
    Ok(read.count())
}

/// The recorder's threads that look at the node and at its containers.
const SAMPLERS: [&str; 2] = ["procfs", "cgroup"];

/// What one takes.
struct Taken {
    /// Processor time of all of it, ms for each second.
    time: f64,
    /// Resident memory, MiB.
    resident: f64,
    /// Processor time of looking alone, likewise.
    looking: f64,
}

fn watch(looker: Looker) -> Result<Taken> {
    let span = |pid: u32, each: &dyn Fn() -> Result<()>| -> Result<Taken> {
        let now = || -> Result<(f64, f64)> {
            let time = cpu(pid)?;
            let looking = match looker {
                Looker::Recorder => cpu_of_threads(pid, &SAMPLERS)?,
                _ => time,
            };
            Ok((time, looking))
        };
        thread::sleep(WARM);
        let before = now()?;
        for _ in 0..TICKS {
            each()?;
            thread::sleep(Duration::from_secs(1));
        }
        let after = now()?;
        // Less than is counted is still not nothing.
        let each_second = |took: f64| (took * 1e3 / f64::from(TICKS)).max(0.01);
        Ok(Taken {
            time: each_second(after.0 - before.0),
            resident: resident(pid)?,
            looking: each_second(after.1 - before.1),
        })
    };
    let nothing = || Ok(());
    match looker {
        Looker::Recorder => {
            let recorder = Recorder::start(&[])?;
            span(recorder.daemon.pid(), &nothing)
        }
        Looker::Exporter => {
            let exporter = Exporter::start()?;
            span(exporter.peer.0.id(), &|| exporter.scrape().map(|_| ()))
        }
        Looker::Pidstat => {
            let pidstat = Peer::start("pidstat", &["-u", "-r", "-d", "1"])?;
            span(pidstat.0.id(), &nothing)
        }
        Looker::Walk => span(std::process::id(), &|| {
            ensure!(walk()? > 1, "a walk that finds nobody");
            Ok(())
        }),
    }
}

/// Measures nodes of three sizes and one that is idle; the rows about sampling.
pub(super) fn rows(rounds: usize, victim: &Path) -> Result<Vec<Row>> {
    let mut rows = idle(rounds)?;
    for size in NODES {
        let _node = Node::of(victim, size)?;
        let mut whole = Figures::default();
        let figures = rounds::play(rounds, &LOOKERS, |looker| {
            let taken = watch(*looker)?;
            if *looker == Looker::Recorder {
                whole.add(taken.time);
            }
            Ok(taken.looking)
        })?;
        let whole = whole.median();
        let [ours, exporter, pidstat, walk] = [0, 1, 2, 3].map(|at: usize| figures[at].median());
        let (least, most) = figures[0].spread();
        let row = |peer, took: f64| Row {
            work: format!(
                "a second's look at {} processes in {} containers",
                size.0 * size.1,
                size.0
            ),
            ours: format!(
                "{ours:.2} ms of a processor ({least:.2}–{most:.2}); the whole daemon {whole:.2} ms"
            ),
            peer,
            ratio: ours / took,
            target: Target::AtMost(0.2),
        };
        let both = format!("node_exporter {exporter:.2} ms + pidstat {pidstat:.2} ms");
        rows.push(row(both, exporter + pidstat));
        let walked = format!("a walk with the procfs crate: {walk:.2} ms");
        rows.push(row(walked, walk));
    }
    Ok(rows)
}

fn idle(rounds: usize) -> Result<Vec<Row>> {
    let mut memory = [f64::NAN; 2];
    let figures = rounds::play(rounds, &LOOKERS[..2], |looker| {
        let taken = watch(*looker)?;
        memory[usize::from(*looker == Looker::Exporter)] = taken.resident;
        Ok(taken.time)
    })?;
    let [ours, exporter] = [0, 1].map(|at: usize| figures[at].median());
    let work = "at rest on an idle node";
    Ok(vec![
        Row {
            work: format!("{work}, processor"),
            ours: format!("{ours:.2} ms a second"),
            peer: format!("node_exporter scraped each second: {exporter:.2} ms"),
            ratio: ours / exporter,
            target: Target::AtMost(1.0),
        },
        Row {
            work: format!("{work}, memory"),
            ours: format!("{:.1} MiB resident", memory[0]),
            peer: format!("node_exporter: {:.1} MiB", memory[1]),
            ratio: memory[0] / memory[1],
            target: Target::AtMost(1.5),
        },
    ])
}
