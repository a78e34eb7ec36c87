//! One connection from its acceptance to its end: handshake, requests one after the other, farewell.
//!
//! Whatever the client does or does not do, each step has a bound: handshake and first head by a timer here,
//! later heads and the pause between requests by hyper's, bodies by whoever reads them, answers by `Patience`. The
//! slot follows along, so that the door knows what it would cut.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::{error, fmt, io};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::Limits;
use super::count::Connections;
use super::door::Seat;
use super::first::Begun;
use super::following::{Answered, Following, Received};
use super::patience::Patience;
use super::slot::{Phase, Slot};
use crate::api::tls::Tls;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct House {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) counts: Arc<Connections>,
    /// Finish what you do.
    pub(super) stop: CancellationToken,
    /// Go, finished or not.
    pub(super) cut: CancellationToken,
}

/// Serves a connection to its end, or until it must go.
pub(super) async fn drive(stream: TcpStream, peer: SocketAddr, seat: Seat, house: Arc<House>) {
    let served = async {
        let Some(tls) = &house.tls else {
            return serve(stream, peer, &seat.slot, &house).await;
        };
        // Boxed, so that a plain connection is not as large as one with TLS.
        Box::pin(serve_tls(stream, tls, peer, &seat, &house)).await;
    };
    tokio::select! {
        () = seat.slot.evicted() => {}
        () = house.cut.cancelled() => {}
        () = served => {}
    }
}

async fn serve_tls(stream: TcpStream, tls: &Tls, peer: SocketAddr, seat: &Seat, house: &House) {
    let handshake = TlsAcceptor::from(tls.config()).accept(stream);
    match timeout(house.limits.handshake, handshake).await {
        Ok(Ok(stream)) => serve(stream, peer, &seat.slot, house).await,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            house.counts.handshake_failed();
        }
        Err(_elapsed) => house.counts.handshake_failed(),
    }
}

async fn serve<S>(stream: S, peer: SocketAddr, slot: &Arc<Slot>, house: &House)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut first_head = pin!(sleep(house.limits.head));
    let begun = tokio::select! {
        begun = Begun::read(stream, house.limits.head_bytes) => begun,
        () = &mut first_head => return house.counts.timed_out(),
        () = house.stop.cancelled() => return,
    };
    // A client that goes away before it has asked anything has nothing to be told.
    if let Ok(Some(stream)) = begun {
        // Boxed, so that those who only wait are small.
        Box::pin(answer(stream, first_head, peer, slot, house)).await;
    }
}

async fn answer<S>(
    stream: Begun<S>,
    mut first_head: Pin<&mut Sleep>,
    peer: SocketAddr,
    slot: &Arc<Slot>,
    house: &House,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| respond(request, peer, Arc::clone(slot), &house.router));
    let stream = Patience::new(stream, house.limits.answer, Arc::clone(slot));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(house.limits.idle)
            .max_buf_size(house.limits.head_bytes)
            // hyper's buffer grows past its own bound by what one read brings.
            .max_header_size(house.limits.head_bytes)
            .max_headers(house.limits.headers)
            .serve_connection(TokioIo::new(stream), service)
    );
    let (mut has_begun, mut is_stopping) = (false, false);
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection failed");
                    if is_late(&error) {
                        house.counts.timed_out();
                    }
                }
                return;
            }
            () = &mut first_head, if !has_begun => {
                has_begun = true;
                if slot.phase() == Phase::Head {
                    house.counts.timed_out();
                    return;
                }
            }
            () = house.stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                // hyper would wait for the rest of a first head.
                if slot.phase() == Phase::Head {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn is_late(error: &hyper::Error) -> bool {
    let below = error::Error::source(error).and_then(|below| below.downcast_ref::<io::Error>());
    error.is_timeout() || below.is_some_and(|below| below.kind() == io::ErrorKind::TimedOut)
}

/// A connection that was evicted while its request came in: it ends without an answer.
#[derive(Debug)]
struct Evicted;

impl fmt::Display for Evicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection had to make room")
    }
}

impl error::Error for Evicted {}

async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    slot: Arc<Slot>,
    router: &Router,
) -> Result<Response<Following<Body, Answered>>, Evicted> {
    if !slot.begin(!request.body().is_end_stream()) {
        return Err(Evicted);
    }
    let answered = Answered(Arc::clone(&slot));
    let mut request = request.map(|body| {
        let received = Received {
            whole: body.is_end_stream(),
            slot,
        };
        Body::new(Following::new(body, received))
    });
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.clone().oneshot(request).await;
    let response = response.unwrap_or_else(|never: Infallible| match never {});
    Ok(response.map(|body| Following::new(body, answered)))
}
