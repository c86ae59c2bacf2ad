//! One attempt to reach a leaf, and the conversation that comes of it.

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

/// How long a leaf's last words are waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Where a link leads, and which attempt it is.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) leaf: NodeName,
    pub(super) link: LinkId,
    pub(super) address: SocketAddr,
}

/// What a link tells the producer's task.
#[derive(Debug)]
pub(super) enum News {
    Connected,
    Message(FromLeaf),
    Lost { reason: String, refusal: Option<Refusal> },
}

/// Closes the connection however the link's task ends. An open one would be taken for a live one.
struct CloseOnDrop(quinn::Connection);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close(0u32.into(), b"");
    }
}

/// Connects, and carries frames both ways until the connection is lost or this task is aborted.
pub(super) async fn run(
    peers: Peers,
    way: Way,
    frames: mpsc::Receiver<Outgoing>,
    news: mpsc::Sender<(Way, News)>,
) {
    let lost = match converse(&peers, &way, frames, &news).await {
        PeerError::Stream(StreamError::Refused(refusal)) => {
            News::Lost { reason: refusal.message.clone(), refusal: Some(refusal) }
        }
        e => News::Lost { reason: e.to_string(), refusal: None },
    };
    // Nobody listens any more when the producer has ended.
    let _ = news.send((way, lost)).await;
}

async fn converse(
    peers: &Peers,
    way: &Way,
    frames: mpsc::Receiver<Outgoing>,
    news: &mpsc::Sender<(Way, News)>,
) -> PeerError {
    let opened = peers.open(way.leaf.as_str(), way.address, Conversation::Produce).await;
    let (sender, receiver, connection) = match opened {
        Ok(opened) => opened,
        Err(e) => return e,
    };
    let _close = CloseOnDrop(connection);
    if news.send((way.clone(), News::Connected)).await.is_err() {
        return StreamError::Ended.into();
    }
    // Both at once: a leaf that reads slowly must still be heard.
    let error = tokio::select! {
        e = write(sender, frames) => e,
        e = read(receiver, way, news) => e,
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
                // The leaf may have said why it has stopped listening: the reader goes first.
                tokio::time::sleep(LAST_WORDS).await;
                return e;
            }
        }
    }
    StreamError::Ended
}

async fn read(mut receiver: FrameReceiver, way: &Way, news: &mpsc::Sender<(Way, News)>) -> StreamError {
    loop {
        match receiver.message().await {
            Ok(Some(message)) => {
                if news.send((way.clone(), News::Message(message))).await.is_err() {
                    return StreamError::Ended;
                }
            }
            Ok(None) => return StreamError::Ended,
            Err(e) => return e,
        }
    }
}
