//! The registry of viewers, over QUIC and HTTP alike.

use super::input::BroadcastInput;
use super::sink::{self, Inbox};
use crate::machine::{Format, ViewerId};
use countree_common::cluster::NodeName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Counts viewers, numbers them, and announces them to the core.
#[derive(Debug)]
pub(super) struct ViewerRegistry {
    inputs: mpsc::Sender<BroadcastInput>,
    next: AtomicU64,
    present: watch::Sender<usize>,
}

impl ViewerRegistry {
    pub(super) fn new(inputs: mpsc::Sender<BroadcastInput>) -> Self {
        Self { inputs, next: AtomicU64::new(1), present: watch::Sender::new(0) }
    }

    /// Number of viewers that are present.
    pub(super) fn present(&self) -> usize {
        *self.present.borrow()
    }

    /// Asks all viewers to move to these nodes, within this time.
    pub(super) async fn send_off(&self, alternates: Vec<(NodeName, SocketAddr)>, within: Duration) {
        let _ = self.inputs.send(BroadcastInput::Leaving { alternates, within }).await;
    }

    /// Returns once all viewers have gone.
    pub(super) async fn emptied(&self) {
        // The sender lives as long as `self`.
        let _ = self.present.subscribe().wait_for(|present| *present == 0).await;
    }

    /// Registers a viewer; returns its guard, and the inbox of bytes for it. `None` when the node is leaving.
    pub(super) async fn admit(
        self: &Arc<Self>,
        format: Format,
        connection: Option<quinn::Connection>,
    ) -> Option<(ViewerGuard, Inbox)> {
        let viewer = ViewerId(self.next.fetch_add(1, Ordering::Relaxed));
        let (sink, inbox) = sink::new(connection);
        self.present.send_modify(|present| *present += 1);
        let guard = ViewerGuard { registry: self.clone(), viewer };
        self.inputs.send(BroadcastInput::Joined { viewer, format, sink }).await.ok()?;
        Some((guard, inbox))
    }
}

/// A viewer's registration, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct ViewerGuard {
    registry: Arc<ViewerRegistry>,
    pub(super) viewer: ViewerId,
}

impl ViewerGuard {
    /// Sends to the core; returns false when that has ended.
    pub(super) async fn tell(&self, input: BroadcastInput) -> bool {
        self.registry.inputs.send(input).await.is_ok()
    }

    /// Takes the viewer out of the core.
    pub(super) async fn end(self) {
        let _ = self.registry.inputs.send(BroadcastInput::Left(self.viewer)).await;
    }
}

impl Drop for ViewerGuard {
    fn drop(&mut self) {
        self.registry.present.send_modify(|present| *present -= 1);
    }
}
