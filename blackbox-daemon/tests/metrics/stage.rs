//! A daemon without a kernel source, and its metrics on a port of this machine.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use blackbox_daemon::clock;
use blackbox_daemon::destinations::Destinations;
use blackbox_daemon::durability::Durability;
use blackbox_daemon::memory::Memory;
use blackbox_daemon::metrics::{Metrics, observe};
use blackbox_daemon::privileges::ids::{Ids, RunAs};
use blackbox_daemon::privileges::standing::Standing;
use blackbox_daemon::privileges::{self, Kept, State};
use blackbox_daemon::record::{Event, LaneName, Record, Severity, Subject};
use blackbox_daemon::recorder::{self, Core, MAX_CASES, Recorder};
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::report::format::Format;
use blackbox_daemon::reporter::{self, Aids, Told};
use blackbox_daemon::sources::ebpf::spending::Spending;
use blackbox_daemon::sources::{Feed, feed};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::exposition::Scrape;
use crate::support::daemon::{PATIENCE, directory, kill, now};
use crate::support::{DEMO, SIGSEGV, cgroups, config, exit, process};

pub(crate) struct Stage {
    pub(crate) feed: Feed,
    pub(crate) metrics: Metrics,
    pub(crate) address: SocketAddr,
    pub(crate) root: TempDir,
    api: Router,
    program: i32,
}

impl Stage {
    /// Incidents settle at once; the bulk lane is small enough to overflow.
    pub(crate) async fn start(path: &str) -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let node = NodeInfo {
            name: "node \"1\"\\\n".to_owned(),
            kernel: "6.1".to_owned(),
            ..NodeInfo::default()
        };
        let metrics = Metrics::new(node, &proc_root(root.path())).expect("metrics");
        let formats = [Format::Default, Format::Json];
        let folder = vec![directory(&root.path().join("reports"))];
        let durability = Durability::default();
        let destinations = Destinations::start(folder, &formats, &durability).expect("a folder");
        let (feed, intake) = feed::feed();
        let (cases, waiting) = mpsc::channel(MAX_CASES);
        let recorder = Recorder::new(Core::new(recorder_config(), cgroups()), intake, cases);
        metrics.read_recorder(recorder.handle());
        metrics.read_destinations(destinations.clone());
        metrics.read_privileges(standing());
        metrics.read_durability(durability);
        metrics.read_memory(Memory::new(64 << 20));
        metrics.read_spending(Spending::new(1));
        let program = OwnedFd::from(fs::File::open("/dev/null").expect("a descriptor"));
        let number = program.as_raw_fd();
        metrics.read_programs(vec![("exit", program)]);
        tokio::spawn(recorder.run(CancellationToken::new()));
        let to = Arc::new(destinations);
        let counted = Aids {
            metrics: Some(metrics.clone()),
            finder: None,
            ..Aids::default()
        };
        tokio::spawn(reporter::run(waiting, to, Told::default(), counted));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = metrics.router(path);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let stage = Self {
            api: api(&metrics),
            feed,
            metrics,
            address,
            root,
            program: number,
        };
        stage.program_ran(1);
        stage
    }

    /// What the kernel says of the one program.
    pub(crate) fn program_ran(&self, runs: u64) {
        let folder = self.root.path().join("proc/self/fdinfo");
        let text = format!(
            "prog_id:\t7\nrun_time_ns:\t{}\nrun_cnt:\t{runs}\n",
            runs * 1500
        );
        let path = folder.join(self.program.to_string());
        fs::write(path.with_extension("new"), text).expect("a file");
        fs::rename(path.with_extension("new"), path).expect("a file");
    }

    /// A record of the node at this moment, in its lane.
    pub(crate) fn offer(&self, event: Event) {
        let lane = event.class().lane();
        let record = Record {
            at: clock::boot_now(),
            subject: Subject::Node,
            event,
        };
        self.feed.offer(lane, vec![record]);
    }

    /// Two deaths of one story: one report, which speaks for both.
    pub(crate) fn deaths(&self, number: u32) {
        let comm = kill(&self.feed, number);
        let twin = process(30_000 + number, &comm, DEMO);
        let death = now(twin, Event::Exit(exit(SIGSEGV)));
        self.feed.offer(LaneName::Decisive, vec![death]);
    }

    /// A request to an API that is measured as the daemon's is.
    pub(crate) async fn request(&self, method: &str, path: &str) {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).expect("a request");
        let answered = self.api.clone().oneshot(request).await;
        answered.expect("routers do not fail");
    }

    /// Everything the API counts, once.
    pub(crate) async fn api_traffic(&self) {
        self.request("GET", "/api/v1/health").await;
        self.request("POST", "/api/v1/telemetry").await;
        self.request("GET", "/nowhere").await;
        self.metrics.telemetry([("jvm", 3)]);
        self.metrics.read_connections(Arc::default());
        self.metrics.incident_reported(Severity::High);
    }

    pub(crate) async fn scrape(&self) -> Scrape {
        let text = self.get("/metrics").await.body;
        Scrape::parse(&text)
    }

    /// Scrapes until the page is as `wanted`: the recorder publishes once a second.
    pub(crate) async fn until(&self, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
        let poll = async {
            loop {
                let scrape = self.scrape().await;
                if wanted(&scrape) {
                    return scrape;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, poll).await;
        found.expect("the page shows it in time")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path).await
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One request over HTTP/1.0, so that the body ends with the connection.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        std::io::Result::Ok(text)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let text = answer.expect("an answer in time").unwrap_or_default();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn recorder_config() -> recorder::Config {
    let mut config = config();
    config.incidents.settle = Duration::from_millis(100);
    config.incidents.throttle = Duration::from_millis(100);
    config.storage.bulk_bytes = 256 << 10;
    config
}

fn api(metrics: &Metrics) -> Router {
    Router::new()
        .route("/api/v1/health", get(async || "ok"))
        .route("/api/v1/telemetry", post(async || "ok"))
        .route("/api/v1/incidents/{id}", get(async || "ok"))
        .layer(from_fn_with_state(metrics.clone(), observe))
}

/// A procfs that says of this process what the real one does, and of BPF what the test wants.
fn proc_root(root: &Path) -> std::path::PathBuf {
    let proc = root.join("proc");
    let pid = std::process::id().to_string();
    let own = proc.join(&pid);
    fs::create_dir_all(own.join("fdinfo")).expect("a folder");
    symlink(pid, proc.join("self")).expect("a link");
    fs::create_dir_all(proc.join("sys/kernel")).expect("a folder");
    fs::write(proc.join("sys/kernel/bpf_stats_enabled"), "1\n").expect("a file");
    for file in ["stat", "status", "fd"] {
        let real = Path::new("/proc/self").join(file);
        symlink(real, own.join(file)).expect("a link");
    }
    proc
}

/// A daemon that has given up nothing.
fn standing() -> State {
    let config = privileges::Config {
        run_as: RunAs::Keep,
        seccomp: false,
    };
    let standing = Standing {
        ids: Ids::own(),
        changes: false,
        why: "a test".to_owned(),
        lost: Vec::new(),
    };
    State::new(config, standing, Kept::default())
}
