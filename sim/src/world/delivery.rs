//! Messages on their way: from the network to whoever they are for.

use super::World;
use crate::host::Place;
use crate::model::Promise;
use crate::network::{Arrival, LinkId, Message, Side};
use countree_common::cluster::NodeName;
use countree_common::wire::hello::Conversation;
use std::time::Duration;

impl World {
    pub(super) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Knock(link) => self.knock(link),
            Arrival::Answered { link, is_accepted } => self.answered(link, is_accepted),
            Arrival::Message { link, to, message } => {
                let place = self.network.link(link).map(|l| l.place(to));
                if let Some(place) = place
                    && self.network.deliver(link, to)
                {
                    self.receive(place, link, *message);
                }
            }
            Arrival::TimedOut(link) => self.network.sever(&mut self.agenda, &mut self.random, link),
            Arrival::Lost { link, side } => {
                let place = self.network.link(link).map(|l| l.place(side));
                if let Some(place) = place
                    && self.network.lost(link, side)
                {
                    self.lose(place, link);
                }
            }
        }
    }

    fn knock(&mut self, id: LinkId) {
        let Some(link) = self.network.link(id).filter(|l| l.is_held(Side::Opener)) else { return };
        let (opener, acceptor, port) = (link.place(Side::Opener), link.place(Side::Acceptor), link.port());
        let conversation = link.conversation();
        let listens =
            self.life(acceptor).is_some_and(|life| self.port(life) == port && self.admits(acceptor));
        if !listens || self.network.is_cut(opener, acceptor) {
            let is_quick = self.random.chance(60);
            let wait = if is_quick { self.random.millis(1, 30) } else { self.random.millis(100, 2_000) };
            return self.network.refuse(&mut self.agenda, id, wait);
        }
        self.network.accept(&mut self.agenda, &mut self.random, id);
        match (acceptor, conversation) {
            (Place::Leaf(i), Conversation::Produce) => self.producer_came(i, id),
            (Place::Root(i), Conversation::Uplink) => self.leaf_came(i, id, opener),
            (Place::Root(i), Conversation::Publish) => self.broadcast_came(i, id),
            (Place::Broadcast(i), Conversation::Watch) => self.viewer_came(i, id),
            _ => {}
        }
    }

    /// Whether the process is far enough to let anybody in.
    fn admits(&self, acceptor: Place) -> bool {
        match acceptor {
            Place::Leaf(i) => self.leaves[i].is_up(),
            Place::Root(i) => self.roots[i].is_up(),
            Place::Broadcast(i) => self.broadcasts[i].is_up(),
            Place::Producer(_) | Place::Viewer(_) | Place::Client(_) => false,
        }
    }

    fn answered(&mut self, id: LinkId, is_accepted: bool) {
        let Some(link) = self.network.link(id).filter(|l| l.is_held(Side::Opener)) else { return };
        let (opener, conversation) = (link.place(Side::Opener), link.conversation());
        if !is_accepted {
            self.network.lost(id, Side::Opener);
            return self.lose(opener, id);
        }
        match (opener, conversation) {
            (_, Conversation::Rpc) => self.put_question(id),
            (Place::Leaf(i), _) => self.leaf_has_root(i, id),
            (Place::Broadcast(i), _) => self.broadcast_has_root(i, id),
            (Place::Producer(i), _) => self.producer_has_leaf(i, id),
            (Place::Viewer(i), _) => self.viewer_has_node(i, id),
            (Place::Root(_) | Place::Client(_), _) => {}
        }
    }

    fn receive(&mut self, place: Place, link: LinkId, message: Message) {
        match (place, message) {
            (Place::Leaf(i), Message::Produce(frame)) => self.leaf_hears_producer(i, link, frame),
            (Place::Leaf(i), Message::Outcomes(message)) => self.leaf_hears_root(i, link, message),
            (Place::Root(i), Message::Uplink(message)) => self.root_hears_leaf(i, link, message),
            (Place::Root(i), Message::Interest(message)) => self.root_hears_broadcast(i, link, message),
            (Place::Root(i), Message::Ask(request)) => self.root_is_asked(i, link, request),
            (Place::Broadcast(i), Message::Totals(message)) => self.broadcast_hears_root(i, link, message),
            (Place::Broadcast(i), Message::Watch(message)) => self.broadcast_hears_viewer(i, link, message),
            (Place::Producer(i), Message::Produced(message)) => self.producer_hears(i, link, message),
            (Place::Viewer(i), Message::Stream(chunks)) => self.viewer_hears(i, link, &chunks),
            (Place::Viewer(i), Message::Datagram(bytes)) => self.viewer_hears_datagram(i, link, &bytes),
            (Place::Leaf(i), Message::Ask(request)) => self.leaf_is_asked(i, link, request),
            (_, Message::Reply(reply)) => {
                self.is_replied(link, Some(reply));
            }
            (place, message) => self.violate(Promise::Orderly, format!("{place} was sent {message:?}")),
        }
    }

    fn lose(&mut self, place: Place, link: LinkId) {
        match place {
            Place::Leaf(i) => self.leaf_loses(i, link),
            Place::Root(i) => self.root_loses(i, link),
            Place::Broadcast(i) => self.broadcast_loses(i, link),
            Place::Producer(i) => self.producer_loses(i, link),
            Place::Viewer(i) => self.viewer_loses(i, link),
            Place::Client(_) => {
                self.is_replied(link, None);
            }
        }
    }

    /// A node connects to a root of its view again.
    pub(super) fn connect_to_root(&mut self, place: Place, root: &NodeName) {
        match place {
            Place::Leaf(i) => self.leaf_connects(i, root),
            Place::Broadcast(i) => self.broadcast_connects(i, root),
            Place::Root(_) | Place::Producer(_) | Place::Viewer(_) | Place::Client(_) => {}
        }
    }

    /// How long a request is waited for before it is given up.
    pub(super) fn timeout(&mut self) -> Duration {
        self.random.millis(300, 1_500)
    }
}
