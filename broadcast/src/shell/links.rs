//! The conversation with one root: opened, kept, and opened again.

use super::input::BroadcastInput;
use countree_common::cluster::NodeName;
use countree_common::shell::peers::{PeerError, Peers};
use countree_common::shell::tasks;
use countree_common::wire::frame::FrameKind;
use countree_common::wire::hello::Conversation;
use countree_common::wire::publish::{FromRoot, ToRoot};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Most messages to a root that wait to be sent. A link with more is closed: the next one begins with all
/// subscriptions anyway.
pub(super) const OUTBOX: usize = 1_024;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// The core's end of a link.
#[derive(Debug)]
pub(super) struct RootLink {
    /// Tells this link's messages from those of an earlier one.
    pub(super) number: u64,
    /// `None` while it is not connected.
    pub(super) outbox: Option<mpsc::Sender<ToRoot>>,
    task: AbortHandle,
}

impl Drop for RootLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RootLink {
    /// Connects to the root, and reconnects until the link is dropped.
    pub(super) fn open(
        number: u64,
        root: NodeName,
        address: SocketAddr,
        peers: Peers,
        inputs: mpsc::Sender<BroadcastInput>,
    ) -> Self {
        let task = RootLinkTask { number, root, address, peers, inputs };
        Self { number, outbox: None, task: tasks::spawn(task.run()).abort_handle() }
    }
}

/// The task's end of a link.
struct RootLinkTask {
    number: u64,
    root: NodeName,
    address: SocketAddr,
    peers: Peers,
    inputs: mpsc::Sender<BroadcastInput>,
}

impl RootLinkTask {
    async fn run(self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let mut connected = false;
            let ended = self.converse(&mut connected).await;
            if connected {
                backoff = BACKOFF_MIN;
                let lost = BroadcastInput::RootLost { root: self.root.clone(), link: self.number };
                if self.inputs.send(lost).await.is_err() {
                    return;
                }
            }
            if let Err(e) = ended {
                tracing::debug!(root = %self.root, "no totals from here for now: {e}");
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn converse(&self, connected: &mut bool) -> Result<(), PeerError> {
        let (mut sender, mut receiver, _connection) =
            self.peers.open(self.root.as_str(), self.address, Conversation::Publish).await?;
        let (outbox, mut messages) = mpsc::channel(OUTBOX);
        let root = || self.root.clone();
        *connected = true;
        let up = BroadcastInput::RootConnected { root: root(), link: self.number, outbox };
        if self.inputs.send(up).await.is_err() {
            return Ok(());
        }
        let reading = async {
            while let Some(message) = receiver.message::<FromRoot>().await? {
                let input = BroadcastInput::FromRoot { root: root(), link: self.number, message };
                if self.inputs.send(input).await.is_err() {
                    break;
                }
            }
            Ok(())
        };
        let writing = async {
            while let Some(message) = messages.recv().await {
                sender.send(FrameKind::Message, &message).await?;
            }
            Ok(())
        };
        tokio::select! { ended = reading => ended, ended = writing => ended }
    }
}
