//! Serves HTTP with a bound on connections, and closes those that send nothing.

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use countree_common::access::Gate;
use countree_common::limits::CONNECTIONS_PER_NODE;
use countree_common::shell::gate;
use countree_common::shell::shutdown::Shutdown;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Time for the head of the next request; then the connection is closed. It also limits the pause between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The wait after a connection could not be accepted, most likely because the system has no more file handles.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `shutdown` begins, and finishes requests under way. Takes at most [`CONNECTIONS_PER_NODE`]
/// connections at once, as over QUIC; more wait in the system's queue.
pub(crate) fn serve(listener: TcpListener, router: Router, gate: Gate, shutdown: Shutdown) -> JoinHandle<()> {
    let gate = Arc::new(gate);
    tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_PER_NODE));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &slots) => accepted,
                () = shutdown.begun() => break,
            };
            let Some((stream, peer, slot)) = accepted else { break };
            let service = (router.clone(), gate.clone());
            tokio::spawn(serve_connection(stream, peer, service, shutdown.clone(), slot));
        }
        drop(listener);
        // Every slot is free again once every connection has ended.
        let _ = slots.acquire_many(CONNECTIONS_PER_NODE as u32).await;
    })
}

/// Accepts the next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, slot)),
            Err(e) => {
                tracing::warn!("a connection could not be taken: {e}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    (router, gate): (Router, Arc<Gate>),
    shutdown: Shutdown,
    _slot: OwnedSemaphorePermit,
) {
    // Without an address of its own the connection is gone already.
    let Ok(local) = stream.local_addr() else { return };
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let admitted = gate::admit(&gate, &request, peer.ip(), local.ip());
        // Routes see who asks.
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move {
            match admitted {
                Ok(passed) => router.call(request).await.map(|response| gate::allow(response, &passed)),
                Err(refusal) => Ok(refusal),
            }
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = ended {
        tracing::debug!("an HTTP connection broke off: {e}");
    }
}
