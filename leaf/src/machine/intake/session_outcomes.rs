//! Says how sessions ended: those of this leaf once its log is sealed, and those of a leaf that is gone by the table
//! that it published.

use super::Intake;
use crate::machine::calls::{Asker, Callee};
use crate::machine::context::Context;
use crate::machine::context::RETRY_AFTER_MS;
use crate::machine::ids::ConnectionId;
use crate::machine::output::Outputs;
use countree_common::cluster::NodeName;
use countree_common::session::SessionId;
use countree_common::wire::producer::{BusyReason, FromLeaf};
use countree_common::wire::rpc::{Reply, Request};

/// Sessions with other leaves that one leaf asks about at once. Producers ask again, so no more are kept.
const ASKED: usize = 1_024;

impl Intake {
    /// Tells every producer how its session ended; nothing of it is taken any more.
    pub(in crate::machine) fn tell_outcomes(&self, outputs: &mut Outputs) {
        for (connection, producer) in &self.producers {
            let known = producer.session.and_then(|id| Some((id, self.sessions.get(id)?)));
            if let Some((session, known)) = known {
                outputs.send(*connection, FromLeaf::Ended { session, last: known.last });
            }
        }
    }

    /// Asks how a producer's session ended: one with a leaf that is not in the view, or one that it resumes and that
    /// this leaf does not know.
    pub(super) fn ask_outcome(
        &mut self,
        connection: ConnectionId,
        leaf: NodeName,
        session: SessionId,
        context: &mut Context,
    ) {
        let about = (leaf, session);
        if let Some(asking) = self.asked.get_mut(&about) {
            asking.insert(connection);
        } else if self.asked.len() < ASKED {
            let (leaf, session) = about.clone();
            self.asked.entry(about).or_default().insert(connection);
            let request = Request::SessionEnd { leaf: leaf.clone(), session };
            context.call(Asker::Producers(leaf, session), Callee::Root, request);
        } else {
            let message = outcome(&about, None, &context.config.leaf);
            context.outputs.send(connection, message);
        }
    }

    /// A root has said how that session ended, or none has answered.
    pub(in crate::machine) fn outcome_answered(
        &mut self,
        about: &(NodeName, SessionId),
        reply: Option<Reply>,
        context: &mut Context,
    ) {
        let message = outcome(about, reply, &context.config.leaf);
        let is_own = about.0 == context.config.leaf;
        for connection in self.asked.remove(about).unwrap_or_default() {
            let producer = self.producers.get(&connection);
            if producer.is_some_and(|producer| !is_own || producer.session == Some(about.1)) {
                context.outputs.send(connection, message.clone());
            }
        }
    }
}

/// Puts an answer in the words of the producers' protocol.
fn outcome((leaf, session): &(NodeName, SessionId), reply: Option<Reply>, me: &NodeName) -> FromLeaf {
    let session = *session;
    match reply {
        Some(Reply::SessionEnd(Some(last))) if leaf == me => FromLeaf::Ended { session, last },
        Some(Reply::SessionEnd(None)) if leaf == me => FromLeaf::Expired(session),
        // Only a root that has seen the table may say that the session is not in it.
        _ if leaf == me => {
            FromLeaf::Busy { seq: 0, reason: BusyReason::Overload, retry_after_ms: RETRY_AFTER_MS }
        }
        Some(Reply::SessionEnd(last)) => FromLeaf::SessionEnd { session, last },
        _ => FromLeaf::SessionEnd { session, last: None },
    }
}

#[cfg(test)]
#[path = "session_outcomes_tests.rs"]
mod tests;
