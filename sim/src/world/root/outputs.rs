//! Carries out the outputs of a root's machines.

use super::World;
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::store::Operation;
use countree_common::time::Time;
use countree_common::wire::publish::{FromRoot, snapshot_parts};
use countree_common::wire::rpc::Reply;
use countree_root::machine::registry::registrar::RegistrarOutput;
use countree_root::machine::{Output, RootMachine};

/// Bytes of totals in one piece of a snapshot: few, so that snapshots have several.
const PART_BYTES: usize = 200;
/// Cuts queued in a root, at most, in clusters as small as these.
const CUTS_QUEUED_MAX: usize = 2_000;

impl World {
    /// Carries out the machines' outputs.
    pub(super) fn drain_root(&mut self, i: usize) {
        while let Some(output) = self.cluster.roots[i].machine().and_then(RootMachine::poll_output) {
            self.perform_root_output(i, output);
        }
        while let Some(output) =
            self.cluster.roots[i].process.as_mut().and_then(|p| p.registrar.poll_output())
        {
            self.perform_registrar_output(i, output);
        }
        // The registrar may have shown the machine a new view.
        while let Some(output) = self.cluster.roots[i].machine().and_then(RootMachine::poll_output) {
            self.perform_root_output(i, output);
        }
        let queued = self.cluster.roots[i].machine().map_or(0, |machine| machine.queued_cuts());
        if queued > CUTS_QUEUED_MAX {
            self.violate(Promise::Bounded, format!("{queued} cuts wait in root-{i}"));
        }
    }

    fn perform_root_output(&mut self, i: usize, output: Output) {
        match output {
            Output::Merge { batch, cuts } => self.ask_store(i, Operation::Merge(batch, cuts)),
            Output::Read { read, topic } => self.ask_store(i, Operation::Read(read, topic)),
            Output::Answer { connection, message } => {
                self.send(ConnectionId(connection.0), Side::Acceptor, Message::Outcomes(message));
            }
            Output::Publish { connections, message } => {
                for connection in connections {
                    self.send(ConnectionId(connection.0), Side::Acceptor, Message::Totals(message.clone()));
                }
            }
            Output::Snapshot { connection, snapshot } => {
                for part in snapshot_parts(&snapshot.topic, snapshot.version, snapshot.totals, PART_BYTES) {
                    self.send(
                        ConnectionId(connection.0),
                        Side::Acceptor,
                        Message::Totals(FromRoot::Snapshot(part)),
                    );
                }
                if let Some(machine) = self.cluster.roots[i].machine() {
                    machine.handle_snapshot_sent(connection);
                }
            }
        }
    }

    fn perform_registrar_output(&mut self, i: usize, output: RegistrarOutput) {
        match output {
            RegistrarOutput::Load => self.ask_store(i, Operation::Load),
            RegistrarOutput::Save { expected, next, text } => {
                self.ask_store(i, Operation::Save { expected, next, text });
            }
            RegistrarOutput::View(view) => {
                if let Some(process) = &mut self.cluster.roots[i].process {
                    process.machine.handle_view(&view);
                    let before = std::mem::replace(&mut process.view, view.clone());
                    self.note_absences(&before, &view);
                }
            }
            RegistrarOutput::FellBack(by) => {
                if let Some(standing) = self.cluster.roots[i].standing() {
                    standing.handle_fell_back(by);
                }
            }
            RegistrarOutput::Confirmed(asked) => {
                if let Some(machine) = self.cluster.roots[i].machine() {
                    machine.handle_confirmation(asked);
                }
            }
            RegistrarOutput::Reply { ask, reply } => {
                let Some(process) = &mut self.cluster.roots[i].process else { return };
                let asker = process.asks.remove(&ask);
                let admitted = asker.flatten().and_then(|link| process.admitted.remove(&link));
                let reply = match reply {
                    Reply::JoinedOnLog { incarnation, missing, .. } => {
                        Reply::JoinedOnLog { incarnation, missing, store: admitted }
                    }
                    Reply::Members { view, mut away } => {
                        process.standing.name_foreign(&mut away);
                        Reply::Members { view, away }
                    }
                    Reply::Joined { incarnation, .. } => {
                        Reply::Joined { incarnation, store: Some(process.standing.served()) }
                    }
                    other => other,
                };
                match asker {
                    Some(Some(link)) => self.send(link, Side::Acceptor, Message::Reply(reply)),
                    Some(None) => {
                        if let Reply::Joined { incarnation, .. } = reply {
                            process.incarnation.get_or_insert(incarnation);
                            process.heartbeat_at = Time::default();
                        }
                    }
                    None => self.violate(Promise::Orderly, "the registrar answered a question twice"),
                }
            }
        }
    }
}
