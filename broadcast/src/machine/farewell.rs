//! Leaving: sends viewers to other nodes, and serves them until they have gone.

use super::frames::frames;
use super::ids::Format;
use super::{BroadcastMachine, Output};
use countree_common::cluster::NodeName;
use countree_common::time::Time;
use countree_common::wire::viewer::FromBroadcast;
use std::net::SocketAddr;
use std::time::Duration;

impl BroadcastMachine {
    /// Begins to leave. Viewers over QUIC get a message with their next bytes; they move within the given
    /// time, so that not all arrive elsewhere at once. For viewers over HTTP there is no such message: their
    /// streams end, and they reconnect by themselves.
    pub fn handle_leaving(&mut self, alternates: Vec<(NodeName, SocketAddr)>, within: Duration, now: Time) {
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let reason = "this node is leaving: watch on another".to_owned();
        let farewell = FromBroadcast::Move { reason: reason.clone(), alternates, within_ms };
        self.farewell = Some(frames([farewell]));
        let mut everyone: Vec<_> = self.viewers.iter().map(|(id, viewer)| (*id, viewer.format)).collect();
        everyone.sort();
        for (viewer, format) in everyone {
            match format {
                Format::Frames => self.arrive(viewer),
                Format::Events => {
                    self.handle_viewer_left(viewer, now);
                    self.outputs.push_back(Output::Dismiss { viewer, reason: reason.clone() });
                }
            }
        }
    }

    /// Queues the viewer to be served before the tick.
    pub(super) fn arrive(&mut self, id: super::ViewerId) {
        if let Some(viewer) = self.viewers.get_mut(&id)
            && !std::mem::replace(&mut viewer.in_line, true)
        {
            self.queues.arrivals.push(id);
        }
    }
}

#[cfg(test)]
#[path = "farewell_tests.rs"]
mod tests;
