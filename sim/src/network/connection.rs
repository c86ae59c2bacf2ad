//! One connection between two processes.

use crate::host::Host;
use countree_common::time::Time;
use countree_common::wire::hello::Conversation;

/// The number of a connection, and of the conversation on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The side that connected.
    Opener = 0,
    /// The side that was connected to.
    Acceptor = 1,
}

impl Side {
    /// The other end.
    pub(crate) fn other(self) -> Self {
        match self {
            Side::Opener => Side::Acceptor,
            Side::Acceptor => Side::Opener,
        }
    }
}

/// A connection, from the first attempt until both sides have let go.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) hosts: [Host; 2],
    pub(super) port: u16,
    pub(super) conversation: Conversation,
    pub(super) is_accepted: bool,
    pub(super) is_broken: bool,
    pub(super) has_left: [bool; 2],
    /// The times at which the last message under way to each side arrives: on the stream, and apart from it.
    pub(super) arrives: [Time; 2],
    pub(super) datagram_arrives: [Time; 2],
    pub(super) in_flight: usize,
}

impl Connection {
    /// The host at that end.
    pub(crate) fn host(&self, side: Side) -> Host {
        self.hosts[side as usize]
    }

    /// The port that was connected to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its conversation.
    pub(crate) fn conversation(&self) -> Conversation {
        self.conversation
    }

    /// Whether that end still holds on to it.
    pub(crate) fn is_held(&self, side: Side) -> bool {
        !self.has_left[side as usize]
    }
}
