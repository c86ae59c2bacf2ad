//! The room on a viewer's connection.

use crate::network::ConnectionId;
use crate::random::Random;
use countree_broadcast::machine::{DatagramRoom, Room, ViewerId};
use countree_common::limits::DATAGRAM_BYTES;
use std::collections::BTreeMap;

/// A viewer's connection, as the node's machine sees it.
#[derive(Debug)]
pub(super) struct ViewerSink {
    pub(super) takes_datagrams: bool,
    /// Pieces of its stream that have not arrived yet; there is room for one.
    pub(super) stretches_in_flight: usize,
}

/// The room on a viewer's connection now: some datagrams do not fit.
pub(super) fn room(
    viewers: &BTreeMap<ConnectionId, ViewerSink>,
    viewer: ViewerId,
    random: &mut Random,
) -> Room {
    let Some(sink) = viewers.get(&ConnectionId(viewer.0)) else { return Room::NONE };
    let datagram = match random.below(10) {
        _ if !sink.takes_datagrams => DatagramRoom::Never,
        0 => return Room::NONE,
        1 => DatagramRoom::Bytes(random.between(40, 200) as usize),
        _ => DatagramRoom::Bytes(DATAGRAM_BYTES),
    };
    Room { datagram, stream: sink.stretches_in_flight == 0 }
}
