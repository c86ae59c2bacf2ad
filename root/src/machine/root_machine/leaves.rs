//! Leaves: their connections, cuts and stamps.

use super::{ConnectionId, RootMachine, uplink};
use crate::machine::merge::limit_alerts;
use crate::machine::output::{LeafRefused, Output};
use countree_common::cluster::NodeName;
use countree_common::key::Counter;
use countree_common::stamp::Stamp;

impl RootMachine {
    /// Notes that a leaf has connected.
    pub fn handle_leaf_opened(&mut self, connection: ConnectionId, leaf: NodeName) {
        self.leaves.insert(connection, leaf);
        self.alert_near_limit(&[connection], &self.near_limit.known());
    }

    /// Alerts leaves to totals near their limit.
    pub(super) fn alert_near_limit(&mut self, leaves: &[ConnectionId], totals: &[(Counter, i64)]) {
        for message in limit_alerts::messages(totals) {
            let message = uplink::FromRoot::NearLimit(message);
            let answers =
                leaves.iter().map(|leaf| Output::Answer { connection: *leaf, message: message.clone() });
            self.outputs.extend(answers);
        }
    }

    /// Notes that a leaf's connection is gone. The leaf repeats unanswered cuts elsewhere.
    pub fn handle_leaf_closed(&mut self, connection: ConnectionId) {
        self.leaves.remove(&connection);
    }

    /// Takes a leaf's message.
    ///
    /// # Errors
    /// When it sent a cut that no leaf may send, or belongs to another store; the conversation is to be ended.
    pub fn handle_leaf(
        &mut self,
        connection: ConnectionId,
        message: uplink::ToRoot,
    ) -> Result<(), LeafRefused> {
        match message {
            uplink::ToRoot::Cuts(cuts) => {
                let mut refused = Vec::new();
                for cut in cuts {
                    refused.extend(self.merges.push(connection, cut)?);
                }
                if !refused.is_empty() {
                    let message = uplink::FromRoot::Outcomes(refused);
                    self.outputs.push_back(Output::Answer { connection, message });
                }
            }
            uplink::ToRoot::Store(store) => {
                if !self.stores.is_empty() && !self.stores.contains(&store) {
                    return Err(LeafRefused::Foreign(store));
                }
            }
            uplink::ToRoot::Echo(Stamp { era, at }) => {
                // An echo of an earlier era says nothing of this one.
                if era == self.served_in
                    && let Some(leaf) = self.leaves.get(&connection)
                {
                    let advanced = self.watermarks.handle_echo(leaf, at.min(self.clock.read(self.now)));
                    self.queue_watermark(advanced);
                }
            }
        }
        Ok(())
    }
}
