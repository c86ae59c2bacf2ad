//! Splits hot items: one root collects the figures of all leaves, and changes the registry.

use super::registry::RegistryHandle;
use crate::machine::registry::registrar::Ask;
use crate::machine::registry::splits::Splits;
use countree_common::cluster::{ClusterView, NodeName, Tier};
use countree_common::shell::clock::Clock;
use countree_common::shell::membership::Membership;
use countree_common::shell::shutdown::Shutdown;
use countree_common::wire::rpc::{NodeStats, Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time between two checks of the items.
const LOOK_GAP: Duration = Duration::from_secs(1);

/// Adjusts the splits, as long as this root is the one to do it.
pub(super) async fn keep_splits(
    me: NodeName,
    membership: Membership,
    registry: RegistryHandle,
    shutdown: Shutdown,
) {
    let (mut splits, clock) = (Splits::default(), Clock::start());
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_GAP) => {}
            () = shutdown.begun() => return,
        }
        let view = registry.view().borrow().clone();
        // Two roots that both think so do no harm: the registry takes one change after the other.
        if view.tier(Tier::Root).next().is_none_or(|first| first.name != me) {
            splits = Splits::default();
            continue;
        }
        let stats = stats_of_all(&view, &membership).await;
        if let Some(wanted) = splits.handle_stats(&view, &stats, clock.now().mono) {
            tracing::info!(splits = wanted.len(), "hot items are split anew");
            if let Reply::Failed(reason) = registry.ask(Ask::Split(wanted)).await {
                tracing::warn!("hot items could not be split: {reason}");
            }
        }
    }
}

/// The latest figures of every node, from all roots.
async fn stats_of_all(view: &ClusterView, membership: &Membership) -> BTreeMap<NodeName, NodeStats> {
    let mut stats = BTreeMap::new();
    for root in view.tier(Tier::Root) {
        match membership.peers().call(root, &Request::Stats).await {
            Ok(Reply::Stats(some)) => stats.extend(some),
            Ok(_) => {}
            Err(e) => tracing::debug!("{} does not say what it has heard: {e}", root.name),
        }
    }
    stats
}
