//! Passes messages on to the tasks of producers and roots.

use crate::machine::ConnectionId;
use crate::shell::inputs::ToProducer;
use bytes::Bytes;
use countree_common::cluster::NodeName;
use std::collections::HashMap;
use tokio::sync::mpsc;

/// The outboxes of those that are connected. One that is full ends the connection: its peer does not keep up.
#[derive(Debug, Default)]
pub(super) struct Outboxes {
    producers: HashMap<ConnectionId, mpsc::Sender<ToProducer>>,
    /// Each with the number of its conversation: when one ends, the next may have begun.
    roots: HashMap<NodeName, (u64, mpsc::Sender<Bytes>)>,
}

impl Outboxes {
    /// A producer has connected.
    pub(super) fn add_producer(&mut self, connection: ConnectionId, outbox: mpsc::Sender<ToProducer>) {
        self.producers.insert(connection, outbox);
    }

    /// A producer is gone.
    pub(super) fn remove_producer(&mut self, connection: ConnectionId) {
        self.producers.remove(&connection);
    }

    /// Sends a producer a message.
    pub(super) fn tell_producer(&mut self, connection: ConnectionId, message: ToProducer) {
        let is_close = matches!(message, ToProducer::Close(_));
        let is_sent = self.producers.get(&connection).is_some_and(|outbox| outbox.try_send(message).is_ok());
        if is_close || !is_sent {
            // Its task ends with the outbox, and closes the stream.
            self.producers.remove(&connection);
        }
    }

    /// A conversation with a root has begun.
    pub(super) fn add_root(&mut self, root: NodeName, link: u64, outbox: mpsc::Sender<Bytes>) {
        self.roots.insert(root, (link, outbox));
    }

    /// That conversation has ended; `false` when another one has replaced it.
    pub(super) fn end_link(&mut self, root: &NodeName, link: u64) -> bool {
        let is_current = self.roots.get(root).is_some_and(|(current, _)| *current == link);
        if is_current {
            self.roots.remove(root);
        }
        is_current
    }

    /// Cuts a root off.
    pub(super) fn remove_root(&mut self, root: &NodeName) {
        self.roots.remove(root);
    }

    /// Sends a root a message; `false` when it does not keep up, or is not connected.
    pub(super) fn tell_root(&self, root: &NodeName, message: Vec<u8>) -> bool {
        self.roots.get(root).is_some_and(|(_, outbox)| outbox.try_send(message.into()).is_ok())
    }
}
