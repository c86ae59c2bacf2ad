//! Questions to other leaves about the sessions of leaves that have left, and the answers.

use super::ProducerMachine;
use crate::machine::producer::leaf_connection::LeafConnection;
use countree_common::session::{Seq, SessionId};
use countree_common::time::Time;
use countree_common::wire::producer::ToLeaf;

impl ProducerMachine {
    pub(super) fn session_ended(&mut self, now: Time, session: SessionId, last: Option<Seq>) {
        let asker = self.connections.iter().position(|connection| connection.session() == Some(session));
        let (Some(at), Some(last)) = (asker, last) else { return };
        self.with_connection(now, at, |connection, ctx| connection.session_ended(last, ctx));
        self.displace_backlog(at);
        self.pump(now);
    }

    /// Asks reachable leaves about sessions with leaves that have left.
    pub(super) fn ask_about_orphans(&mut self, now: Time) {
        for at in 0..self.connections.len() {
            let leaf = self.connections[at].leaf().clone();
            let Some(session) = self.connections[at].session_to_ask(now) else { continue };
            let live = |connection: &LeafConnection| connection.takes_new();
            if let Some(ready) =
                self.connections.iter().position(|connection| live(connection) && connection.is_ready())
            {
                self.with_connection(now, ready, |connection, ctx| {
                    connection.send_message(ToLeaf::FindSessionEnd { leaf, session }, ctx)
                });
            } else if let Some(connection) = self.connections.iter_mut().find(|connection| live(connection)) {
                connection.require_link();
            }
        }
    }
}
