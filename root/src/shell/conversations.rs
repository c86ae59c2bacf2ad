//! Runs the long conversations: cuts from a leaf, totals to a broadcast node.

use super::core::{CoreHandle, Finished, Input};
use super::outbox::{Outbox, outbox};
use crate::machine::ConnectionId;
use countree_common::cluster::NodeName;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use serde::de::DeserializeOwned;

/// One side of a conversation, as the core sees it.
struct StreamHandlers<T> {
    opened: Box<dyn FnOnce(Outbox) -> Input + Send>,
    received: fn(ConnectionId, T) -> Input,
    closed: Input,
}

/// Converses with a leaf until it leaves.
pub(super) async fn uplink(
    connection: ConnectionId,
    leaf: NodeName,
    sender: FrameSender,
    receiver: FrameReceiver,
    core: CoreHandle,
) -> Result<(), StreamError> {
    let opened = Box::new(move |outbox| Input::LeafOpened(connection, leaf, outbox));
    let handlers = StreamHandlers { opened, received: Input::Leaf, closed: Input::LeafClosed(connection) };
    run(connection, handlers, sender, receiver, core).await
}

/// Converses with a broadcast node until it leaves.
pub(super) async fn publish(
    connection: ConnectionId,
    sender: FrameSender,
    receiver: FrameReceiver,
    core: CoreHandle,
) -> Result<(), StreamError> {
    let opened = Box::new(move |outbox| Input::BroadcastOpened(connection, outbox));
    let handlers =
        StreamHandlers { opened, received: Input::Broadcast, closed: Input::BroadcastClosed(connection) };
    run(connection, handlers, sender, receiver, core).await
}

async fn run<T: DeserializeOwned>(
    connection: ConnectionId,
    handlers: StreamHandlers<T>,
    sender: FrameSender,
    receiver: FrameReceiver,
    core: CoreHandle,
) -> Result<(), StreamError> {
    let (outbox, outgoing) = outbox();
    let ended = |_| StreamError::Ended;
    core.inputs.send((handlers.opened)(outbox)).await.map_err(ended)?;
    let finished = core.finished.clone();
    let sending = outgoing.send(connection, sender, move |connection| {
        // The core is gone only when the root is.
        let _ = finished.send(Finished::SnapshotSent(connection));
    });
    // Sending ends when the core drops the outbox: messages that arrive after that are dropped.
    let result = tokio::select! {
        result = listen(connection, handlers.received, receiver, &core) => result,
        result = sending => result,
    };
    let _ = core.inputs.send(handlers.closed).await;
    result
}

async fn listen<T: DeserializeOwned>(
    connection: ConnectionId,
    received: fn(ConnectionId, T) -> Input,
    mut receiver: FrameReceiver,
    core: &CoreHandle,
) -> Result<(), StreamError> {
    while let Some(message) = receiver.message::<T>().await? {
        if core.inputs.send(received(connection, message)).await.is_err() {
            // The core has ended; what it has left to say is still to be sent.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}
