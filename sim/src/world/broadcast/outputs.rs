//! Carries out the outputs of a broadcast node's machine.

use super::viewer_sink::room;
use super::{BroadcastProcess, RootConnection};
use crate::flaws::Flaw;
use crate::host::Host;
use crate::model::Promise;
use crate::network::{ConnectionId, Message, Side};
use crate::world::World;
use crate::world::questions::Purpose;
use countree_broadcast::machine::{BroadcastMachine, Output};
use countree_common::cluster::NodeName;
use countree_common::limits::DATAGRAM_BYTES;
use countree_common::time::WallMs;
use countree_common::wire::rpc::Request;

impl World {
    /// Carries out the machine's outputs, and serves viewers that have just joined.
    pub(super) fn drain_broadcast(&mut self, i: usize) {
        let now = self.queue.now();
        if let Some(BroadcastProcess { machine, viewers, .. }) = &mut self.cluster.broadcasts[i].process {
            machine.handle_arrivals(now, |viewer| room(viewers, viewer, &mut self.random));
        }
        while let Some(output) = self.cluster.broadcasts[i].machine().and_then(BroadcastMachine::poll_output)
        {
            self.perform_broadcast_output(i, output);
        }
    }

    fn perform_broadcast_output(&mut self, i: usize, output: Output) {
        match output {
            Output::Connect { root, address } => {
                self.broadcast_disconnects(i, &root);
                if let Some(process) = &mut self.cluster.broadcasts[i].process {
                    let link =
                        RootConnection { address, link: None, is_connected: false, watermark: WallMs(0) };
                    process.roots.insert(root.clone(), link);
                }
                self.broadcast_connects(i, &root);
            }
            Output::Disconnect { root } => self.broadcast_disconnects(i, &root),
            Output::ToRoot { root, message } => {
                let roots = self.cluster.broadcasts[i].process.as_ref().map(|p| &p.roots);
                let root = roots.and_then(|roots| roots.get(&root)).filter(|r| r.is_connected);
                if let Some(link) = root.and_then(|r| r.link) {
                    self.send(link, Side::Opener, Message::Interest(message));
                }
            }
            Output::Datagram { viewer, bytes } => {
                if bytes.len() > DATAGRAM_BYTES {
                    self.violate(Promise::Bounded, format!("a datagram of {} bytes", bytes.len()));
                }
                self.send(ConnectionId(viewer.0), Side::Acceptor, Message::Datagram(bytes));
            }
            Output::Stream { viewer, chunks } => {
                let process = self.cluster.broadcasts[i].process.as_mut();
                if let Some(sink) = process.and_then(|p| p.viewers.get_mut(&ConnectionId(viewer.0))) {
                    sink.stretches_in_flight += 1;
                    if sink.stretches_in_flight > 1 {
                        self.violate(Promise::Bounded, "a viewer without room was sent more on its stream");
                    }
                }
                if self.plan.flaw == Some(Flaw::LossyStreams) && self.random.chance(30) {
                    return self.stretch_arrived(i, ConnectionId(viewer.0));
                }
                self.send(ConnectionId(viewer.0), Side::Acceptor, Message::Stream(chunks));
            }
            Output::Dismiss { viewer, reason } => {
                self.violate(Promise::Orderly, format!("a viewer was sent away: {reason}"));
                self.leave(ConnectionId(viewer.0), Side::Acceptor);
            }
            Output::Share { .. } | Output::Unshare { .. } => {}
            Output::Check { check, topic } => {
                self.ask_a_root(Host::Broadcast(i), Request::Read(topic), Purpose::Check(check));
            }
        }
    }

    fn broadcast_disconnects(&mut self, i: usize, root: &NodeName) {
        let process = self.cluster.broadcasts[i].process.as_mut();
        if let Some(link) = process.and_then(|p| p.roots.remove(root)).and_then(|r| r.link) {
            self.leave(link, Side::Opener);
        }
    }
}
