//! The daemon without its sources: feed, recorder, reporter and destinations as `app` wires them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use blackbox_daemon::clock;
use blackbox_daemon::destinations::{
    DestinationConfig, DestinationState, Destinations, Unwritten, file, http,
};
use blackbox_daemon::durability::Durability;
use blackbox_daemon::record::{
    Event, Exit, Health, LaneName, Process, Record, SourceName, Subject,
};
use blackbox_daemon::recorder::status::Handle;
use blackbox_daemon::recorder::{self, Core, MAX_CASES, Recorder};
use blackbox_daemon::report::format::Format;
use blackbox_daemon::reporter::{self, Aids, Told};
use blackbox_daemon::sources::{Feed, announce, feed};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{DEMO, SIGSEGV, cgroups, exit, process};

/// More than anything here may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Daemon {
    pub(crate) feed: Feed,
    pub(crate) destinations: Destinations,
    pub(crate) recorder: Handle,
    pub(crate) told: Told,
    recording: CancellationToken,
    parts: TaskTracker,
}

impl Daemon {
    /// Records until [`Daemon::stop`]; every report goes to every destination as text and JSON.
    pub(crate) fn start(config: recorder::Config, destinations: Vec<DestinationConfig>) -> Self {
        // An error says that another test of this process was first.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let formats = [Format::Default, Format::Json];
        let started = Destinations::start(destinations, &formats, &Durability::default());
        let destinations = started.expect("usable destinations");
        let (feed, intake) = feed::feed();
        let core = Core::new(config, cgroups());
        let (cases, waiting) = mpsc::channel(MAX_CASES);
        let (parts, recording) = (TaskTracker::new(), CancellationToken::new());
        let recorder = Recorder::new(core, intake, cases);
        let (recorder_handle, told) = (recorder.handle(), Told::default());
        parts.spawn(recorder.run(recording.clone()));
        let to = Arc::new(destinations.clone());
        let reporter = reporter::run(waiting, to, told.clone(), Aids::default());
        parts.spawn(reporter);
        parts.close();
        announce(SourceName::Ebpf, clock::boot_now(), Health::Ok, &feed);
        Self {
            feed,
            destinations,
            recorder: recorder_handle,
            told,
            recording,
            parts,
        }
    }

    /// Stops as `app` does: the recorder closes what is open, the reporter tells it, destinations drain.
    pub(crate) async fn stop(self, deadline: Duration) -> Vec<Unwritten> {
        self.recording.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.parts.wait()).await;
        ended.expect("recorder and reporter end by themselves");
        self.destinations.drain(deadline).await
    }

    /// Waits until destination `index` is as `wanted`.
    pub(crate) async fn until(&self, index: usize, wanted: impl Fn(&DestinationState) -> bool) {
        let poll = async {
            while !wanted(&self.destinations.states()[index]) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, poll).await.is_err() {
            panic!("not in time: {:?}", self.destinations.states()[index]);
        }
    }

    /// Offers a death with a story of its own, and returns its command name.
    pub(crate) fn kill(&self, number: u32) -> String {
        kill(&self.feed, number)
    }
}

pub(crate) fn kill(feed: &Feed, number: u32) -> String {
    let comm = format!("victim-{number}");
    let death = now(process(10_000 + number, &comm, DEMO), Event::Exit(crash()));
    feed.offer(LaneName::Decisive, vec![death]);
    comm
}

fn crash() -> Exit {
    exit(SIGSEGV)
}

/// A record of this moment.
pub(crate) fn now(process: Process, event: Event) -> Record {
    Record {
        at: clock::boot_now(),
        subject: Subject::Process(process),
        event,
    }
}

/// A directory for text and JSON: the tests count files.
pub(crate) fn directory(path: &Path) -> DestinationConfig {
    DestinationConfig::File(file::Config {
        bundles: false,
        reserve: 0,
        ..file::Config::new(path.to_owned())
    })
}

/// A web server that accepts, reads, and never answers. Its address.
pub(crate) async fn hanging_server() -> DestinationConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut held = TaskTracker::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            held = held.clone();
            held.spawn(async move {
                let mut bytes = [0; 4096];
                while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
                std::future::pending::<()>().await;
            });
        }
    });
    let config = http::Config::new(&format!("http://{address}/reports")).expect("a URL");
    DestinationConfig::Http(config)
}

/// Every JSON report in a directory, oldest incident first.
pub(crate) fn reports_in(path: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(path).expect("a directory");
    let mut reports: Vec<Value> = files
        .map(|file| file.expect("a readable directory").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a readable file");
            serde_json::from_slice(&bytes).expect("a whole report")
        })
        .collect();
    let generated = |report: &Value| report["generated_at"].as_str().map(str::to_owned);
    reports.sort_by_key(generated);
    reports
}

/// The report about the process of this name.
pub(crate) fn report_about<'a>(reports: &'a [Value], comm: &str) -> &'a Value {
    let about = |report: &&Value| report["verdict"]["facts"]["comm"] == comm;
    let mut found = reports.iter().filter(about);
    let report = found
        .next()
        .unwrap_or_else(|| panic!("no report about {comm}"));
    assert!(found.next().is_none(), "two reports about {comm}");
    report
}
