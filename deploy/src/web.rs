//! Serving HTTP to anybody: as many connections as the node carries, and none that says nothing.

use axum::Router;
use axum::http::StatusCode;
use countree_common::limits::CONNECTIONS_PER_NODE;
use countree_common::shell::http::error;
use countree_common::shell::shutdown::Shutdown;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// A connection whose next request's head is not there after this long is closed, also between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// After a connection could not be taken, most likely because the system has no more file handles.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `shutdown`; requests under way are finished. At most [`CONNECTIONS_PER_NODE`] connections
/// at once, as over QUIC; more wait in the system's queue.
pub(crate) fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> JoinHandle<()> {
    let router = router
        .fallback(|| async { error(StatusCode::NOT_FOUND, "no_such_route", "there is nothing here", None) });
    tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_PER_NODE));
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &slots) => accepted,
                () = shutdown.begun() => break,
            };
            let Some((stream, slot)) = accepted else { break };
            tokio::spawn(converse(stream, router.clone(), shutdown.clone(), slot));
        }
        drop(listener);
        // Every slot is free again once every connection has ended.
        let _ = slots.acquire_many(CONNECTIONS_PER_NODE as u32).await;
    })
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Some((stream, slot)),
            Err(e) => {
                tracing::warn!("a connection could not be taken: {e}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, router: Router, shutdown: Shutdown, _slot: OwnedSemaphorePermit) {
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
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
