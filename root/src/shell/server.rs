//! Admits nodes of the cluster, and runs their conversations.

use super::conversations;
use super::core::CoreHandle;
use super::rpc::RpcService;
use crate::machine::ConnectionId;
use countree_common::cluster::{NodeName, Tier};
use countree_common::shell::quic::StreamError;
use countree_common::shell::server::{Greeted, Policy};
use countree_common::wire::hello::Conversation;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Admits nodes of the cluster, by their certificates.
pub(super) fn policy(cluster: NodeName) -> Policy {
    Policy {
        cluster,
        tier: Tier::Root,
        conversations: &[Conversation::Uplink, Conversation::Publish, Conversation::Rpc],
        admission: Arc::new(|_| Err("a root speaks to nodes only".into())),
    }
}

/// Runs conversations.
#[derive(Clone)]
pub(super) struct Server {
    core: CoreHandle,
    rpc: RpcService,
    next: Arc<AtomicU64>,
    open: Arc<watch::Sender<usize>>,
}

/// Counts one conversation for as long as it lives.
struct OpenConversation(Arc<watch::Sender<usize>>);

impl OpenConversation {
    fn new(open: Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for OpenConversation {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Server {
    /// `open` receives the number of conversations.
    pub(super) fn new(core: CoreHandle, rpc: RpcService, open: watch::Sender<usize>) -> Self {
        Self { core, rpc, next: Arc::default(), open: Arc::new(open) }
    }

    /// Runs one conversation to its end.
    pub(super) async fn handle(self, greeted: Greeted) -> Result<(), StreamError> {
        let Greeted { conversation, node, sender, receiver, .. } = greeted;
        // The policy lets in nodes only.
        let Some(peer) = node else { return Err(StreamError::Ended) };
        let _open = OpenConversation::new(self.open);
        let connection = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        match conversation {
            Conversation::Uplink => {
                conversations::uplink(connection, peer, sender, receiver, self.core).await
            }
            Conversation::Publish => conversations::publish(connection, sender, receiver, self.core).await,
            Conversation::Rpc => self.rpc.answer(&peer, sender, receiver).await,
            Conversation::Produce | Conversation::Watch => Err(StreamError::Ended),
        }
    }
}
