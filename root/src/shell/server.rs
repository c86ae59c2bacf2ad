//! Who is let in, and what is held with them.

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

/// Nodes of the cluster, with their certificates.
pub(super) fn policy(cluster: NodeName) -> Policy {
    Policy {
        cluster,
        tier: Tier::Root,
        conversations: &[Conversation::Uplink, Conversation::Publish, Conversation::Rpc],
        admission: Arc::new(|_| Err("a root speaks to nodes only".into())),
    }
}

/// Holds the conversations.
#[derive(Clone)]
pub(super) struct Server {
    core: CoreHandle,
    rpc: RpcService,
    next: Arc<AtomicU64>,
    held: Arc<watch::Sender<usize>>,
}

/// Counts one conversation for as long as it lives.
struct Held(Arc<watch::Sender<usize>>);

impl Held {
    fn new(held: Arc<watch::Sender<usize>>) -> Self {
        held.send_modify(|held| *held += 1);
        Self(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

impl Server {
    /// `held` tells how many conversations there are.
    pub(super) fn new(core: CoreHandle, rpc: RpcService, held: watch::Sender<usize>) -> Self {
        Self { core, rpc, next: Arc::default(), held: Arc::new(held) }
    }

    /// Holds one conversation to its end.
    pub(super) async fn hold(self, greeted: Greeted) -> Result<(), StreamError> {
        let Greeted { conversation, node, sender, receiver, .. } = greeted;
        // The policy lets in nodes only.
        let Some(peer) = node else { return Err(StreamError::Ended) };
        let _held = Held::new(self.held);
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
