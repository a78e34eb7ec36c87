//! A small HTTP/1 server for the API and the metrics: it listens, lets in, and ends.
//!
//! Reads sockets; makes requests for a [`Router`], with the client's address as [`ConnectInfo`]. Guarantees: at most
//! [`Limits::connections`] connections and bounded bytes and time for each; clients that send slowly or nothing keep
//! none of the others out; after `stop` it is over within [`Limits::grace`].
//!
//! [`ConnectInfo`]: axum::extract::ConnectInfo

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod connection;
mod count;
mod door;
mod first;
mod following;
mod patience;
mod slot;

pub use count::{Connections, Refusal};

use super::tls::Tls;
use crate::clock;
use connection::House;
use door::Door;

/// Connections the kernel may hold ready for us: a thousand clients that come at once are not worth a retry of each.
/// The kernel cuts it to `net.core.somaxconn` (4096 since Linux 5.4).
const BACKLOG: u32 = 4096;
/// Pause after the kernel could not give us a connection (no descriptors, no memory).
const BACKOFF: Duration = Duration::from_millis(100);
/// Connections accepted in one go, so that those accepted get their turn among a flood.
const IN_ONE_GO: usize = 16;

/// What one listener's clients may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections held at once. Each is one descriptor and, once it has sent a head, at most about twice
    /// [`Self::head_bytes`].
    pub connections: usize,
    /// Connections of one address, loopback included, not counting those younger than 1 s that have sent no
    /// request head yet: they are bounded by the total only.
    pub per_peer: usize,
    /// Most time for a TLS handshake.
    pub handshake: Duration,
    /// Most time from acceptance (or handshake) to the end of the first request's head.
    pub head: Duration,
    /// Most time from an answer to the end of the next request's head.
    pub idle: Duration,
    /// Most time an answer may wait for its client to read on.
    pub answer: Duration,
    /// Largest request head and read buffer, bytes; at least 8192.
    pub head_bytes: usize,
    /// Most header lines of a request.
    pub headers: usize,
    /// Most time for running requests after `stop`. The daemon as a whole has 2 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_peer: 64,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            head_bytes: 32 << 10,
            headers: 64,
            grace: Duration::from_secs(1),
        }
    }
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    counts: Arc<Connections>,
}

impl Listener {
    /// Binds `address`; `::` also takes IPv4, and is `0.0.0.0` on a node without IPv6. Port 0: any that is free.
    ///
    /// # Errors
    ///
    /// Returns what the kernel says, the port being in use for one.
    pub async fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        let socket = match listen(SocketAddr::new(address, port)) {
            Err(error) if is_without_ipv6(address, &error) => {
                listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))
            }
            bound => bound,
        }?;
        Ok(Self {
            socket,
            counts: Arc::default(),
        })
    }

    /// The address and port that are bound.
    ///
    /// # Errors
    ///
    /// Returns what the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The counts of this listener's connections, kept up to date for as long as it serves.
    #[must_use]
    pub fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.counts)
    }

    /// Serves until `stop`, then at most [`Limits::grace`] longer: idle connections close at once, running requests
    /// are finished, what is left is cut.
    pub async fn serve(
        self,
        router: Router,
        limits: Limits,
        tls: Option<Tls>,
        stop: CancellationToken,
    ) {
        let Self { socket, counts } = self;
        let door = Door::new(limits.clone(), Arc::clone(&counts));
        let house = Arc::new(House {
            router,
            limits,
            tls,
            counts,
            stop: stop.clone(),
            cut: CancellationToken::new(),
        });
        // However this ends, no connection outlives it.
        let _cut = house.cut.clone().drop_guard();
        let tasks = TaskTracker::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept(&socket, &door, &house, &tasks) => {}
        }
        drop(socket);
        tasks.close();
        if timeout(house.limits.grace, tasks.wait()).await.is_err() {
            tracing::info!(connections = tasks.len(), "requests were cut at the stop");
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        set_ipv6_v6only(&socket, false)?;
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether `error` means that the node has no IPv6: not built or loaded, or switched off by sysctl.
fn is_without_ipv6(address: IpAddr, error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    let is_missing = matches!(
        errno,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    );
    address.is_ipv6() && address.is_unspecified() && is_missing
}

async fn accept(socket: &TcpListener, door: &Arc<Door>, house: &Arc<House>, tasks: &TaskTracker) {
    let mut is_failing = false;
    for number in 1_usize.. {
        match socket.accept().await {
            Ok((stream, peer)) => {
                is_failing = false;
                let_in(stream, peer, door, house, tasks);
            }
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                if !is_failing {
                    tracing::warn!(%error, "cannot accept connections; trying on");
                }
                is_failing = true;
                sleep(BACKOFF).await;
            }
        }
        if number.is_multiple_of(IN_ONE_GO) {
            tokio::task::yield_now().await;
        }
    }
}

/// Whether only this one connection failed: its client went away before we came.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn let_in(
    stream: TcpStream,
    peer: SocketAddr,
    door: &Arc<Door>,
    house: &Arc<House>,
    tasks: &TaskTracker,
) {
    // A dual-stack socket shows IPv4 clients in IPv6's clothes.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let Ok(seat) = door.admit(peer.ip(), clock::boot_now()) else {
        return;
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the client went away");
    }
    tasks.spawn(connection::drive(stream, peer, seat, Arc::clone(house)));
}
