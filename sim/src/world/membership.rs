//! How nodes belong to the cluster: questions to roots, heartbeats, and the view that they bring back.

use super::World;
use crate::happening::Happening;
use crate::network::{LinkId, Message, Side};
use crate::place::Place;
use countree_common::cluster::{ClusterView, Node};
use countree_common::wire::hello::Conversation;
use countree_common::wire::rpc::{NodeStats, Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two heartbeats, as in the real shells.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(400);
/// A node that has not been heard of for this long is out of the view, as in the real shells.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// A question that no root has answered is asked again after this long.
const RETRY: Duration = Duration::from_millis(100);

/// A question under way, and the roots that are still to be tried.
#[derive(Debug)]
struct Question {
    request: Request,
    roots: Vec<usize>,
}

/// What a process knows of its cluster.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The latest view.
    pub(super) view: ClusterView,
    /// The process, once it has an incarnation.
    pub(super) node: Option<Node>,
    asking: BTreeMap<LinkId, Question>,
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
    fn membership(&mut self, place: Place) -> Option<&mut Membership> {
        match place {
            Place::Leaf(i) => self.leaves.get_mut(i)?.membership(),
            Place::Broadcast(i) => self.broadcasts.get_mut(i)?.membership(),
            _ => None,
        }
    }

    /// The node that a process is listed as.
    pub(super) fn listed(&self, place: Place, incarnation: u64) -> Option<Node> {
        let port = self.port(self.life(place)?);
        let (name, tier) = (place.name(), place.tier()?);
        Some(Node { name, tier, quic: place.address(port), http: None, incarnation })
    }

    /// Asks one root after another until one answers.
    pub(super) fn ask_a_root(&mut self, place: Place, request: Request) {
        let mut roots: Vec<usize> = (0..self.roots.len()).collect();
        let first = self.random.place(roots.len()).unwrap_or_default();
        roots.rotate_left(first);
        self.try_next_root(place, Question { request, roots });
    }

    fn try_next_root(&mut self, place: Place, mut question: Question) {
        let Some(root) = question.roots.pop() else { return self.unanswered(place, &question.request) };
        let acceptor = Place::Root(root);
        let port = self.life(acceptor).map_or(0, |life| self.port(life));
        let link = self.open(place, acceptor, port, Conversation::Rpc);
        if let Some(membership) = self.membership(place) {
            membership.asking.insert(link, question);
        }
    }

    /// The connection for a question stands.
    pub(super) fn put_question(&mut self, place: Place, link: LinkId) {
        let question = self.membership(place).and_then(|m| m.asking.get(&link));
        if let Some(request) = question.map(|q| q.request.clone()) {
            self.send(link, Side::Opener, Message::Ask(request));
        }
    }

    /// A question is answered, or its connection is gone (`None`). Says whether the connection was a question's.
    pub(super) fn is_replied(&mut self, place: Place, link: LinkId, reply: Option<Reply>) -> bool {
        let Some(question) = self.membership(place).and_then(|m| m.asking.remove(&link)) else {
            return false;
        };
        self.leave(link, Side::Opener);
        match reply {
            None | Some(Reply::Failed(_)) => self.try_next_root(place, question),
            Some(reply) => self.answered_by_root(place, question.request, reply),
        }
        true
    }

    /// A process asks for its incarnation, or says that it lives.
    pub(super) fn beat(&mut self, place: Place) {
        if let Place::Leaf(i) = place
            && self.leaves[i].is_leaving()
        {
            return;
        }
        let at_least = if let Place::Leaf(i) = place { self.leaves[i].least_incarnation() } else { 0 };
        let Some(membership) = self.membership(place) else { return };
        let request = match membership.node.clone() {
            None => Request::Join { name: place.name(), at_least },
            Some(node) => Request::Heartbeat { node, stats: NodeStats::default() },
        };
        self.ask_a_root(place, request);
    }

    fn beat_again(&mut self, place: Place, wait: Duration) {
        if let Some(life) = self.life(place) {
            self.agenda.after(wait, Happening::Beat { place, life });
        }
    }

    fn unanswered(&mut self, place: Place, request: &Request) {
        match (request, place) {
            (Request::Retire(_), Place::Leaf(i)) => self.leaf_retired(i, &[], false),
            (Request::Leave(_), Place::Leaf(i)) => self.leaf_has_left(i),
            _ => self.beat_again(place, RETRY),
        }
    }

    fn answered_by_root(&mut self, place: Place, request: Request, reply: Reply) {
        match (request, reply, place) {
            (Request::Join { .. }, Reply::Joined { incarnation }, _) => {
                let node = self.listed(place, incarnation);
                if let Some(membership) = self.membership(place) {
                    membership.node = node;
                }
                match place {
                    Place::Leaf(i) => self.leaf_joined(i, incarnation),
                    Place::Broadcast(i) => self.broadcast_joined(i),
                    _ => {}
                }
                self.beat_again(place, Duration::ZERO);
            }
            (Request::Heartbeat { .. }, Reply::View(view), _) => {
                let is_news = self.membership(place).is_some_and(|m| m.learn(view));
                match place {
                    Place::Leaf(i) if is_news => self.leaf_sees(i),
                    Place::Broadcast(i) if is_news => self.broadcast_sees(i),
                    _ => {}
                }
                self.beat_again(place, HEARTBEAT);
            }
            (Request::Leave(_), Reply::View(_), Place::Leaf(i)) => self.leaf_has_left(i),
            (Request::Retire(ledgers), Reply::Done, Place::Leaf(i)) => {
                let streams: Vec<_> = ledgers.into_iter().map(|l| l.stream).collect();
                self.leaf_retired(i, &streams, true);
            }
            (request, reply, _) => self.violate(format!("{place} asked {request:?} and was told {reply:?}")),
        }
    }
}
