//! Keeps nodes in the cluster: joining, heartbeats, and the view that they bring back.

use super::World;
use super::questions::Purpose;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::world::event::SimEvent;
use countree_common::cluster::{ClusterView, Node};
use countree_common::store::{FolderStore, StoreId};
use countree_common::time::Time;
use countree_common::wire::rpc::{NodeStats, Reply, Request};
use std::time::Duration;

/// Time between two heartbeats, as in the real shells.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(400);
/// A node that has not been heard of for this long is out of the view, as in the real shells.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// A node without a data folder follows the roots to another store after this long, as in the real shells.
const FOREIGN_AFTER: Duration = Duration::from_secs(10);
/// A request that no root has answered is repeated after this long.
const RETRY: Duration = Duration::from_millis(100);

/// A process's membership in the cluster.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The latest view.
    pub(super) view: ClusterView,
    /// The process, once it has an incarnation.
    pub(super) node: Option<Node>,
    /// The store that it has joined with.
    pub(super) store: Option<StoreId>,
    /// The start of the time in which roots answer that they use another one.
    foreign_since: Option<Time>,
}

impl Membership {
    /// Takes a view up if it is newer.
    pub(super) fn learn(&mut self, view: ClusterView) -> bool {
        let is_newer = view.epoch > self.view.epoch;
        if is_newer {
            self.view = view;
        }
        is_newer
    }
}

impl World {
    pub(super) fn membership(&mut self, host: Host) -> Option<&mut Membership> {
        match host {
            Host::Leaf(i) => self.cluster.leaves.get_mut(i)?.membership(),
            Host::Broadcast(i) => self.cluster.broadcasts.get_mut(i)?.membership(),
            _ => None,
        }
    }

    /// The entry of a process in the view.
    pub(super) fn listed(&self, host: Host, incarnation: u64) -> Option<Node> {
        let port = self.port(self.life(host)?);
        let (name, tier) = (host.name(), host.tier()?);
        Some(Node { name, tier, quic: host.address(port), http: None, incarnation })
    }

    /// Has a process join, or send a heartbeat.
    pub(super) fn heartbeat(&mut self, host: Host) {
        if let Host::Leaf(i) = host
            && self.cluster.leaves[i].is_without_heartbeats()
        {
            return;
        }
        let (Some(membership), Some(tier)) = (self.membership(host), host.tier()) else { return };
        let (node, epoch, stats) = (membership.node.clone(), membership.view.epoch, NodeStats::default());
        let leaf = if let Host::Leaf(i) = host { self.cluster.leaves.get(i) } else { None };
        let request = match (node, leaf) {
            (None, Some(leaf)) if self.plan.flaw == Some(Flaw::UncomparedLogs) => {
                let last = leaf.log().iter().map(|end| end.incarnation).max().unwrap_or_default();
                Request::Join { name: host.name(), tier, at_least: last + 1 }
            }
            (None, Some(leaf)) => {
                // Once all faults are over, the operator knows which stores there are.
                let known = leaf.known_store().filter(|_| self.plan.flaw != Some(Flaw::UnboundFolders));
                let store = FolderStore { known, adopts: self.faults.are_over };
                Request::JoinOnLog { leaf: host.name(), log: leaf.log(), store }
            }
            (None, None) => Request::Join { name: host.name(), tier, at_least: 0 },
            (Some(node), Some(leaf)) => {
                Request::LeafHeartbeat { node, stats, epoch, progress: leaf.reached() }
            }
            (Some(node), None) => Request::Heartbeat { node, stats, epoch },
        };
        self.ask_a_root(host, request, Purpose::Membership);
    }

    /// A root has refused a heartbeat, since it uses another store. What has no data folder follows the roots in time.
    pub(super) fn node_is_foreign(&mut self, host: Host) {
        let now = self.queue.now();
        if let Host::Leaf(of) = host {
            // Once all faults are over, the operator starts it again, to be adopted.
            if self.faults.are_over {
                self.leaf_is_refused(of);
            }
            return;
        }
        let Some(membership) = self.membership(host) else { return };
        if now >= *membership.foreign_since.get_or_insert(now) + FOREIGN_AFTER {
            membership.store = None;
        }
    }

    fn heartbeat_later(&mut self, host: Host, wait: Duration) {
        if let Some(life) = self.life(host) {
            self.queue.after(wait, SimEvent::Heartbeat { host, life });
        }
    }

    /// Takes a root's answer, or the lack of one.
    pub(super) fn hear_of_membership(&mut self, host: Host, request: Request, reply: Option<Reply>) {
        if let (Request::LeafHeartbeat { .. }, Host::Leaf(i)) = (&request, host) {
            self.send_final_request(i);
        }
        match (request, reply, host) {
            (Request::Members, Some(Reply::Members { view, .. }), Host::Leaf(i)) => {
                if self.membership(host).is_some_and(|m| m.learn(view)) {
                    self.leaf_takes_view(i);
                }
            }
            (Request::Members, ..) => {}
            (Request::Retire(_), None, Host::Leaf(i)) => self.leaf_retired(i, &[], false),
            (Request::Leave(_), None, Host::Leaf(i)) => self.leaf_has_left(i),
            (_, None, _) => self.heartbeat_later(host, RETRY),
            (
                Request::Join { .. } | Request::JoinOnLog { .. },
                Some(reply @ (Reply::Joined { .. } | Reply::JoinedOnLog { .. })),
                _,
            ) => {
                let (incarnation, missing, admission, store) = match reply {
                    Reply::Joined { incarnation, store } => (incarnation, Vec::new(), None, store),
                    Reply::JoinedOnLog { incarnation, missing, store } => {
                        let id = store.as_ref().map(|store| store.id);
                        (incarnation, missing, store, id)
                    }
                    _ => return,
                };
                let node = self.listed(host, incarnation);
                if let Some(membership) = self.membership(host) {
                    (membership.node, membership.store) = (node, store);
                }
                match host {
                    Host::Leaf(i) => {
                        self.bind_leaf(i, admission);
                        self.leaf_joined(i, incarnation, &missing);
                    }
                    Host::Broadcast(i) => self.broadcast_joined(i),
                    _ => {}
                }
                self.heartbeat_later(host, Duration::ZERO);
            }
            (Request::Heartbeat { .. } | Request::LeafHeartbeat { .. }, Some(Reply::View(view)), _) => {
                let is_news = self.membership(host).is_some_and(|m| {
                    m.foreign_since = None;
                    m.learn(view)
                });
                if let Host::Leaf(i) = host {
                    self.leaf_is_confirmed(i);
                }
                match host {
                    Host::Leaf(i) if is_news => self.leaf_takes_view(i),
                    Host::Broadcast(i) if is_news => self.broadcast_takes_view(i),
                    _ => {}
                }
                self.heartbeat_later(host, HEARTBEAT);
            }
            (Request::Leave(_), Some(Reply::View(_)), Host::Leaf(i)) => self.leaf_has_left(i),
            (Request::Retire(ledgers), Some(Reply::Done), Host::Leaf(i)) => {
                let streams: Vec<_> = ledgers.into_iter().map(|l| l.stream).collect();
                self.leaf_retired(i, &streams, true);
            }
            (Request::JoinOnLog { .. }, Some(Reply::Refused(_)), Host::Leaf(i)) => self.leaf_is_refused(i),
            (request, reply, _) => {
                self.violate(Promise::Orderly, format!("{host} asked {request:?} and was told {reply:?}"))
            }
        }
    }
}
