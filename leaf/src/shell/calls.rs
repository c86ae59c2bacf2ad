//! Asks other nodes over QUIC, on behalf of the machine.

use crate::machine::calls::Callee;
use countree_common::cluster::Node;
use countree_common::shell::membership::Membership;
use countree_common::shell::peers::{CALL_TIMEOUT, PeerError};
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::rpc::{NodeStats, Reply, Request, StreamProgress};
use std::time::Duration;

/// The wait for another leaf's answer about keys: a client waits meanwhile, and can ask again.
const KEY_TIMEOUT: Duration = Duration::from_secs(2);

/// The leaf's heartbeats. They end before the leaf says that it has settled: a later one would list it anew, and for
/// good.
#[derive(Debug, Clone, Default)]
pub(super) struct Heartbeats {
    stop: Shutdown,
    stopped: Shutdown,
}

impl Heartbeats {
    /// Beats until [`Heartbeats::end`].
    pub(super) async fn beat(
        &self,
        membership: &Membership,
        node: Node,
        latest: impl Fn() -> (NodeStats, StreamProgress),
    ) {
        let beat = |epoch| {
            let (stats, reached) = latest();
            Request::LeafHeartbeat { node: node.clone(), stats, epoch, progress: reached }
        };
        membership.beats(beat, &self.stop).await;
        self.stopped.begin();
    }

    /// Returns once the last heartbeat was answered or given up.
    pub(super) async fn end(&self) {
        self.stop.begin();
        self.stopped.begun().await;
    }
}

/// Asks on behalf of the machine.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) membership: Membership,
    pub(super) heartbeats: Heartbeats,
}

impl Caller {
    /// The answer; `None` when there is none.
    pub(super) async fn ask(&self, callee: Callee, request: Request) -> Option<Reply> {
        let is_last_word = matches!(request, Request::Drained { .. });
        if is_last_word {
            self.heartbeats.end().await;
        }
        let reply = match callee {
            Callee::Root => self.membership.ask_a_root(&request).await,
            Callee::Leaf(name) => {
                let node = self.membership.view().borrow().node(&name).cloned()?;
                let is_quick = matches!(request, Request::LookUpKeys { .. } | Request::AttemptOutcomes(_));
                let limit = if is_quick { KEY_TIMEOUT } else { CALL_TIMEOUT };
                self.membership.peers().call_within(&node, &request, limit).await
            }
        };
        match reply {
            Ok(reply) => Some(reply),
            Err(e) => {
                tracing::debug!("a question got no answer: {e}");
                if is_last_word {
                    self.learn_members().await;
                }
                None
            }
        }
    }

    /// Heartbeats bring no views any more, and the owners of keys may be others by now.
    async fn learn_members(&self) {
        match self.membership.ask_a_root(&Request::Members).await {
            Ok(Reply::Members { view, .. }) => self.membership.learn(view),
            Ok(_) => tracing::debug!("{}", PeerError::Mismatched),
            Err(e) => tracing::debug!("no root says who is in the cluster: {e}"),
        }
    }
}
