//! The core's side of conversations: inputs from peers, and messages to them.

use super::Core;
use super::input::Input;
use crate::machine::{ConnectionId, LeafRefused};
use crate::shell::local_merges::{LocalMerges, Outcomes};
use crate::shell::outbox::Overflowing;
use countree_common::cut::Cut;
use countree_common::wire::frame::{self, FrameKind};
use countree_common::wire::hello::RefusalCode;
use countree_common::wire::{publish, uplink};

impl Core {
    pub(super) fn handle_input(&mut self, input: Input) {
        match input {
            Input::LeafOpened(connection, leaf, outbox) => {
                self.leaves.insert(connection, outbox);
                self.machine.handle_leaf_opened(connection, leaf);
            }
            Input::Leaf(connection, message) => {
                if let Err(e) = self.machine.handle_leaf(connection, message) {
                    let code = match &e {
                        LeafRefused::Unsound(_) => RefusalCode::Malformed,
                        LeafRefused::Foreign(_) => RefusalCode::WrongCluster,
                    };
                    self.end_leaf(connection, code, e.to_string());
                }
            }
            Input::LeafClosed(connection) => self.close_leaf(connection),
            Input::BroadcastOpened(connection, outbox) => {
                self.broadcasts.insert(connection, outbox);
                if let Err(e) = self.machine.handle_broadcast_opened(connection) {
                    self.end_broadcast(connection, e.to_string());
                }
            }
            Input::Broadcast(connection, message) => {
                if let Err(e) = self.machine.handle_broadcast(connection, message) {
                    self.end_broadcast(connection, e.to_string());
                }
            }
            Input::BroadcastClosed(connection) => self.close_broadcast(connection),
            Input::MergeLocally(cuts, reply) => self.begin_local_merge(cuts, reply),
        }
    }

    fn begin_local_merge(&mut self, cuts: Vec<Cut>, reply: Outcomes) {
        let Some(name) = LocalMerges::name() else { return };
        let merge = self.local_merges.begin(cuts.len(), reply);
        self.machine.handle_leaf_opened(merge, name);
        if let Err(e) = self.machine.handle_leaf(merge, uplink::ToRoot::Cuts(cuts)) {
            tracing::error!("a merge of this root's own is refused: {e}");
            self.local_merges.refuse(merge);
            self.machine.handle_leaf_closed(merge);
        }
    }

    fn end_leaf(&mut self, connection: ConnectionId, code: RefusalCode, reason: String) {
        tracing::warn!("a leaf is sent away: {reason}");
        if let Some(outbox) = self.leaves.remove(&connection) {
            outbox.refuse(code, reason);
        }
        self.close_leaf(connection);
    }

    pub(super) fn close_leaf(&mut self, connection: ConnectionId) {
        self.leaves.remove(&connection);
        self.machine.handle_leaf_closed(connection);
    }

    fn end_broadcast(&mut self, connection: ConnectionId, reason: String) {
        tracing::warn!("a broadcast node is sent away: {reason}");
        if let Some(outbox) = self.broadcasts.remove(&connection) {
            outbox.refuse(RefusalCode::Unavailable, reason);
        }
        self.close_broadcast(connection);
    }

    pub(super) fn close_broadcast(&mut self, connection: ConnectionId) {
        self.broadcasts.remove(&connection);
        self.machine.handle_broadcast_closed(connection);
    }

    /// Sends an update to broadcast nodes.
    pub(super) fn publish(&mut self, connections: Vec<ConnectionId>, message: &publish::FromRoot) {
        let frame = match frame::message(FrameKind::Message, message) {
            Ok(frame) => frame,
            Err(e) => return self.unsendable(&connections, &e),
        };
        for connection in connections {
            let sent = self.broadcasts.get(&connection).map(|outbox| outbox.frame(frame.clone()));
            if let Some(Err(Overflowing)) = sent {
                self.gauges.cut_off();
                self.close_broadcast(connection);
            }
        }
    }

    /// A message that fits no frame would leave a gap: those who miss it start anew, with snapshots.
    fn unsendable(&mut self, connections: &[ConnectionId], reason: &dyn std::fmt::Display) {
        tracing::error!("an update can't be sent: {reason}");
        connections.iter().for_each(|connection| self.close_broadcast(*connection));
    }
}
