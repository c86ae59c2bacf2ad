//! Enters the root into the registry, and keeps it there.

use super::gauges::Gauges;
use super::registry::RegistryHandle;
use super::rpc::RpcService;
use crate::machine::registry::registrar::Ask;
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::shell::membership::HEARTBEAT;
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::rpc::Reply;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The store has this long to take the root into the registry.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
const JOIN_RETRY: Duration = Duration::from_millis(100);

/// The reason why the root did not enter the registry.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The registry, or the store, did not answer in time.
    #[error("the root could not join the cluster within {} s: {reason}", JOIN_TIMEOUT.as_secs())]
    Timeout {
        /// Its answer.
        reason: String,
    },
    /// The store has no record of this start.
    #[error("the store was not bound")]
    Unbound,
    /// It was stopped before that.
    #[error("stopped before the store had answered")]
    Stopped,
}

/// Repeats a question until an answer is accepted, time is up, or `stop`.
async fn until_joined<T, Fut: Future<Output = Reply>>(
    ask: impl Fn() -> Fut,
    accepted: impl Fn(&Reply) -> Option<T>,
    stop: &Shutdown,
) -> Result<T, JoinError> {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    loop {
        let reply = ask().await;
        if let Some(result) = accepted(&reply) {
            return Ok(result);
        }
        if Instant::now() > deadline {
            let reason = match reply {
                Reply::Failed(reason) => reason,
                other => format!("the registry answered {other:?}"),
            };
            return Err(JoinError::Timeout { reason });
        }
        tokio::select! {
            () = tokio::time::sleep(JOIN_RETRY) => {}
            () = stop.begun() => return Err(JoinError::Stopped),
        }
    }
}

/// Asks for the incarnation of this start.
pub(super) async fn join(
    registry: &RegistryHandle,
    name: &NodeName,
    stop: &Shutdown,
) -> Result<u64, JoinError> {
    let ask = || registry.ask(Ask::Join { name: name.clone(), tier: Tier::Root, at_least: 0 });
    until_joined(
        ask,
        |reply| match reply {
            Reply::Joined { incarnation, .. } => Some(*incarnation),
            _ => None,
        },
        stop,
    )
    .await
}

/// Enters the view. It names no epoch, since the registrar beside it knows which ones there were.
pub(super) async fn enter(registry: &RegistryHandle, node: &Node, stop: &Shutdown) -> Result<(), JoinError> {
    let ask = || registry.ask(Ask::Heartbeat { node: node.clone(), epoch: 0, reached: None });
    until_joined(
        ask,
        |reply| match reply {
            Reply::View(view) => view.node(&node.name).map(|_| ()),
            _ => None,
        },
        stop,
    )
    .await
}

/// Renews the root's own lease, without the network in between, and measures its rate of events.
pub(super) async fn heartbeats(
    node: Node,
    registry: RegistryHandle,
    gauges: Arc<Gauges>,
    rpc: RpcService,
    shutdown: Shutdown,
) {
    let (mut at, mut events) = (Instant::now(), gauges.events());
    loop {
        tokio::select! {
            () = tokio::time::sleep(HEARTBEAT) => {}
            () = shutdown.begun() => return,
        }
        let (now, merged) = (Instant::now(), gauges.events());
        gauges.set_rate(merged.saturating_sub(events) as f64 / now.duration_since(at).as_secs_f64());
        (at, events) = (now, merged);
        rpc.note_stats(node.name.clone(), gauges.stats());
        if let Reply::Failed(reason) =
            registry.ask(Ask::Heartbeat { node: node.clone(), epoch: 0, reached: None }).await
        {
            tracing::debug!("the root's lease could not be renewed: {reason}");
        }
    }
}
