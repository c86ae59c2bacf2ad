//! The queue of messages to be sent on one conversation.

use crate::machine::ConnectionId;
use bytes::Bytes;
use countree_common::document::Snapshot;
use countree_common::shell::quic::{FrameSender, StreamError};
use countree_common::shell::server::refuse;
use countree_common::wire::frame::{self, FrameKind};
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::publish::{FromRoot, snapshot_parts};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes queued for one peer, at most. Beyond it the conversation is closed; the peer connects and asks again.
/// Snapshots are not counted: the machine lets only a few of them wait.
pub(super) const OUTBOX_BYTES: usize = 32 << 20;
/// A snapshot travels in pieces of about this many bytes.
pub(super) const SNAPSHOT_PART_BYTES: usize = 256 << 10;
/// A finished conversation has this long to reach its peer.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Item {
    Frame(Bytes),
    Snapshot(Snapshot),
    Refusal(RefusalCode, String),
}

/// The end that fills. Dropping it ends the conversation once everything is sent.
#[derive(Debug)]
pub(super) struct Outbox {
    items: mpsc::UnboundedSender<Item>,
    bytes: Arc<AtomicUsize>,
}

/// The end that empties.
pub(super) struct Outgoing {
    items: mpsc::UnboundedReceiver<Item>,
    bytes: Arc<AtomicUsize>,
}

/// The peer does not keep up, or is gone.
#[derive(Debug)]
pub(super) struct Overflowing;

pub(super) fn outbox() -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let bytes = Arc::new(AtomicUsize::new(0));
    (Outbox { items: sender, bytes: bytes.clone() }, Outgoing { items: receiver, bytes })
}

impl Outbox {
    /// Queues a whole frame.
    pub(super) fn frame(&self, frame: Bytes) -> Result<(), Overflowing> {
        let waiting = self.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        if waiting > OUTBOX_BYTES {
            return Err(Overflowing);
        }
        self.items.send(Item::Frame(frame)).map_err(|_| Overflowing)
    }

    /// Queues a message.
    pub(super) fn message<T: Serialize>(&self, message: &T) -> Result<(), Overflowing> {
        let frame = frame::message(FrameKind::Message, message).map_err(|e| {
            tracing::error!("an answer can't be sent: {e}");
            Overflowing
        })?;
        self.frame(frame)
    }

    /// Queues a snapshot, which is cut into pieces when it is sent.
    pub(super) fn snapshot(&self, snapshot: Snapshot) -> Result<(), Overflowing> {
        self.items.send(Item::Snapshot(snapshot)).map_err(|_| Overflowing)
    }

    /// Ends the conversation with a reason, after what waits.
    pub(super) fn refuse(self, code: RefusalCode, message: String) {
        // A peer that is gone needs no reason.
        let _ = self.items.send(Item::Refusal(code, message));
    }
}

impl Outgoing {
    /// Sends until the outbox is dropped; `snapshot_sent` is called after each snapshot.
    pub(super) async fn send(
        mut self,
        connection: ConnectionId,
        mut sender: FrameSender,
        snapshot_sent: impl Fn(ConnectionId),
    ) -> Result<(), StreamError> {
        while let Some(item) = self.items.recv().await {
            match item {
                Item::Frame(frame) => {
                    let bytes = frame.len();
                    sender.send_raw(frame).await?;
                    self.bytes.fetch_sub(bytes, Ordering::Relaxed);
                }
                Item::Snapshot(Snapshot { topic, version, totals }) => {
                    for part in snapshot_parts(&topic, version, totals, SNAPSHOT_PART_BYTES) {
                        sender.send(FrameKind::Message, &FromRoot::Snapshot(part)).await?;
                    }
                    snapshot_sent(connection);
                }
                Item::Refusal(code, message) => {
                    refuse(sender, code, message).await;
                    return Ok(());
                }
            }
        }
        sender.finish();
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, sender.flushed()).await;
        Ok(())
    }
}
