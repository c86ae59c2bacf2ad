//! Viewers over QUIC.

use super::input::BroadcastInput;
use super::sink::Inbox;
use super::viewer_registry::{ViewerGuard, ViewerRegistry};
use crate::machine::Format;
use countree_common::shell::quic::{FrameReceiver, FrameSender, StreamError};
use countree_common::shell::server::Greeted;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::viewer::{FromBroadcast, ToBroadcast};
use std::sync::Arc;
use std::time::Duration;

/// Time limit for the delivery of a final `Move`.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves one viewer's stream to its end. A viewer ends it by finishing its side.
pub(super) async fn watch(greeted: Greeted, registry: Arc<ViewerRegistry>) -> Result<(), StreamError> {
    let Greeted { sender, receiver, connection, .. } = greeted;
    let Some((guard, inbox)) = registry.admit(Format::Frames, Some(connection)).await else { return Ok(()) };
    let ended = tokio::select! {
        ended = read(receiver, &guard) => ended,
        ended = write(sender, inbox) => ended,
    };
    guard.end().await;
    ended
}

async fn read(mut receiver: FrameReceiver, guard: &ViewerGuard) -> Result<(), StreamError> {
    let viewer = guard.viewer;
    while let Some(message) = receiver.message::<ToBroadcast>().await? {
        if !guard.tell(BroadcastInput::Viewer { viewer, message }).await {
            break;
        }
    }
    Ok(())
}

async fn write(mut sender: FrameSender, mut inbox: Inbox) -> Result<(), StreamError> {
    while let Some(chunks) = inbox.chunks.recv().await {
        for chunk in chunks {
            sender.send_raw(chunk).await?;
        }
    }
    let leaving = || "this node is leaving: watch on another".to_owned();
    let reason = inbox.dismissal().unwrap_or_else(leaving);
    sender
        .send(FrameKind::Message, &FromBroadcast::Move { reason, alternates: Vec::new(), within_ms: 0 })
        .await?;
    sender.finish();
    let _ = tokio::time::timeout(FAREWELL, sender.flushed()).await;
    Ok(())
}
