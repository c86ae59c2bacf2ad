//! Serves HTTP with a bound on connections, and closes those that send nothing.

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use countree_common::limits::CONNECTIONS_PER_NODE;
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
pub(crate) fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> JoinHandle<()> {
    tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_PER_NODE));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &slots) => accepted,
                () = shutdown.begun() => break,
            };
            let Some((stream, peer, slot)) = accepted else { break };
            tokio::spawn(serve_connection(stream, peer, router.clone(), shutdown.clone(), slot));
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
    router: Router,
    shutdown: Shutdown,
    _slot: OwnedSemaphorePermit,
) {
    let router = TowerToHyperService::new(router);
    // Routes check the peer's address.
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
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
