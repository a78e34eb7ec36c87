//! What others may know of the recorder, and how they ask: a status it publishes each second, and views of its window.
//!
//! The recorder never waits for a reader: the status is a value in a `watch` channel, and requests for views wait in a
//! bounded queue until the recorder comes to them.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::WallOffset;
use crate::identity::Names;
use crate::record::{
    BootTime, Event, NodeCpu, NodeDisks, NodeLoad, NodeMemory, NodeNetwork, Pressure,
};
use crate::report::ledger::Ledger;
use crate::window::{self, Slice};

/// Requests for views that may wait.
const MAX_REQUESTS: usize = 16;

/// What the recorder holds and has counted, at one instant.
#[derive(Clone, Debug)]
pub struct Status {
    pub at: BootTime,
    pub window: window::Stats,
    pub storage: window::Config,
    pub ledger: Ledger,
    pub open_incidents: usize,
    /// Containers of which every call is kept.
    pub armed: usize,
    /// Ends of containers that were meant: their pods were being deleted.
    pub ends_meant: u64,
    pub latest: Latest,
    /// Batches waiting in the two queues to the recorder.
    pub decisive_queued: usize,
    pub bulk_queued: usize,
}

/// The node's latest samples.
#[derive(Clone, Debug, Default)]
pub struct Latest {
    pub cpu: Option<NodeCpu>,
    pub memory: Option<NodeMemory>,
    pub network: Option<NodeNetwork>,
    pub disks: Option<NodeDisks>,
    pub load: Option<NodeLoad>,
    pub pressure: Option<Pressure>,
}

impl Latest {
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::NodeCpu(cpu) => self.cpu = Some(cpu.clone()),
            Event::NodeMemory(memory) => self.memory = Some(*memory),
            Event::NodeNetwork(network) => self.network = Some(network.clone()),
            Event::NodeDisks(disks) => self.disks = Some(disks.clone()),
            Event::NodeLoad(load) => self.load = Some(*load),
            Event::NodePressure(pressure) => self.pressure = Some(*pressure),
            _ => {}
        }
    }
}

/// A slice of the window with what it takes to read it.
#[derive(Debug)]
pub struct View {
    pub slice: Slice,
    pub names: Names,
    pub wall: WallOffset,
}

/// A request for a view.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) start: BootTime,
    pub(super) end: BootTime,
    pub(super) answer: oneshot::Sender<View>,
}

/// The readers' end. Clones ask the same recorder.
#[derive(Clone, Debug)]
pub struct Handle {
    status: watch::Receiver<Arc<Status>>,
    requests: mpsc::Sender<Request>,
}

/// The recorder's end.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) status: watch::Sender<Arc<Status>>,
    pub(super) requests: mpsc::Receiver<Request>,
}

pub(super) fn desk(status: Status) -> (Desk, Handle) {
    let (status, statuses) = watch::channel(Arc::new(status));
    let (requests, waiting) = mpsc::channel(MAX_REQUESTS);
    let desk = Desk {
        status,
        requests: waiting,
    };
    let handle = Handle {
        status: statuses,
        requests,
    };
    (desk, handle)
}

impl Handle {
    /// The latest status. Compare its time with now: a recorder that hangs publishes none.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status.borrow())
    }

    /// The records from `start` to `end`, both included. `None`: the recorder has ended, or has too many requests.
    pub async fn view(&self, start: BootTime, end: BootTime) -> Option<View> {
        let (answer, view) = oneshot::channel();
        let request = Request { start, end, answer };
        self.requests.try_send(request).ok()?;
        view.await.ok()
    }
}
