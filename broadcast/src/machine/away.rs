//! Leaves that are away: their events may be missing, so every event over HTTP names them. Viewers over QUIC
//! get the list once they have asked, and whenever it changes.

use super::frames::frames;
use super::ids::{AwayId, Format, ViewerId};
use super::{BroadcastMachine, Output};
use bytes::Bytes;
use countree_common::cluster::NodeName;
use countree_common::limits::NODES_PER_CLUSTER;
use countree_common::wire::viewer::FromBroadcast;

/// The set of leaves that are away.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) id: AwayId,
    pub(super) names: Vec<NodeName>,
    /// The message to viewers over QUIC.
    pub(super) frame: Bytes,
}

impl Default for Away {
    fn default() -> Self {
        Self::new(AwayId::default(), Vec::new())
    }
}

impl Away {
    fn new(id: AwayId, names: Vec<NodeName>) -> Self {
        let frame = frames([FromBroadcast::Away(names.clone())]);
        Self { id, names, frame }
    }
}

impl BroadcastMachine {
    /// Replaces the set of leaves that are away.
    pub fn handle_away(&mut self, mut names: Vec<NodeName>) {
        names.truncate(NODES_PER_CLUSTER);
        if names == self.away.names {
            return;
        }
        self.away = Away::new(self.away.id.next(), names);
        let mut handles = Vec::new();
        for (handle, topic) in self.topics.iter_mut() {
            // Earlier snapshots name another set.
            if topic.encodings.forget_snapshots() {
                self.outputs.push_back(Output::Unshare { topic: topic.name.clone() });
            }
            handles.push(handle);
        }
        let is_told = self.away.id;
        handles.into_iter().for_each(|handle| self.serve_now_where(handle, |s| s.told_away != Some(is_told)));
        let wants = self.viewers.iter().filter(|(_, viewer)| viewer.wants_away).map(|(id, _)| *id);
        let mut wants: Vec<ViewerId> = wants.collect();
        wants.sort_unstable();
        wants.into_iter().for_each(|viewer| self.arrive(viewer));
    }

    /// Notes that a viewer over QUIC asks for the list.
    pub(super) fn tell_away(&mut self, viewer: ViewerId) {
        if let Some(state) = self.viewers.get_mut(&viewer).filter(|state| state.format == Format::Frames) {
            state.wants_away = true;
            self.arrive(viewer);
        }
    }
}

#[cfg(test)]
#[path = "away_tests.rs"]
mod tests;
