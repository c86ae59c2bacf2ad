//! One attempt to connect to a leaf, and the conversation on that connection.

use crate::machine::producer::{LinkId, Outgoing};
use countree_common::cluster::NodeName;
use countree_common::shell::peers::{PeerError, Peers};
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::{Conversation, Refusal};
use countree_common::wire::producer::FromLeaf;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Time limit for a leaf's refusal after a failed write.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(200);

/// The leaf that a link connects to, and the number of the attempt.
#[derive(Debug, Clone)]
pub(super) struct LinkTarget {
    pub(super) leaf: NodeName,
    pub(super) link: LinkId,
    pub(super) address: SocketAddr,
}

/// A report of a link to the producer's task.
#[derive(Debug)]
pub(super) enum LinkEvent {
    Connected,
    Message(FromLeaf),
    Lost { reason: String, refusal: Option<Refusal> },
}

/// Closes the connection when the link's task ends, for any reason: the leaf would take an open one for a
/// live one.
struct CloseOnDrop(quinn::Connection);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(0u32.into(), b"");
    }
}

/// Connects, and carries frames in both directions until the connection is lost or this task is aborted.
pub(super) async fn run(
    peers: Peers,
    target: LinkTarget,
    frames: mpsc::Receiver<Outgoing>,
    events: mpsc::Sender<(LinkTarget, LinkEvent)>,
) {
    let lost = match converse(&peers, &target, frames, &events).await {
        PeerError::Stream(StreamError::Refused(refusal)) => {
            LinkEvent::Lost { reason: refusal.message.clone(), refusal: Some(refusal) }
        }
        e => LinkEvent::Lost { reason: e.to_string(), refusal: None },
    };
    // Fails only when the producer has ended.
    let _ = events.send((target, lost)).await;
}

async fn converse(
    peers: &Peers,
    target: &LinkTarget,
    frames: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<(LinkTarget, LinkEvent)>,
) -> PeerError {
    let opened = peers.open(target.leaf.as_str(), target.address, Conversation::Produce).await;
    let (sender, receiver, connection) = match opened {
        Ok(opened) => opened,
        Err(e) => return e,
    };
    let _close = CloseOnDrop(connection);
    if events.send((target.clone(), LinkEvent::Connected)).await.is_err() {
        return StreamError::Ended.into();
    }
    // Both at once: a leaf that reads slowly must still be read.
    let error = tokio::select! {
        e = write(sender, frames) => e,
        e = read(receiver, target, events) => e,
    };
    error.into()
}

async fn write(mut sender: FrameSender, mut frames: mpsc::Receiver<Outgoing>) -> StreamError {
    while let Some(frame) = frames.recv().await {
        let sent = match frame {
            Outgoing::Message(message) => sender.send(FrameKind::Message, &message).await,
            Outgoing::Batch(body) => sender.send_body(FrameKind::Batch, body).await,
        };
        match sent {
            Ok(()) => {}
            Err(e) => {
                // The leaf may have sent the reason why it has stopped reading: the reader goes first.
                tokio::time::sleep(REFUSAL_TIMEOUT).await;
                return e;
            }
        }
    }
    StreamError::Ended
}

async fn read(
    mut receiver: FrameReceiver,
    target: &LinkTarget,
    events: &mpsc::Sender<(LinkTarget, LinkEvent)>,
) -> StreamError {
    loop {
        match receiver.message().await {
            Ok(Some(message)) => {
                if events.send((target.clone(), LinkEvent::Message(message))).await.is_err() {
                    return StreamError::Ended;
                }
            }
            Ok(None) => return StreamError::Ended,
            Err(e) => return e,
        }
    }
}
