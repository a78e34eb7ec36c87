//! Prometheus metrics: what the recorder holds and lost, what v1 published, what this process costs.
//!
//! Reads the recorder's published status, the destinations' counts, and this process in `/proc`; counts what others
//! tell it. Makes one page of text per scrape. A scrape takes values that exist already: nothing that records waits
//! for it. Every label is bounded by a list in code, by the node's devices or by the configuration. What is not known
//! is left out, never 0. Types are those v1 gave (its `…_total` gauges too); ours are typed as they behave.

mod connections;
mod destinations;
mod durability;
mod families;
mod instruments;
mod journal;
mod kube;
mod memory;
mod node;
mod page;
mod privileges;
mod process;
mod programs;
mod recorder;
mod redact;
mod reports;
mod requests;
mod spending;
mod timed;

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ::prometheus::{Registry, TextEncoder};

use self::families::Families;
use self::instruments::Instruments;
pub use self::page::CONTENT_TYPE;
use self::process::OwnProcess;
pub use self::requests::observe;
pub use self::timed::Timed;
use crate::api::server::Connections;
use crate::clock::{self, WallOffset};
use crate::destinations::Destinations;
use crate::durability::Durability;
use crate::journal::Journal;
use crate::memory::Memory;
use crate::privileges::State;
use crate::recorder::status::Handle;
use crate::redact::Redactor;
use crate::report::NodeInfo;
use crate::sources::ebpf::spending::Spending;
use crate::sources::kube::Counts;

/// Where metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `None`: every address.
    pub address: Option<IpAddr>,
    pub port: u16,
    pub path: String,
}

/// Everything that is measured. Clones share it. A part shows from when it was given on.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    instruments: Instruments,
    node: NodeInfo,
    process: OwnProcess,
    recorder: OnceLock<Handle>,
    destinations: OnceLock<Destinations>,
    programs: OnceLock<Vec<(&'static str, OwnedFd)>>,
    connections: OnceLock<Arc<Connections>>,
    kube: OnceLock<Counts>,
    redactor: OnceLock<Redactor>,
    durability: OnceLock<Durability>,
    journal: OnceLock<Journal>,
    privileges: OnceLock<State>,
    memory: OnceLock<Memory>,
    spending: OnceLock<Spending>,
}

impl Metrics {
    /// Metrics of this process on this node, with nothing else to read yet. `proc_root`: where procfs is mounted.
    ///
    /// # Errors
    /// Two instruments have the same name.
    pub fn new(node: NodeInfo, proc_root: &Path) -> ::prometheus::Result<Self> {
        let registry = Registry::new();
        Ok(Self(Arc::new(Inner {
            instruments: Instruments::new(&registry)?,
            registry,
            node,
            process: OwnProcess::new(proc_root),
            recorder: OnceLock::new(),
            destinations: OnceLock::new(),
            programs: OnceLock::new(),
            connections: OnceLock::new(),
            kube: OnceLock::new(),
            redactor: OnceLock::new(),
            durability: OnceLock::new(),
            journal: OnceLock::new(),
            privileges: OnceLock::new(),
            memory: OnceLock::new(),
            spending: OnceLock::new(),
        })))
    }

    /// Shows the recorder's status. The first one given counts.
    pub fn read_recorder(&self, handle: Handle) {
        self.0.recorder.get_or_init(|| handle);
    }

    /// Shows how destinations fare. The first ones given count.
    pub fn read_destinations(&self, destinations: Destinations) {
        self.0.destinations.get_or_init(|| destinations);
    }

    /// Shows what kernel programs cost: their names, and descriptors that this process owns. The first ones given
    /// count.
    pub fn read_programs(&self, programs: Vec<(&'static str, OwnedFd)>) {
        self.0.programs.get_or_init(|| programs);
    }

    /// Shows the API's connections. The first ones given count.
    pub fn read_connections(&self, connections: Arc<Connections>) {
        self.0.connections.get_or_init(|| connections);
    }

    /// Shows what the kube source asked and heard. The first counts given count.
    pub fn read_kube(&self, counts: Counts) {
        self.0.kube.get_or_init(|| counts);
    }

    /// Shows how many secrets were hidden. The first one given counts.
    pub fn read_redactor(&self, redactor: Redactor) {
        self.0.redactor.get_or_init(|| redactor);
    }

    /// Shows what the daemon has given up. The first one given counts.
    pub fn read_privileges(&self, state: State) {
        self.0.privileges.get_or_init(|| state);
    }

    /// Shows how what is kept on disk fares. The first one given counts.
    pub fn read_durability(&self, durability: Durability) {
        self.0.durability.get_or_init(|| durability);
    }

    /// Shows what keeping the window on disk takes. The first one given counts.
    pub fn read_journal(&self, journal: Journal) {
        self.0.journal.get_or_init(|| journal);
    }

    /// Shows how the daemon stands to its soft limit. The first one given counts.
    pub fn read_memory(&self, memory: Memory) {
        self.0.memory.get_or_init(|| memory);
    }

    /// Shows what the recorder costs. The first one given counts.
    pub fn read_spending(&self, spending: Spending) {
        self.0.spending.get_or_init(|| spending);
    }

    /// All metrics of this instant, in the text format 0.0.4.
    ///
    /// # Errors
    /// A metric cannot be written in that format.
    pub fn text(&self) -> ::prometheus::Result<String> {
        let inner = &*self.0;
        let mut families = Families::default();
        self.about(&mut families);
        inner.process.collect(&mut families);
        if let Some(handle) = inner.recorder.get() {
            let status = handle.status();
            recorder::collect(&mut families, &status, clock::boot_now());
            node::collect(&mut families, &status.latest);
        }
        if let Some(destinations) = inner.destinations.get() {
            destinations::collect(&mut families, &destinations.states());
        }
        if let Some(connections) = inner.connections.get() {
            connections::collect(&mut families, connections);
        }
        if let Some(counts) = inner.kube.get() {
            kube::collect(&mut families, &counts.read(), WallOffset::now());
        }
        if let Some(redactor) = inner.redactor.get() {
            redact::collect(&mut families, redactor);
        }
        if let Some(state) = inner.privileges.get() {
            privileges::collect(&mut families, state);
        }
        if let Some(journal) = inner.journal.get() {
            journal::collect(&mut families, journal.state());
        }
        if let Some(durability) = inner.durability.get() {
            durability::collect(&mut families, &durability.read());
        }
        if let Some(memory) = inner.memory.get() {
            memory::collect(&mut families, memory);
        }
        if let Some(spending) = inner.spending.get() {
            spending::collect(&mut families, spending);
        }
        if let Some(programs) = inner.programs.get() {
            programs::collect(&mut families, inner.process.root(), programs);
        }
        TextEncoder::new().encode_to_string(&families.with(inner.registry.gather()))
    }

    fn about(&self, families: &mut Families) {
        families
            .gauge("blackbox_build_info", "Always 1; what was built.")
            .add(
                &[
                    ("version", env!("CARGO_PKG_VERSION")),
                    ("arch", std::env::consts::ARCH),
                ],
                1.0,
            );
        let node = &self.0.node;
        families
            .gauge("blackbox_node_info", "Always 1; where it runs.")
            .add(&[("node", &node.name), ("kernel", &node.kernel)], 1.0);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
