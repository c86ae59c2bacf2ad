//! Delivers connections and messages from the network to the processes.

use super::World;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Delivery, Message, Side};
use countree_common::cluster::NodeName;
use countree_common::wire::hello::Conversation;
use std::time::Duration;

impl World {
    pub(super) fn handle_delivery(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Connect(link) => self.handle_connect(link),
            Delivery::ConnectResult { link, is_accepted } => self.handle_connect_result(link, is_accepted),
            Delivery::Message { link, to, message } => {
                let host = self.network.link(link).map(|l| l.host(to));
                if let Some(host) = host
                    && self.network.deliver(link, to)
                {
                    self.receive(host, link, *message);
                }
            }
            Delivery::TimedOut(link) => self.network.sever(&mut self.queue, &mut self.random, link),
            Delivery::Lost { link, side } => {
                let host = self.network.link(link).map(|l| l.host(side));
                if let Some(host) = host
                    && self.network.lost(link, side)
                {
                    self.lose(host, link);
                }
            }
        }
    }

    fn handle_connect(&mut self, id: ConnectionId) {
        let Some(link) = self.network.link(id).filter(|l| l.is_held(Side::Opener)) else { return };
        let (opener, acceptor, port) = (link.host(Side::Opener), link.host(Side::Acceptor), link.port());
        let conversation = link.conversation();
        let listens =
            self.life(acceptor).is_some_and(|life| self.port(life) == port && self.admits(acceptor));
        if !listens || self.network.is_cut(opener, acceptor) {
            let is_quick = self.random.chance(60);
            let wait = if is_quick { self.random.millis(1, 30) } else { self.random.millis(100, 2_000) };
            return self.network.refuse(&mut self.queue, id, wait);
        }
        self.network.accept(&mut self.queue, &mut self.random, id);
        match (acceptor, conversation) {
            (Host::Leaf(i), Conversation::Produce) => self.accept_producer(i, id),
            (Host::Root(i), Conversation::Uplink) => self.accept_leaf(i, id, opener),
            (Host::Root(i), Conversation::Publish) => self.accept_broadcast(i, id),
            (Host::Broadcast(i), Conversation::Watch) => self.accept_viewer(i, id),
            _ => {}
        }
    }

    /// Whether the process has started far enough to accept connections.
    fn admits(&self, acceptor: Host) -> bool {
        match acceptor {
            Host::Leaf(i) => self.cluster.leaves[i].is_up(),
            Host::Root(i) => self.cluster.roots[i].is_up(),
            Host::Broadcast(i) => self.cluster.broadcasts[i].is_up(),
            Host::Producer(_) | Host::Viewer(_) | Host::Client(_) => false,
        }
    }

    fn handle_connect_result(&mut self, id: ConnectionId, is_accepted: bool) {
        let Some(link) = self.network.link(id).filter(|l| l.is_held(Side::Opener)) else { return };
        let (opener, conversation) = (link.host(Side::Opener), link.conversation());
        if !is_accepted {
            self.network.lost(id, Side::Opener);
            return self.lose(opener, id);
        }
        match (opener, conversation) {
            (_, Conversation::Rpc) => self.put_question(id),
            (Host::Leaf(i), _) => self.leaf_has_root(i, id),
            (Host::Broadcast(i), _) => self.broadcast_has_root(i, id),
            (Host::Producer(i), _) => self.producer_has_leaf(i, id),
            (Host::Viewer(i), _) => self.viewer_has_node(i, id),
            (Host::Root(_) | Host::Client(_), _) => {}
        }
    }

    fn receive(&mut self, host: Host, link: ConnectionId, message: Message) {
        match (host, message) {
            (Host::Leaf(i), Message::Produce(frame)) => self.leaf_receives_producer(i, link, frame),
            (Host::Leaf(i), Message::Outcomes(message)) => self.leaf_receives_root(i, link, message),
            (Host::Root(i), Message::Uplink(message)) => self.root_receives_leaf(i, link, message),
            (Host::Root(i), Message::Interest(message)) => self.root_receives_broadcast(i, link, message),
            (Host::Root(i), Message::Ask(question)) => self.root_takes_question(i, link, question),
            (Host::Broadcast(i), Message::Totals(message)) => self.broadcast_receives_root(i, link, message),
            (Host::Broadcast(i), Message::Watch(message)) => self.broadcast_receives_viewer(i, link, message),
            (Host::Producer(i), Message::Produced(message)) => self.producer_receives(i, link, message),
            (Host::Viewer(i), Message::Stream(chunks)) => self.viewer_receives(i, link, &chunks),
            (Host::Viewer(i), Message::Datagram(bytes)) => self.viewer_receives_datagram(i, link, &bytes),
            (Host::Leaf(i), Message::Ask(question)) => self.leaf_takes_request(i, link, question.request),
            (_, Message::Reply(reply)) => {
                self.is_replied(link, Some(reply));
            }
            (host, message) => self.violate(Promise::Orderly, format!("{host} was sent {message:?}")),
        }
    }

    fn lose(&mut self, host: Host, link: ConnectionId) {
        match host {
            Host::Leaf(i) => self.leaf_loses_connection(i, link),
            Host::Root(i) => self.root_loses_connection(i, link),
            Host::Broadcast(i) => self.broadcast_loses_connection(i, link),
            Host::Producer(i) => self.producer_loses_connection(i, link),
            Host::Viewer(i) => self.viewer_loses_connection(i, link),
            Host::Client(_) => {
                self.is_replied(link, None);
            }
        }
    }

    /// Connects a node to a root of its view again.
    pub(super) fn connect_to_root(&mut self, host: Host, root: &NodeName) {
        match host {
            Host::Leaf(i) => self.leaf_connects(i, root),
            Host::Broadcast(i) => self.broadcast_connects(i, root),
            Host::Root(_) | Host::Producer(_) | Host::Viewer(_) | Host::Client(_) => {}
        }
    }

    /// The time after which a store call is given up.
    pub(super) fn timeout(&mut self) -> Duration {
        self.random.millis(300, 1_500)
    }
}
