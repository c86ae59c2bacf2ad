//! Requests and messages that reach a root, from leaves, broadcast nodes and others.

use super::World;
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::store::Operation;
use countree_common::cluster::Tier;
use countree_common::wire::rpc::{Question, Reply, Request};
use countree_common::wire::{publish, uplink};
use countree_root::machine::ConnectionId as RootConnectionId;
use countree_root::machine::registry::registrar::{Ask, AskId};

impl World {
    /// Puts a question to a root's registrar; `asker` is the conversation that waits for the answer.
    pub(super) fn ask_registrar(&mut self, i: usize, asker: Option<ConnectionId>, question: Ask) {
        let now = self.registrar_clocks(Host::Root(i));
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        let ask = AskId(process.next_ask);
        process.next_ask += 1;
        process.asks.insert(ask, asker);
        process.registrar.handle_ask(ask, question, now);
    }

    /// Takes a question as the real shell does: none of nodes of another store, and none that needs a store which is not
    /// this cluster's.
    pub(in crate::world) fn root_takes_question(&mut self, i: usize, link: ConnectionId, question: Question) {
        let now = self.clocks(Host::Root(i)).mono;
        let asker = self.questions.get(&link).map(|asked| asked.asker.name());
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        if let (Some(theirs), Some(asker)) = (question.store, asker) {
            if matches!(question.request, Request::LeafHeartbeat { .. }) {
                let is_any_listed = process.view.tier(Tier::Leaf).next().is_some();
                process.standing.handle_leaf(&asker, theirs, is_any_listed, now);
            }
            let admitted = process.standing.admit_question(&asker, theirs);
            self.follow_standing(i);
            if let Err(e) = admitted {
                return self.send(link, Side::Acceptor, Message::Reply(Reply::OtherStore(e.to_string())));
            }
        }
        let fence = self.cluster.roots[i].process.as_ref().filter(|process| process.is_fenced);
        if let Some(reason) = fence.and_then(|process| process.standing.problem()) {
            return self.send(link, Side::Acceptor, Message::Reply(Reply::Failed(reason)));
        }
        self.root_takes_request(i, link, question.request);
    }

    fn root_takes_request(&mut self, i: usize, link: ConnectionId, request: Request) {
        let question = match request {
            Request::Join { name, tier, at_least } => Ask::Join { name, tier, at_least },
            Request::JoinOnLog { leaf, log, store } => {
                let Some(process) = &mut self.cluster.roots[i].process else { return };
                match process.standing.admit(&store) {
                    Ok(admission) => drop(process.admitted.insert(link, admission)),
                    Err(e) => {
                        return self.send(
                            link,
                            Side::Acceptor,
                            Message::Reply(Reply::Refused(e.to_string())),
                        );
                    }
                }
                Ask::JoinOnLog { leaf, log }
            }
            Request::Heartbeat { node, epoch, .. } => Ask::Heartbeat { node, epoch, reached: None },
            Request::LeafHeartbeat { node, epoch, progress, .. } => {
                Ask::Heartbeat { node, epoch, reached: Some(progress) }
            }
            Request::Leave(name) => Ask::Leave(name),
            Request::Retire(ledgers) => Ask::Retire(ledgers),
            Request::Drained { stream, handover } => Ask::Settled { stream, handover },
            Request::Members => Ask::Members,
            Request::Ledgers => Ask::Ledgers,
            Request::Read(topic) => return self.ask_store(i, Operation::Show(link, topic)),
            Request::ForgetAt { topic, at } => return self.ask_store(i, Operation::Forget(link, topic, at)),
            Request::Publish(table) => return self.ask_store(i, Operation::Publish(link, table)),
            Request::SessionEnd { leaf, session } => {
                return self.ask_store(i, Operation::Ended(link, leaf, session));
            }
            other => return self.violate(Promise::Orderly, format!("nobody asks {other:?} here")),
        };
        self.ask_registrar(i, Some(link), question);
        self.drain_root(i);
    }

    pub(in crate::world) fn accept_leaf(&mut self, i: usize, link: ConnectionId, leaf: Host) {
        let store = match leaf {
            Host::Leaf(of) if self.plan.flaw != Some(Flaw::UnboundFolders) => self.cluster.leaves[of].store(),
            _ => None,
        };
        if let Some(process) = &mut self.cluster.roots[i].process {
            process.machine.handle_leaf_opened(RootConnectionId(link.0), leaf.name());
            // Its first message.
            let said = store
                .map(|id| process.machine.handle_leaf(RootConnectionId(link.0), uplink::ToRoot::Store(id)));
            if said.is_some_and(|said| said.is_err()) {
                process.machine.handle_leaf_closed(RootConnectionId(link.0));
                self.leave(link, Side::Acceptor);
                // Once all faults are over, the operator starts it again, to be adopted.
                if let (Host::Leaf(of), true) = (leaf, self.faults.are_over) {
                    self.leaf_is_refused(of);
                }
                return;
            }
            process.leaves.insert(link);
        }
        self.drain_root(i);
    }

    pub(in crate::world) fn accept_broadcast(&mut self, i: usize, link: ConnectionId) {
        if let Some(process) = &mut self.cluster.roots[i].process {
            process.broadcasts.insert(link);
            if let Err(e) = process.machine.handle_broadcast_opened(RootConnectionId(link.0)) {
                self.violate(Promise::Orderly, format!("a root turned a broadcast node away: {e}"));
            }
        }
        self.drain_root(i);
    }

    pub(in crate::world) fn root_receives_leaf(
        &mut self,
        i: usize,
        link: ConnectionId,
        message: uplink::ToRoot,
    ) {
        if let Some(machine) = self.cluster.roots[i].machine()
            && let Err(e) = machine.handle_leaf(RootConnectionId(link.0), message)
        {
            self.violate(Promise::Orderly, format!("a leaf sent an unsound cut: {e}"));
        }
        self.drain_root(i);
    }

    pub(in crate::world) fn root_receives_broadcast(
        &mut self,
        i: usize,
        link: ConnectionId,
        message: publish::ToRoot,
    ) {
        if let Some(machine) = self.cluster.roots[i].machine()
            && let Err(e) = machine.handle_broadcast(RootConnectionId(link.0), message)
        {
            self.violate(Promise::Orderly, format!("a broadcast node wants too much: {e}"));
        }
        self.drain_root(i);
    }

    pub(in crate::world) fn root_loses_connection(&mut self, i: usize, link: ConnectionId) {
        let Some(process) = &mut self.cluster.roots[i].process else { return };
        if process.leaves.remove(&link) {
            process.machine.handle_leaf_closed(RootConnectionId(link.0));
        }
        if process.broadcasts.remove(&link) {
            process.machine.handle_broadcast_closed(RootConnectionId(link.0));
        }
        self.drain_root(i);
    }
}
