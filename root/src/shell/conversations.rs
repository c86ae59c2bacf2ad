//! The long conversations: cuts from a leaf, totals to a broadcast node.

use super::core::{CoreHandle, Finished, Input};
use super::outbox::{Outbox, outbox};
use crate::machine::ConnectionId;
use countree_common::cluster::NodeName;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use serde::de::DeserializeOwned;

/// One side of a conversation, as the core hears it.
struct Ears<T> {
    opened: Box<dyn FnOnce(Outbox) -> Input + Send>,
    said: fn(ConnectionId, T) -> Input,
    closed: Input,
}

/// Hears a leaf until it leaves.
pub(super) async fn uplink(
    connection: ConnectionId,
    leaf: NodeName,
    sender: FrameSender,
    receiver: FrameReceiver,
    core: CoreHandle,
) -> Result<(), StreamError> {
    let opened = Box::new(move |outbox| Input::LeafOpened(connection, leaf, outbox));
    let ears = Ears { opened, said: Input::Leaf, closed: Input::LeafClosed(connection) };
    hold(connection, ears, sender, receiver, core).await
}

/// Hears a broadcast node until it leaves.
pub(super) async fn publish(
    connection: ConnectionId,
    sender: FrameSender,
    receiver: FrameReceiver,
    core: CoreHandle,
) -> Result<(), StreamError> {
    let opened = Box::new(move |outbox| Input::BroadcastOpened(connection, outbox));
    let ears = Ears { opened, said: Input::Broadcast, closed: Input::BroadcastClosed(connection) };
    hold(connection, ears, sender, receiver, core).await
}

async fn hold<T: DeserializeOwned>(
    connection: ConnectionId,
    ears: Ears<T>,
    sender: FrameSender,
    receiver: FrameReceiver,
    core: CoreHandle,
) -> Result<(), StreamError> {
    let (outbox, outgoing) = outbox();
    let ended = |_| StreamError::Ended;
    core.inputs.send((ears.opened)(outbox)).await.map_err(ended)?;
    let finished = core.finished.clone();
    let sending = outgoing.send(connection, sender, move |connection| {
        // The core is gone only when the root is.
        let _ = finished.send(Finished::SnapshotSent(connection));
    });
    // Sending ends when the core drops the outbox: the conversation is over then, whatever still arrives.
    let result = tokio::select! {
        result = listen(connection, ears.said, receiver, &core) => result,
        result = sending => result,
    };
    let _ = core.inputs.send(ears.closed).await;
    result
}

async fn listen<T: DeserializeOwned>(
    connection: ConnectionId,
    said: fn(ConnectionId, T) -> Input,
    mut receiver: FrameReceiver,
    core: &CoreHandle,
) -> Result<(), StreamError> {
    while let Some(message) = receiver.message::<T>().await? {
        if core.inputs.send(said(connection, message)).await.is_err() {
            // The core has ended; what it has left to say is still to be sent.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}
