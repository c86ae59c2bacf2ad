//! The viewer handle, and the task that keeps it subscribed to some broadcast node.

use super::cluster::Cluster;
use super::error::ClientError;
use super::subscription::{End, Subscription, SubscriptionEvent};
use super::viewer_state::Shared;
use crate::machine::viewer::{Departure, ViewerMachine};
use countree_common::cluster::{Node, NodeName, Tier};
use countree_common::document::TopicView;
use countree_common::key::Topic;
use countree_common::limits;
use countree_common::shell::peers::Peers;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// The wait before another node is tried; it doubles up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// Time limit for a new node to send every snapshot, for a viewer that was asked to move.
const ARRIVAL: Duration = Duration::from_secs(5);

/// Watches topics. Reconnects by itself, to any broadcast node of the cluster.
#[derive(Debug)]
pub struct Viewer {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Viewer {
    /// Watches these topics, 1 to `limits::TOPICS_PER_VIEWER`. Must run inside a tokio runtime.
    pub fn watch(cluster: Cluster, topics: Vec<Topic>) -> Self {
        let topics: BTreeSet<_> = topics.into_iter().collect();
        let count = topics.len();
        let shared = Arc::new(Shared::new(ViewerMachine::new(topics)));
        let task = Task { cluster, shared: shared.clone() };
        let task = tokio::spawn(async move {
            let error = match count {
                1..=limits::TOPICS_PER_VIEWER => task.run().await,
                _ => ClientError::TopicCount(count),
            };
            task.shared.state().error = Some(error);
            task.shared.changed.notify_one();
        });
        Self { shared, task: task.abort_handle() }
    }

    /// Returns the next change: for each topic first all its totals (and again when the store's era changed),
    /// then the counters that changed. A slow reader skips to the latest totals. Safe to cancel and call
    /// again.
    ///
    /// Returns `None` after an error. While no broadcast node can be reached it waits.
    pub async fn next(&mut self) -> Option<Result<TopicView, ClientError>> {
        loop {
            {
                let mut state = self.shared.state();
                if let Some(view) = state.machine.poll_view() {
                    return Some(Ok(view));
                }
                if let Some(error) = state.error.take() {
                    state.has_ended = true;
                    return Some(Err(error));
                }
                if state.has_ended {
                    return None;
                }
            }
            self.shared.changed.notified().await;
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    cluster: Cluster,
    shared: Arc<Shared>,
}

impl Task {
    /// Moves from node to node; returns only an error that no other node would help against.
    async fn run(&self) -> ClientError {
        let (mut last, mut failures) = (None, 0u32);
        loop {
            let peers = match self.cluster.viewer_peers() {
                Ok(peers) => peers,
                Err(e) => return e,
            };
            if let Some(node) = self.choose(last.as_ref()) {
                let feed = Subscription::begin(&self.cluster, &self.shared, &peers, node);
                let (name, end) = self.stay(feed, &peers).await;
                match end {
                    End::Fatal(e) => return e,
                    End::Node { was_open, reason } => {
                        tracing::debug!(node = %name, "leaving a broadcast node: {reason}");
                        failures = if was_open { 0 } else { failures + 1 };
                    }
                }
                last = Some(name);
            } else {
                failures += 1;
            }
            self.cluster.report_trouble();
            // Spreads the viewers of a node that died, which would otherwise all come to the next one at
            // once.
            let wait = RETRY.saturating_mul(1 << failures.min(10)).min(RETRY_MAX);
            tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
        }
    }

    /// Stays with a node, and moves to another when asked to, as long as that leaves no gap.
    async fn stay(&self, mut feed: Subscription, peers: &Peers) -> (NodeName, End) {
        loop {
            let departure = match feed.next().await {
                SubscriptionEvent::Complete => continue,
                SubscriptionEvent::Ended(end) => return (feed.node.name.clone(), end),
                SubscriptionEvent::Sent(departure) => departure,
            };
            let wait = departure.within.mul_f64(rand::random_range(0.0..1.0));
            let left = feed.node.clone();
            // The old node is still read while the new connection is made.
            tokio::select! {
                end = feed.ended() => return (left.name, end),
                next = self.move_on(&departure, &left, wait, peers) => match next {
                    Ok(next) => feed = next,
                    Err(e) => return (left.name, End::Fatal(e)),
                },
            }
        }
    }

    /// Tries other nodes until one has sent every snapshot: those that the leaving one named, each once, and
    /// from then on those of the view, for the named ones may have gone as well.
    async fn move_on(
        &self,
        departure: &Departure,
        left: &Node,
        mut wait: Duration,
        peers: &Peers,
    ) -> Result<Subscription, ClientError> {
        let mut named = departure.alternates.clone();
        loop {
            tokio::time::sleep(wait).await;
            wait = RETRY_MAX;
            let known = || self.choose(Some(&left.name)).filter(|node| node != left);
            if let Some(node) = take_any(&mut named).or_else(known) {
                let mut next = Subscription::begin(&self.cluster, &self.shared, peers, node);
                match tokio::time::timeout(ARRIVAL, next.next()).await {
                    Ok(SubscriptionEvent::Complete) => return Ok(next),
                    Ok(SubscriptionEvent::Ended(End::Fatal(e))) => return Err(e),
                    _ => {}
                }
            }
            self.cluster.report_trouble();
        }
    }

    /// A broadcast node at random, another than the last one if there is any.
    fn choose(&self, last: Option<&NodeName>) -> Option<Node> {
        let view = self.cluster.view();
        let all: Vec<&Node> = view.tier(Tier::Broadcast).collect();
        let others: Vec<&Node> = all.iter().copied().filter(|n| Some(&n.name) != last).collect();
        any(if others.is_empty() { &all } else { &others }).map(|&node| node.clone())
    }
}

/// Takes one of the nodes that a leaving one has named out of the list.
fn take_any(named: &mut Vec<(NodeName, SocketAddr)>) -> Option<Node> {
    let place = rand::random::<u64>().checked_rem(named.len() as u64)?;
    let (name, quic) = named.swap_remove(place as usize);
    Some(Node { name, quic, tier: Tier::Broadcast, http: None, incarnation: 0 })
}

fn any<T>(of: &[T]) -> Option<&T> {
    let place = rand::random::<u64>().checked_rem(of.len() as u64)?;
    of.get(place as usize)
}
