//! How sessions end: told by the leaf that sealed its log, or once that one is gone by any other, the next of its name
//! among them.

use crate::machine::calls::{Asker, Callee};
use crate::machine::{ConnectionId, LeafMachine, Output, RETRY_AFTER_MS};
use countree_common::cluster::NodeName;
use countree_common::session::SessionId;
use countree_common::wire::producer::{BusyReason, FromLeaf};
use countree_common::wire::rpc::{Reply, Request};

/// Sessions with other leaves that one leaf asks about at once. Producers ask again, so no more are kept.
const ASKED: usize = 1_024;

impl LeafMachine {
    /// Tells every producer what became of its session; nothing of it is taken any more.
    pub(in crate::machine) fn tell_endings(&mut self) {
        for (connection, producer) in &self.producers {
            let known = producer.session().and_then(|id| Some((id, self.sessions.get(id)?)));
            if let Some((session, known)) = known {
                let message = FromLeaf::Ended { session, last: known.last };
                self.context.outputs.push(Output::Send { connection: *connection, message });
            }
        }
    }

    /// A producer wants to know how its session with a leaf ended that is not in the view, or goes on with one that
    /// this leaf does not know.
    pub(in crate::machine) fn ask_ending(
        &mut self,
        connection: ConnectionId,
        leaf: NodeName,
        session: SessionId,
    ) {
        let about = (leaf, session);
        if let Some(asking) = self.asked.get_mut(&about) {
            asking.insert(connection);
        } else if self.asked.len() < ASKED {
            let (leaf, session) = about.clone();
            self.asked.entry(about).or_default().insert(connection);
            let request = Request::SessionEnd { leaf: leaf.clone(), session };
            self.context.call(Asker::Producers(leaf, session), Callee::Root, request);
        } else {
            let message = self.ending(&about, None);
            self.context.outputs.send(connection, message);
        }
    }

    pub(in crate::machine) fn tell_ending(&mut self, about: &(NodeName, SessionId), reply: Option<Reply>) {
        let message = self.ending(about, reply);
        let is_own = about.0 == self.context.config.leaf;
        for connection in self.asked.remove(about).unwrap_or_default() {
            let producer = self.producers.get(&connection);
            if producer.is_some_and(|producer| !is_own || producer.session() == Some(about.1)) {
                self.context.outputs.send(connection, message.clone());
            }
        }
    }

    /// What a producer is told by this answer.
    fn ending(&self, (leaf, session): &(NodeName, SessionId), reply: Option<Reply>) -> FromLeaf {
        let session = *session;
        match reply {
            Some(Reply::SessionEnd(Some(last))) if *leaf == self.context.config.leaf => {
                FromLeaf::Ended { session, last }
            }
            Some(Reply::SessionEnd(None)) if *leaf == self.context.config.leaf => FromLeaf::Expired(session),
            // Only who has seen the table may say that the session is not in it.
            _ if *leaf == self.context.config.leaf => {
                FromLeaf::Busy { seq: 0, reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS }
            }
            Some(Reply::SessionEnd(last)) => FromLeaf::SessionEnd { session, last },
            _ => FromLeaf::SessionEnd { session, last: None },
        }
    }
}

#[cfg(test)]
#[path = "session_outcomes_tests.rs"]
mod tests;
